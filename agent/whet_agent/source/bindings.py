"""What a launcher's variables are bound to: values, grids, enclosing functions. Pure."""

from __future__ import annotations

from tree_sitter import Node

from whet_agent.candidates.kernel_reading import arguments, identifiers, last_name, source, walk


def origins(grid: Node, function: Node) -> tuple[Node, ...]:
    """The grid's expression, and what its variables are assigned, three levels deep."""
    found, names = [grid], identifiers(grid)
    for _ in range(3):
        more = [
            node for name in sorted(names) for node in _bindings_of(name, function)
            if node not in found
        ]  # fmt: skip
        found += more
        names = set().union(*(identifiers(node) for node in more)) if more else set()
    return tuple(found)


def assignments_of(name: str, scope: Node) -> list[Node]:
    """Values bound to `name`; a tuple is taken apart; any other binding counts as itself."""
    found: list[Node] = []
    for node in walk(scope):
        if node.type == "assignment":
            left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
            if left is not None and right is not None:
                found += _bound_value(name, left, right)
        elif node.type in {"augmented_assignment", "for_statement", "named_expression"}:
            target = node.child_by_field_name("left") or node.child_by_field_name("name")
            if target is not None and name in {source(t) for t in walk(target)}:
                found.append(node)
    return found


def bound_names(function: Node) -> set[str]:
    """Parameters of the launcher: their defaults are part of its signature."""
    inner = function.child_by_field_name("definition") or function
    listed = inner.child_by_field_name("parameters")
    names = {source(n) for n in walk(listed) if n.type == "identifier"} if listed else set()
    targets = (n.child_by_field_name("left") for n in walk(inner) if n.type == "assignment")
    return names.union(*(identifiers(t) for t in targets if t is not None))


def constexpr_value(node: Node) -> Node:
    """`128` of `tl.constexpr(128)`."""
    given = arguments(node) if node.type == "call" else []
    is_constexpr = last_name(node.child_by_field_name("function")) == "constexpr"
    return given[0] if is_constexpr and len(given) == 1 else node


def is_top_level(node: Node) -> bool:
    above = node.parent
    while above is not None and above.type != "module":
        if above.type in {"function_definition", "class_definition", "lambda"}:
            return False
        above = above.parent
    return True


def is_target(node: Node) -> bool:
    above = node.parent
    return (
        above is not None
        and above.type == "assignment"
        and (above.child_by_field_name("left") == node)
    )


def is_within(node: Node, spans: list[tuple[int, int]]) -> bool:
    return any(start <= node.start_byte < end for start, end in spans)


def enclosing_function(node: Node, outermost: Node) -> Node:
    """The innermost function around a launch."""
    above = node.parent
    while above is not None and above != outermost:
        if above.type == "function_definition":
            return above
        above = above.parent
    return outermost


def definition_name(node: Node) -> str:
    inner = node.child_by_field_name("definition") or node
    return last_name(inner.child_by_field_name("name"))


def definition_at(root: Node, start: int, end: int) -> Node | None:
    """The definition, decorators included, that lies exactly there."""
    node = root.descendant_for_byte_range(start, max(start, end - 1))
    while node is not None and node.type not in {"function_definition", "decorated_definition"}:
        node = node.parent
    if node is not None and node.parent is not None and node.parent.type == "decorated_definition":
        node = node.parent
    return node


def _bindings_of(name: str, function: Node) -> list[Node]:
    """Values assigned to a variable, and inner functions of that name (`def grid(meta)`)."""
    inner = [
        node for node in walk(function)
        if node.type == "function_definition" and definition_name(node) == name
    ]  # fmt: skip
    return [*assignments_of(name, function), *inner]


def _bound_value(name: str, left: Node, right: Node) -> list[Node]:
    if left.type == "identifier":
        return [right] if source(left) == name else []
    targets, values = left.named_children, right.named_children
    if left.type in {"pattern_list", "tuple_pattern"} and len(targets) == len(values):
        pairs = zip(targets, values, strict=True)
        return [value for target, value in pairs if source(target) == name]
    return [right] if left.type != "attribute" and name in identifiers(left) else []
