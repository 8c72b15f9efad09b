"""Connecting MCP clients to a deployment: what to do or paste for each, and doing it where the client allows it."""
