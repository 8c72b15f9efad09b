"""What is looked at regularly and nobody asks for: the age of keys and of snapshots, and the room that is left."""
