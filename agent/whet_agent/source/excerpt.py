"""The part of a file that a model needs to see of a unit. Pure.

Whole top-level statements: those that hold a member of the unit, and every statement that
defines no function or class (imports, constants). The rest of the file stays at home.
"""

from __future__ import annotations

from whet_agent.source.syntax import normalized_bytes, parse_tree, top_level
from whet_agent.source.units import unit_members

_DEFINITIONS = ("function_definition", "class_definition", "decorated_definition")


def excerpt(text: str, kernel: str) -> str:
    """The unit of `kernel` with imports and constants; the whole text if there is none."""
    members = unit_members(text, kernel)
    if not members:
        return text
    source = normalized_bytes(text)
    kept = [
        source[node.start_byte : node.end_byte]
        for node in top_level(parse_tree(source))
        if node.type not in _DEFINITIONS
        or any(node.start_byte <= one.start < node.end_byte for one in members)
    ]
    return b"\n\n".join(kept).decode("utf-8", "replace") + "\n"
