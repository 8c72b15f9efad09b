"""Keeps the principals of a deployment: who they are, their keys, and the usage plan each is counted in."""
