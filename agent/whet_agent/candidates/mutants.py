"""Wrong versions of a user's kernel, to ask how much its tests would notice. Pure.

Each mutant has one small fault of a kind that real kernels have: a bound off by one, a
mask dropped, another value for masked lanes, strides swapped, a term or a factor left
out, another reduction, a rounded accumulator. One of each kind comes before a second of
any, always in the same order. Whether a mutant compiles is for the evaluator to say; that
each parses is certain.
"""

from __future__ import annotations

import itertools
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
from whet_agent.source.bindings import definition_at
from whet_agent.source.syntax import normalized_bytes, parse_tree
from whet_agent.source.units import unit_members
from whet_evaluator.worker.records import UnitRef

N_MUTANTS = 8
"""Enough to tell tests apart, few enough to wait for."""
MAX_DRAFTS = 20
"""Some do not compile, and others take their place."""


@attrs.frozen(kw_only=True)
class Mutant:
    """`text` is the whole file. `before` and `after` are the changed line, stripped."""

    kind: str
    text: str
    line: int
    before: str
    after: str


def mutants_of(unit: UnitRef) -> tuple[Mutant, ...]:
    """At most `MAX_DRAFTS`, the most telling first; empty where nothing could be changed."""
    raw = normalized_bytes(unit.text)
    root = parse_tree(raw).root_node
    spans = {m.qualname: (m.start, m.end) for m in unit_members(unit.text, unit.kernels[0])}
    found = [definition_at(root, *spans[name]) for name in unit.kernels if name in spans]
    definitions = [node for node in found if node is not None]
    reduces = any(map(_reduces, definitions))
    bodies = [_Body(node, reduces=reduces) for node in definitions]
    streams = [
        itertools.chain.from_iterable(map(operator, bodies)) for operator in _OPERATORS.values()
    ]
    drafts: dict[str, Mutant] = {}
    for round_ in itertools.zip_longest(*streams):
        for kind, edit in zip(_OPERATORS, round_, strict=True):
            mutant = _applied(unit.text, raw, kind, edit) if edit is not None else None
            if mutant is not None and mutant.text not in (unit.text, *drafts):
                drafts[mutant.text] = mutant
    return tuple(drafts.values())[:MAX_DRAFTS]


@attrs.frozen
class _Edit:
    """Replaces bytes `start` to `end` by `new`."""

    start: int
    end: int
    new: str


class _Body:
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


# ---- operators: each yields edits, in source order ---------------------------------------


def _dropped_masks(body: _Body) -> Iterator[_Edit]:
    """Of loads where masked lanes are reduced, else of stores: other loads hide it."""
    kind = "load" if body.reduces else "store"
    for call in body.accesses():
        if _callee(call) == kind and "mask" in map(_keyword, arguments(call)):
            yield _without(call, {"mask", "other"})


def _bounds_off_by_one(body: _Body) -> Iterator[_Edit]:
    for left, operator, right in _comparisons(body):
        if operator in ("<", "<="):
            yield _Edit(right.start_byte, right.end_byte, f"({source(right)} - 1)")
        del left


def _swapped_comparisons(body: _Body) -> Iterator[_Edit]:
    swapped = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
    for left, operator, right in _comparisons(body):
        if operator in swapped:
            between = source_between(left, right).replace(operator, swapped[operator])
            yield _Edit(left.end_byte, right.start_byte, between)


def _other_values(body: _Body) -> Iterator[_Edit]:
    for call in body.accesses() if body.reduces else ():
        for argument in arguments(call):
            if _keyword(argument) == "other":
                value = argument.child_by_field_name("value")
                assert value is not None
                infinite = "inf" in source(value)
                yield _Edit(value.start_byte, value.end_byte, "0.0" if infinite else "1")


def _dropped_terms(body: _Body) -> Iterator[_Edit]:
    for node, left, right, _ in body.values("+-"):
        kept = right if left.type in _NUMBERS else left
        yield _Edit(node.start_byte, node.end_byte, source(kept))


def _dropped_factors(body: _Body) -> Iterator[_Edit]:
    for node, left, right, operator in body.values("*/"):
        if operator == "/" and left.type in _NUMBERS:
            continue  # 1 / x without its x is a constant: another kind of fault
        kept = right if left.type in _NUMBERS else left
        yield _Edit(node.start_byte, node.end_byte, source(kept))


def _other_reductions(body: _Body) -> Iterator[_Edit]:
    for call in walk(body.node):
        name = call.child_by_field_name("function") if call.type == "call" else None
        other = _REDUCTIONS.get(last_name(name))
        if name is not None and other is not None and name.type == "attribute":
            yield _Edit(name.end_byte - len(last_name(name)), name.end_byte, other)


def _swapped_strides(body: _Body) -> Iterator[_Edit]:
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
            middle = source_between(first, second)
            new = source(second) + middle + source(first)
            yield _Edit(first.start_byte, second.end_byte, new)


def _rounded_accumulators(body: _Body) -> Iterator[_Edit]:
    for node in walk(body.node):
        if node.type != "augmented_assignment":
            continue
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        operator = node.child_by_field_name("operator")
        if left is None or right is None or operator is None or source(operator) != "+=":
            continue
        if not identifiers(left) & body.addresses:
            rounded = f"({source(left)} + ({source(right)})).to(tl.float16).to(tl.float32)"
            yield _Edit(node.start_byte, node.end_byte, f"{source(left)} = {rounded}")


def _changed_constants(body: _Body) -> Iterator[_Edit]:
    for _, left, right, _ in body.values("+-*/"):
        for one in (left, right):
            if one.type == "float":
                yield _Edit(one.start_byte, one.end_byte, repr(float(source(one)) + 1.0))


def _shortened_loops(body: _Body) -> Iterator[_Edit]:
    for call in calls(body.node, "range"):
        given = arguments(call)
        if len(given) >= 2:
            bound = given[1]
            yield _Edit(bound.start_byte, bound.end_byte, f"{source(bound)} - 1")


_OPERATORS = {
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


# ---- syntax -------------------------------------------------------------------------------


def source_between(left: Node, right: Node) -> str:
    """The text between two nodes of one expression."""
    node: Node | None = left
    while node is not None and node.end_byte < right.end_byte:
        node = node.parent
    assert node is not None
    text = node.text or b""
    return text[left.end_byte - node.start_byte : right.start_byte - node.start_byte].decode()


def _reduces(definition: Node) -> bool:
    return any(_callee(one) in _REDUCING for one in walk(definition) if one.type == "call")


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


def _comparisons(body: _Body) -> Iterator[tuple[Node, str, Node]]:
    """Left, operator and right of each comparison of two."""
    for node in walk(body.node):
        if node.type == "comparison_operator" and len(node.named_children) == 2:
            left, right = node.named_children
            yield left, source_between(left, right).strip(), right


def _without(call: Node, names: set[str]) -> _Edit:
    listed = call.child_by_field_name("arguments")
    assert listed is not None
    kept = ", ".join(source(one) for one in arguments(call) if _keyword(one) not in names)
    return _Edit(listed.start_byte, listed.end_byte, f"({kept})")


def _applied(text: str, raw: bytes, kind: str, edit: _Edit) -> Mutant | None:
    """None where the result does not parse, or where the text's line ends are unusual."""
    bytes_ = text.encode("utf-8", "surrogatepass")
    if len(bytes_) != len(raw):
        return None
    changed = bytes_[: edit.start] + edit.new.encode() + bytes_[edit.end :]
    if parse_tree(changed).root_node.has_error:
        return None
    end = changed.find(b"\n", edit.start + len(edit.new.encode()))
    first = changed.rfind(b"\n", 0, edit.start) + 1
    old_end = bytes_.find(b"\n", edit.end)
    return Mutant(
        kind=kind,
        text=changed.decode("utf-8", "surrogatepass"),
        line=changed.count(b"\n", 0, edit.start) + 1,
        before=_one_line(bytes_[first : old_end if old_end >= 0 else None]),
        after=_one_line(changed[first : end if end >= 0 else None]),
    )


def _one_line(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())
