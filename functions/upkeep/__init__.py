"""The upkeep function: what has to be done regularly, and after failures."""
