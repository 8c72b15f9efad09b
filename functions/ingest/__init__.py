"""The ingest function: what objects in the memory's bucket ask for."""
