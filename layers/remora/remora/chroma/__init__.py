"""A small typed client for Chroma's REST API: requests, answers, errors, deadlines. It knows no tools."""
