"""What operators see: where time went, how calls ended. Never content, never credentials."""
