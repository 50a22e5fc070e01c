"""Syntax trees of Python text that may be broken, half typed or not Python at all.

tree-sitter recovers from any error, so nothing here can fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import tree_sitter_python
from tree_sitter import Language, Node, Parser, Tree

PYTHON = Language(tree_sitter_python.language())


def normalized_bytes(text: str) -> bytes:
    """UTF-8 of the text, a lone carriage return becoming a newline (same length).

    Python ends a line at a lone carriage return, tree-sitter's grammar does not.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if b"\r" not in raw:
        return raw
    return raw.replace(b"\r\n", b"\0\n").replace(b"\r", b"\n").replace(b"\0\n", b"\r\n")


def parse_tree(source: bytes, old: Tree | None = None) -> Tree:
    """The tree of `source`. `old` must have been edited to match, and saves work."""
    parser = Parser(PYTHON)
    return parser.parse(source, old) if old is not None else parser.parse(source)


def top_level(tree: Tree) -> Iterator[Node]:
    """Statements of the file; those inside an error count as top level too."""
    stack = [tree.root_node]
    while stack:
        node = stack.pop()
        if node.type in ("module", "ERROR"):
            stack.extend(reversed(node.children))
        elif node.is_named and node.type != "comment":
            yield node


def edit_tree(tree: Tree, old: bytes, new: bytes) -> None:
    """Tells the tree what was replaced, as one span between the common ends."""
    start = _common_prefix(old, new)
    limit = min(len(old), len(new)) - start
    tail = _common_prefix(old[::-1], new[::-1], limit)
    old_end, new_end = len(old) - tail, len(new) - tail
    tree.edit(
        start_byte=start, old_end_byte=old_end, new_end_byte=new_end,
        start_point=_point(old, start), old_end_point=_point(old, old_end),
        new_end_point=_point(new, new_end),
    )  # fmt: skip


def _common_prefix(left: bytes, right: bytes, limit: int | None = None) -> int:
    """Length of the longest common prefix, by bisection: slices compare at memory speed."""
    low, high = 0, min(len(left), len(right)) if limit is None else limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _point(source: bytes, offset: int) -> tuple[int, int]:
    last = source.rfind(b"\n", 0, offset)
    return source.count(b"\n", 0, offset), offset - last - 1
