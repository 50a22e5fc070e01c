"""The kinds of small fault that a kernel may have, and where each can be planted. Pure.

An operator yields edits of a kernel's body, in source order; those on arithmetic leave alone
what makes an address.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from tree_sitter import Node

from whet_agent.candidates.kernel_reading import (
    arguments,
    calls,
    identifiers,
    last_name,
    source,
    walk,
)


@attrs.frozen
class Edit:
    """Replaces bytes `start` to `end` by `new`."""

    start: int
    end: int
    new: str


def lanes_meet(definition: Node) -> bool:
    """Whether lanes meet in a kernel, so that what masked lanes hold matters."""
    return any(_callee(one) in _REDUCING for one in walk(definition) if one.type == "call")


class Body:
    """A kernel's body, and which of its names make addresses rather than values."""

    def __init__(self, definition: Node, *, reduces: bool) -> None:
        function = definition.child_by_field_name("definition") or definition
        self.node = function.child_by_field_name("body") or function
        self.addresses = self._addresses()
        self.reduces = reduces
        """Lanes meet, in this body or its caller, so what masked lanes hold matters."""

    def accesses(self) -> Iterator[Node]:
        for call in walk(self.node):
            if call.type == "call" and _callee(call) in _ACCESSES:
                yield call

    def values(self, operators: str) -> Iterator[tuple[Node, Node, Node, str]]:
        """(expression, left, right, operator) of arithmetic on values, outermost first."""
        for node in walk(self.node):
            parts = _binary(node)
            if parts is None or parts[2] not in operators or self._is_address(node):
                continue
            yield node, *parts

    def _is_address(self, node: Node) -> bool:
        if identifiers(node) & self.addresses:
            return True
        parent = node.parent
        while parent is not None and parent != self.node:
            if parent.type == "call" and _callee(parent) in (*_ACCESSES, *_EXTENTS):
                first = arguments(parent)[:1] if _callee(parent) in _ACCESSES else [parent]
                if any(one.start_byte <= node.start_byte < one.end_byte for one in first):
                    return True
            parent = parent.parent
        return False

    def _addresses(self) -> set[str]:
        names: set[str] = set()
        for call in self.accesses():
            names |= identifiers(arguments(call)[0]) if arguments(call) else set()
        assigned = [
            (left, right) for node in walk(self.node)
            if (left := node.child_by_field_name("left")) is not None
            and (right := node.child_by_field_name("right")) is not None
            and "assignment" in node.type
        ]  # fmt: skip
        for _ in range(3):
            for left, right in assigned:
                if identifiers(left) & names and not any(calls(right, "load")):
                    names |= identifiers(right)
        return names


def _dropped_masks(body: Body) -> Iterator[Edit]:
    """Of loads where masked lanes are reduced, else of stores: other loads hide it."""
    kind = "load" if body.reduces else "store"
    for call in body.accesses():
        if _callee(call) == kind and "mask" in map(_keyword, arguments(call)):
            yield _without(call, {"mask", "other"})


def _bounds_off_by_one(body: Body) -> Iterator[Edit]:
    for left, operator, right in _comparisons(body):
        if operator in ("<", "<="):
            yield Edit(right.start_byte, right.end_byte, f"({source(right)} - 1)")
        del left


def _swapped_comparisons(body: Body) -> Iterator[Edit]:
    swapped = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
    for left, operator, right in _comparisons(body):
        if operator in swapped:
            between = _source_between(left, right).replace(operator, swapped[operator])
            yield Edit(left.end_byte, right.start_byte, between)


def _other_values(body: Body) -> Iterator[Edit]:
    for call in body.accesses() if body.reduces else ():
        for argument in arguments(call):
            if _keyword(argument) == "other":
                value = argument.child_by_field_name("value")
                assert value is not None
                infinite = "inf" in source(value)
                yield Edit(value.start_byte, value.end_byte, "0.0" if infinite else "1")


def _dropped_terms(body: Body) -> Iterator[Edit]:
    for node, left, right, _ in body.values("+-"):
        kept = right if left.type in _NUMBERS else left
        yield Edit(node.start_byte, node.end_byte, source(kept))


def _dropped_factors(body: Body) -> Iterator[Edit]:
    for node, left, right, operator in body.values("*/"):
        if operator == "/" and left.type in _NUMBERS:
            continue  # 1 / x without its x is a constant: another kind of fault
        kept = right if left.type in _NUMBERS else left
        yield Edit(node.start_byte, node.end_byte, source(kept))


def _other_reductions(body: Body) -> Iterator[Edit]:
    for call in walk(body.node):
        name = call.child_by_field_name("function") if call.type == "call" else None
        other = _REDUCTIONS.get(last_name(name))
        if name is not None and other is not None and name.type == "attribute":
            yield Edit(name.end_byte - len(last_name(name)), name.end_byte, other)


def _swapped_strides(body: Body) -> Iterator[Edit]:
    for node in walk(body.node):
        if node.type != "binary_operator" or (parent := node.parent) is None:
            continue
        strides = [
            one for one in walk(node) if one.type == "identifier" and "stride" in source(one)
        ]
        if parent.type == "binary_operator" or len({source(one) for one in strides}) < 2:
            continue
        first, second = strides[:2]
        if source(first) != source(second):
            middle = _source_between(first, second)
            new = source(second) + middle + source(first)
            yield Edit(first.start_byte, second.end_byte, new)


def _rounded_accumulators(body: Body) -> Iterator[Edit]:
    for node in walk(body.node):
        if node.type != "augmented_assignment":
            continue
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = node.child_by_field_name("operator")
        if left is None or right is None or operator is None or source(operator) != "+=":
            continue
        if not identifiers(left) & body.addresses:
            rounded = f"({source(left)} + ({source(right)})).to(tl.float16).to(tl.float32)"
            yield Edit(node.start_byte, node.end_byte, f"{source(left)} = {rounded}")


def _changed_constants(body: Body) -> Iterator[Edit]:
    for _, left, right, _ in body.values("+-*/"):
        for one in (left, right):
            if one.type == "float":
                yield Edit(one.start_byte, one.end_byte, repr(float(source(one)) + 1.0))


def _shortened_loops(body: Body) -> Iterator[Edit]:
    for call in calls(body.node, "range"):
        given = arguments(call)
        if len(given) >= 2:
            bound = given[1]
            yield Edit(bound.start_byte, bound.end_byte, f"{source(bound)} - 1")


OPERATORS = {
    "bound off by one": _bounds_off_by_one,
    "mask dropped": _dropped_masks,
    "other value for masked lanes": _other_values,
    "term dropped": _dropped_terms,
    "factor dropped": _dropped_factors,
    "other reduction": _other_reductions,
    "strides swapped": _swapped_strides,
    "accumulator rounded": _rounded_accumulators,
    "< and <= swapped": _swapped_comparisons,
    "constant changed": _changed_constants,
    "loop ends early": _shortened_loops,
}
_ACCESSES = ("load", "store", "atomic_add", "atomic_max", "atomic_min", "atomic_cas", "atomic_xchg")
_EXTENTS = ("range", "arange", "zeros", "full", "cdiv", "program_id")
_REDUCING = ("sum", "max", "min", "argmax", "argmin", "dot", "cumsum", "reduce", "atomic_add")
_NUMBERS = ("integer", "float")
_REDUCTIONS = {
    "sum": "max", "max": "min", "min": "max", "argmax": "argmin", "argmin": "argmax",
    "maximum": "minimum", "minimum": "maximum", "atomic_add": "atomic_max", "exp": "exp2",
}  # fmt: skip


def _source_between(left: Node, right: Node) -> str:
    """The text between two nodes of one expression."""
    node: Node | None = left
    while node is not None and node.end_byte < right.end_byte:
        node = node.parent
    assert node is not None
    text = node.text or b""
    return text[left.end_byte - node.start_byte : right.start_byte - node.start_byte].decode()


def _callee(call: Node) -> str:
    return last_name(call.child_by_field_name("function"))


def _keyword(argument: Node) -> str:
    name = argument.child_by_field_name("name") if argument.type == "keyword_argument" else None
    return source(name) if name is not None else ""


def _binary(node: Node) -> tuple[Node, Node, str] | None:
    if node.type != "binary_operator":
        return None
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    operator = node.child_by_field_name("operator")
    if left is None or right is None or operator is None:
        return None
    return left, right, source(operator)


def _comparisons(body: Body) -> Iterator[tuple[Node, str, Node]]:
    """Left, operator and right of each comparison of two."""
    for node in walk(body.node):
        if node.type == "comparison_operator" and len(node.named_children) == 2:
            left, right = node.named_children
            yield left, _source_between(left, right).strip(), right


def _without(call: Node, names: set[str]) -> Edit:
    listed = call.child_by_field_name("arguments")
    assert listed is not None
    kept = ", ".join(source(one) for one in arguments(call) if _keyword(one) not in names)
    return Edit(listed.start_byte, listed.end_byte, f"({kept})")
