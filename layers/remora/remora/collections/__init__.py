"""Collections and their records: everything the Chroma tools do, for any face to call."""
