"""Operates the Chroma server of a deployment with the operator's AWS credentials: backups, versions, machines."""
