"""Measurements of Remora on the machine at hand. Run `make bench`."""
