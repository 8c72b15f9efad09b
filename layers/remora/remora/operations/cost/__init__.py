"""What a deployment costs in a month, by its parameters."""
