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
    is_reference,
    last_name,
    read_kernel,
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
        self._assigned = [sides for kind in _ASSIGNMENTS for sides in _bindings(self.node, kind)]
        bound = [*self._assigned, *_bindings(self.node, "for_statement")]
        self._own = set(read_kernel(definition).parameters)
        self._own.update(*(identifiers(left) for left, _ in bound))
        self.addresses = self._addresses()
        self.reduces = reduces
        """Lanes meet, in this body or its caller, so what masked lanes hold matters."""

    def accesses(self) -> Iterator[Node]:
        for call in walk(self.node):
            if _is_access(call):
                yield call

    def values(self, operators: str) -> Iterator[tuple[Node, Node, Node, str]]:
        """(expression, left, right, operator) of arithmetic on values, outermost first."""
        for node in walk(self.node):
            parts = _binary(node)
            if parts is None or parts[2] not in operators or self._is_address(node):
                continue
            yield node, *parts

    def _is_address(self, node: Node) -> bool:
        if self._names(node) & self.addresses or any(map(_is_position, _made_of(node))):
            return True
        for above in _ancestors(node, self.node):
            if _is_access(above):
                pointer = arguments(above)[:1]
                return any(one.start_byte <= node.start_byte < one.end_byte for one in pointer)
            if above.type == "call" and _callee(above) in _EXTENTS:
                return True
            left = above.child_by_field_name("left") if above.type in _ASSIGNMENTS else None
            if left is not None:
                return bool(self._names(left) & self.addresses)
        return False

    def _addresses(self) -> set[str]:
        """Whatever the addresses of accesses are made of, through any number of assignments."""
        names: set[str] = set()
        for call in self.accesses():
            names |= self._names(arguments(call)[0]) if arguments(call) else set()
        n_known = -1
        while n_known < len(names):
            n_known = len(names)
            for left, right in self._assigned:
                if self._names(left) & names:
                    names |= self._names(right)
        return names

    def _names(self, node: Node) -> set[str]:
        """Names of variables and constants that the result is made of."""
        return {source(one) for one in _made_of(node) if is_reference(one) and self._is_data(one)}

    def _is_data(self, name: Node) -> bool:
        """Not so a module before its dot or a function: `tl` makes values as well as addresses."""
        is_used_from = name.parent is not None and name.parent.type in ("attribute", "call")
        return not is_used_from or source(name) in self._own


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
_ASSIGNMENTS = ("assignment", "augmented_assignment")
_POSITIONS = ("program_id", "num_programs", "arange")
_REDUCING = ("sum", "max", "min", "argmax", "argmin", "dot", "cumsum", "reduce", "atomic_add")
_NUMBERS = ("integer", "float")
_REDUCTIONS = {
    "sum": "max", "max": "min", "min": "max", "argmax": "argmin", "argmin": "argmax",
    "maximum": "minimum", "minimum": "maximum", "atomic_add": "atomic_max", "exp": "exp2",
}  # fmt: skip


def _bindings(body: Node, kind: str) -> Iterator[tuple[Node, Node]]:
    """Target and value of each assignment; of a loop, its variable and its range."""
    for node in walk(body):
        if node.type == kind:
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is not None and right is not None:
                yield left, right


def _made_of(node: Node) -> Iterator[Node]:
    """The node and what makes its result as an address would be made."""
    stack = [node]
    while stack:
        current = stack.pop()
        if not _is_value(current):
            yield current
            stack.extend(current.children)


def _is_value(node: Node) -> bool:
    """Whether the result is no address, whatever it is made of: what lies at one, whether
    something holds, a type, a quotient, which is no whole number."""
    if node.type == "attribute":
        return last_name(node) in ("dtype", "type")
    parts = _binary(node)
    is_quotient = parts is not None and parts[2] == "/"
    return node.type == "comparison_operator" or is_quotient or _is_access(node)


def _ancestors(node: Node, outermost: Node) -> Iterator[Node]:
    above = node.parent
    while above is not None and above != outermost:
        yield above
        above = above.parent


def _is_access(node: Node) -> bool:
    return node.type == "call" and _callee(node) in _ACCESSES


def _is_position(node: Node) -> bool:
    """Whether it says where a program or a lane is, which is all that most addresses vary by."""
    return node.type == "call" and _callee(node) in _POSITIONS


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
