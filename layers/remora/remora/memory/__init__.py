"""The long-term memory: what is remembered, how it is found again, and nothing ever lost."""
