"""Whole numbers in the texts of two versions at which one of them may change its ways. Pure."""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Iterator

MAX_LITERALS = 4
MAX_LITERAL, SHARED_LITERALS = 1 << 17, range(16, 129)
_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.LShift: operator.lshift, ast.Pow: operator.pow, ast.FloorDiv: operator.floordiv,
}  # fmt: skip
_LARGEST_OPERAND = 1 << 17


def literals_of(original: str, candidate: str) -> list[int]:
    """Those that only the candidate's text holds, first what it compares with, block sizes last,
    since they are tried anyway; then a few small ones of both, such as a bound on the number of
    programs."""
    known, found = numbers_in(original), numbers_in(candidate)
    new = sorted(n for n in found - known if 2 <= n <= MAX_LITERAL)
    limits = _limits(candidate)
    new.sort(key=lambda n: (n not in limits, n & (n - 1) == 0))
    shared = sorted(n for n in found & known if n in SHARED_LITERALS)
    return [*new[:MAX_LITERALS], *shared[-2:]]


def numbers_in(text: str) -> set[int]:
    """As they are written, and as small sums and products of them (`4 * 1024`, `1 << 12`)."""
    written = set(map(int, _NUMBER.findall(text)))
    values = (_value(node) for node in _nodes(text) if isinstance(node, ast.BinOp))
    return written | {value for value in values if value is not None}


def _limits(text: str) -> set[int]:
    """What is on a side of a comparison."""
    sides = (
        side for node in _nodes(text) if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
    )  # fmt: skip
    return {value for value in map(_value, sides) if value is not None}


def _value(node: ast.expr) -> int | None:
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATIONS:
        return None
    left, right = _value(node.left), _value(node.right)
    if left is None or right is None or not 0 <= right <= _LARGEST_OPERAND >= abs(left):
        return None
    if isinstance(node.op, (ast.LShift, ast.Pow)) and right > 32:
        return None
    if isinstance(node.op, ast.FloorDiv) and not right:
        return None
    return _OPERATIONS[type(node.op)](left, right)


def _nodes(text: str) -> Iterator[ast.AST]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return iter(())
    return ast.walk(tree)
