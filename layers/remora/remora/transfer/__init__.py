"""Moves memories: out of a space, into one, from other systems, and from the journal into the index."""
