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
