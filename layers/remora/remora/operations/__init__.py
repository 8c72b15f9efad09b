"""Operating a deployment: finding it, examining it, reading its logs, what it costs, and taking it down."""
