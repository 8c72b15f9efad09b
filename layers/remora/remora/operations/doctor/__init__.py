"""Examining a deployment, from outside as clients see it and from inside as its operator does."""
