"""Credentials and who they belong to: bearer keys, the principals they name, and what each may do."""
