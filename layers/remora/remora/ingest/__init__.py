"""Reads documents of several formats into structured chunks, and keeps track of those on their way in."""
