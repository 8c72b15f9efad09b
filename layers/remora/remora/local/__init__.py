"""Remora on one machine: a real Chroma server, the real handlers, and a gateway that reads `template.yaml`.

Nothing here is imported by the functions themselves. `remora.local.run` puts the parts together.
"""
