"""The authorization server's web face: discovery documents, the consent pages, and the token endpoints."""
