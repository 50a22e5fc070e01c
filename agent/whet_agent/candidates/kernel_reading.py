"""How a kernel uses its size parameters, read from its syntax tree. Pure.

A size may be changed only where the change cannot alter what is computed: it is the
step of a loop that covers the whole extent, or it scales the program id and the grid is
computed from the same size. `sweep` asks here which of the two holds for a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from tree_sitter import Node


@attrs.frozen(kw_only=True, eq=False)
class KernelReading:
    """Facts of one kernel definition. Names are parameters of the kernel."""

    parameters: tuple[str, ...]
    defaults: dict[str, Node]
    steps: frozenset[str]
    """Loops step by them, or count their blocks: any size covers the extent."""
    scales_program: frozenset[str]
    """They scale the program id: the grid must follow."""
    grouping: frozenset[str]
    """They order programs for cache reuse: any size is right."""
    strides_by_programs: bool
    """Programs loop over all tiles whatever the grid is."""
    has_loop: bool
    has_dot: bool
    decorators: tuple[Node, ...]
    streaming_loads: tuple[Node, ...]
    """Loads outside loops, of pointers that are loaded once: their data is used once."""


def read_kernel(definition: Node) -> KernelReading:
    """`definition` is a `function_definition`, or a `decorated_definition` around one."""
    function = definition.child_by_field_name("definition") or definition
    body = function.child_by_field_name("body") or function
    parameters, defaults = _parameters(function)
    flow = _Flow(body)
    scaled = frozenset(name for name in parameters if flow.scales_program(name))
    return KernelReading(
        parameters=parameters,
        defaults=defaults,
        steps=frozenset(name for name in parameters if flow.is_step(name)),
        scales_program=scaled,
        grouping=frozenset(name for name in parameters if flow.is_grouping(name)),
        strides_by_programs=any(calls(body, "num_programs")),
        has_loop=_has_loop(body),
        has_dot=any(calls(body, "dot")) or any(calls(body, "dot_scaled")),
        decorators=tuple(c for c in definition.children if c.type == "decorator"),
        streaming_loads=_streaming_loads(body),
    )


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, in source order, without recursion."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.children))


def calls(node: Node, name: str) -> Iterator[Node]:
    """Calls of `name` below `node`, bare or as an attribute (`tl.dot`)."""
    for call in walk(node):
        if call.type == "call" and last_name(call.child_by_field_name("function")) == name:
            yield call


def last_name(node: Node | None) -> str:
    """`c` of `a.b.c`, `f` of `f`; empty for anything else."""
    if node is not None and node.type == "attribute":
        node = node.child_by_field_name("attribute")
    return source(node) if node is not None and node.type == "identifier" else ""


def identifiers(node: Node) -> set[str]:
    """Names read below `node`: not attributes, not keywords of calls."""
    return {source(found) for found in walk(node) if is_reference(found)}


def is_reference(node: Node) -> bool:
    """Whether an identifier stands for a variable, not for a keyword or an attribute."""
    parent = node.parent
    if node.type != "identifier" or parent is None:
        return False
    if parent.type == "keyword_argument":
        return parent.child_by_field_name("name") != node
    if parent.type == "attribute":
        return parent.child_by_field_name("attribute") != node
    return True


def source(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


def arguments(call: Node) -> list[Node]:
    """Arguments of a call, comments left out."""
    listed = call.child_by_field_name("arguments")
    if listed is None:
        return []
    return [child for child in listed.named_children if child.type != "comment"]


def integer(node: Node | None) -> int | None:
    """The value of a decimal literal."""
    if node is None or node.type != "integer" or not source(node).isdigit():
        return None
    return int(source(node))


class _Flow:
    """What the kernel's variables are made of, by names alone."""

    def __init__(self, body: Node) -> None:
        self.body = body
        self.assigned = list(_assignments(body))
        self.programs = self._closure_of_programs()

    def scales_program(self, name: str) -> bool:
        """A product, or a call of a helper, joins the program id and the size."""
        names = self._sizes_made_of(name)
        for node in walk(self.body):
            if node.type == "binary_operator" and _operator(node) == "*":
                left, right = _sides(node)
                if (self._is_program(left) and identifiers(right) & names) or (
                    self._is_program(right) and identifiers(left) & names
                ):
                    return True
            elif node.type == "call" and last_name(node.child_by_field_name("function")) not in (
                _KNOWN_CALLS
            ):
                given = arguments(node)
                if any(identifiers(one) & names for one in given) and any(
                    self._is_program(one) for one in given
                ):
                    return True
        return False

    def is_step(self, name: str) -> bool:
        names = self._sizes_made_of(name)
        for call in (c for kind in ("range", "static_range") for c in calls(self.body, kind)):
            given = [one for one in arguments(call) if one.type != "keyword_argument"]
            if len(given) == 3 and identifiers(given[2]) & names:
                return True
            if given and any(self._counts_blocks(one, names) for one in given[:2]):
                return True
        return False

    def is_grouping(self, name: str) -> bool:
        """The usual tile order: `min(n_tiles - first, GROUP)` rows of tiles at a time."""
        return any(
            any(source(one) == name for one in arguments(call))
            and any(one.type == "binary_operator" for one in arguments(call))
            for kind in ("min", "minimum")
            for call in calls(self.body, kind)
        )

    def _counts_blocks(self, bound: Node, names: set[str]) -> bool:
        """Whether a loop bound is the number of blocks of one of these sizes."""
        nodes = [bound]
        known = identifiers(bound)
        nodes += [value for target, value in self.assigned if target in known]
        return any(_divides_by(node, names) for top in nodes for node in walk(top))

    def _sizes_made_of(self, name: str) -> set[str]:
        """The parameter, and scalars computed from it alone."""
        names = {name}
        for _ in range(3):
            for target, value in self.assigned:
                plain = not any(node.type == "call" for node in walk(value))
                if plain and identifiers(value) & names and not self._is_program(value):
                    names.add(target)
        return names

    def _closure_of_programs(self) -> set[str]:
        """Variables that hold the program id, or are computed from it without a load."""
        found: set[str] = set()
        for _ in range(4):
            for target, value in self.assigned:
                loaded = any(calls(value, "load"))
                if not loaded and (any(calls(value, "program_id")) or identifiers(value) & found):
                    found.add(target)
        return found

    def _is_program(self, node: Node) -> bool:
        return any(calls(node, "program_id")) or bool(identifiers(node) & self.programs)


_KNOWN_CALLS = frozenset({
    "load", "store", "arange", "zeros", "full", "cdiv", "min", "max", "minimum", "maximum",
    "where", "range", "static_range", "to", "dot", "program_id", "num_programs", "multiple_of",
    "max_contiguous", "sum", "exp", "log", "sqrt", "trans", "reshape", "broadcast_to",
    "expand_dims", "atomic_add", "int64", "int32", "cast", "assume", "static_assert",
})  # fmt: skip
"""Calls that take a size and a program id together without tying them to each other."""


def _assignments(body: Node) -> Iterator[tuple[str, Node]]:
    """(variable, value) pairs; a tuple on the left gets the whole value; loops their start."""
    for node in walk(body):
        if node.type in {"assignment", "augmented_assignment"}:
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is not None and right is not None:
                for target in walk(left):
                    if target.type == "identifier":
                        yield source(target), right
        elif node.type == "for_statement":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is not None and right is not None and right.type == "call":
                given = arguments(right)
                if len(given) >= 2:
                    yield source(left), given[0]


def _parameters(function: Node) -> tuple[tuple[str, ...], dict[str, Node]]:
    names: list[str] = []
    defaults: dict[str, Node] = {}
    listed = function.child_by_field_name("parameters")
    for child in listed.named_children if listed is not None else ():
        named = child.child_by_field_name("name") or child
        if child.type == "typed_parameter":
            named = child.named_children[0]
        if named.type != "identifier":
            continue
        names.append(source(named))
        value = child.child_by_field_name("value")
        if value is not None:
            defaults[source(named)] = value
    return tuple(names), defaults


def _streaming_loads(body: Node) -> tuple[Node, ...]:
    loads = list(calls(body, "load"))
    bases = [identifiers(arguments(load)[0]) if arguments(load) else set() for load in loads]
    found = []
    for index, load in enumerate(loads):
        pointers = {name for name in bases[index] if "ptr" in name.lower()}
        others = set().union(*(b for i, b in enumerate(bases) if i != index))
        if pointers and not pointers & others:
            found.append(load)
    return tuple(found) if len(found) == len(loads) and not _has_loop(body) else ()


def _has_loop(body: Node) -> bool:
    return any(node.type in {"for_statement", "while_statement"} for node in walk(body))


def _operator(node: Node) -> str:
    operator = node.child_by_field_name("operator")
    return source(operator) if operator is not None else ""


def _sides(node: Node) -> tuple[Node, Node]:
    left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
    assert left is not None
    assert right is not None
    return left, right


def _divides_by(node: Node, names: set[str]) -> bool:
    if node.type == "binary_operator" and _operator(node) == "//":
        return bool(identifiers(_sides(node)[1]) & names)
    if node.type == "call" and last_name(node.child_by_field_name("function")) == "cdiv":
        given = arguments(node)
        return len(given) == 2 and bool(identifiers(given[1]) & names)
    return False
