"""The connector: MCP over HTTP for assistants, on FastAPI, as one Lambda function."""
