"""Turns texts into vectors: what an embedder promises, and the one that runs in this process."""

from remora.embedding.embedder import Embedded, Embedder
from remora.embedding.minilm import MiniLM

__all__ = ["Embedded", "Embedder", "MiniLM"]
