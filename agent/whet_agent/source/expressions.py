"""The few shapes of expression from which it is decided what a name stands for.

`Expr` is a small closed language: a dotted name, a call, a choice between values, a
lambda. Everything else is None, *unknown*. It holds no syntax-tree nodes, so it may be
kept after the tree is edited.
"""

from __future__ import annotations

import attrs
from tree_sitter import Node

_MAX_DEPTH = 24
"""Deeper nesting is not how anybody names a decorator; it is treated as unknown."""


@attrs.frozen
class Name:
    path: str


@attrs.frozen
class Call:
    """`positional` are the arguments without a name, unknown ones as None."""

    function: Expr
    positional: tuple[Expr, ...]
    literal: str | None = None
    """First argument if it is a plain string, as in `import_module("triton")`."""


@attrs.frozen
class Choice:
    """`a if c else b`, `a or b`: it may be either."""

    values: tuple[Expr, ...]


@attrs.frozen
class Lambda:
    parameters: tuple[str, ...]
    body: Expr


Expr = Name | Call | Choice | Lambda | None


def expression(  # noqa: PLR0911 - one case per shape
    node: Node, source: bytes, depth: int = 0
) -> Expr:
    """What `node` says, as far as `Expr` can say it."""
    if depth > _MAX_DEPTH:
        return None
    match node.type:
        case "identifier" | "attribute":
            path = dotted(node, source)
            return Name(path) if path is not None else None
        case "parenthesized_expression" if node.named_children:
            return expression(node.named_children[0], source, depth + 1)
        case "call":
            return _call(node, source, depth)
        case "conditional_expression" if len(node.named_children) == 3:
            first, _, last = node.named_children
            return _choice((first, last), source, depth)
        case "boolean_operator":
            return _choice(tuple(node.named_children), source, depth)
        case "lambda":
            return _lambda(node, source, depth)
        case "assignment":  # a = b = value
            right = node.child_by_field_name("right")
            return expression(right, source, depth + 1) if right is not None else None
    return None


def _call(node: Node, source: bytes, depth: int) -> Expr:
    function = node.child_by_field_name("function")
    arguments = node.child_by_field_name("arguments")
    if function is None or arguments is None or arguments.type != "argument_list":
        return None
    positional = [
        a for a in arguments.named_children if a.type not in ("keyword_argument", "comment")
    ]
    called = expression(function, source, depth + 1)
    if called is None:
        return None
    return Call(
        function=called,
        positional=tuple(
            expression(a, source, depth + 1)
            for a in positional
            if a.type not in ("list_splat", "dictionary_splat")
        ),
        literal=_literal(positional[0], source) if positional else None,
    )


def _choice(nodes: tuple[Node, ...], source: bytes, depth: int) -> Expr:
    values = tuple(expression(n, source, depth + 1) for n in nodes)
    return Choice(values) if any(v is not None for v in values) else None


def _lambda(node: Node, source: bytes, depth: int) -> Expr:
    body = node.child_by_field_name("body")
    parameters = node.child_by_field_name("parameters")
    if body is None:
        return None
    names = references(parameters, source) if parameters is not None else frozenset()
    return Lambda(tuple(sorted(names)), expression(body, source, depth + 1))


def _literal(node: Node, source: bytes) -> str | None:
    if node.type != "string":
        return None
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace").strip("'\"")


def dotted(node: Node, source: bytes) -> str | None:
    """`a.b.c` of an identifier or a chain of attributes on one, else None."""
    parts: list[str] = []
    while node.type == "attribute":
        attribute = node.child_by_field_name("attribute")
        inner = node.child_by_field_name("object")
        if attribute is None or inner is None:
            return None
        parts.append(source[attribute.start_byte : attribute.end_byte].decode("utf-8", "replace"))
        node = inner
    if node.type != "identifier":
        return None
    parts.append(source[node.start_byte : node.end_byte].decode("utf-8", "replace"))
    return ".".join(reversed(parts))


def references(node: Node, source: bytes) -> frozenset[str]:
    """All dotted names read below `node`, keyword names left out."""
    found: set[str] = set()
    stack = [node]
    while stack:
        node = stack.pop()
        if node.type in ("identifier", "attribute"):
            path = dotted(node, source)
            if path is not None:
                found.add(path)
            else:
                stack.extend(node.named_children[:1])
        elif node.type == "keyword_argument":
            stack.extend(node.named_children[1:])
        else:
            stack.extend(node.named_children)
    return frozenset(found)
