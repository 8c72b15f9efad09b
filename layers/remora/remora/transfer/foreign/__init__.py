"""Reads what other systems export, one module a format, as memories to be stored.

A record that cannot be read becomes a `Problem` with its number and does not stop the others.
"""

from remora.transfer.foreign.formats import Format, detect_format, read_foreign
from remora.transfer.foreign.records import ForeignRecord, Problem

__all__ = ["ForeignRecord", "Format", "Problem", "detect_format", "read_foreign"]
