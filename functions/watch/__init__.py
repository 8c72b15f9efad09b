"""The watch function: what an operator should know in time, published as metrics."""
