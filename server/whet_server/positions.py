"""Columns in a client's code units, and columns in code points. Pure.

LSP counts columns in UTF-16 units unless client and server agree on UTF-8 or UTF-32.
"""

from __future__ import annotations

_UNIT_BYTES = {"utf-8": 1, "utf-16": 2, "utf-32": 4}
_CODECS = {"utf-8": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def code_points(line: str, units: int, encoding: str) -> int:
    """Code points before `units` code units; past the end is the end.

    Inside a character counts as before it.
    """
    if encoding == "utf-32" or line.isascii():
        return min(units, len(line))
    raw = line.encode(_CODECS[encoding], "surrogatepass")[: units * _UNIT_BYTES[encoding]]
    return len(raw.decode(_CODECS[encoding], "ignore"))


def code_units(line: str, column: int, encoding: str) -> int:
    """Code units before `column` code points."""
    head = line[:column]
    if encoding == "utf-32" or head.isascii():
        return len(head)
    return len(head.encode(_CODECS[encoding], "surrogatepass")) // _UNIT_BYTES[encoding]
