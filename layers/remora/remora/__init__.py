"""Remora: long-term memory and a whole Chroma database for AI assistants, behind one URL."""

__version__ = "0.1.0"
