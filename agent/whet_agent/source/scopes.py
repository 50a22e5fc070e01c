"""What one top-level statement of a Python file says, as values that know no position.

Every offset is relative to the statement's start, so a reading depends on the statement's
bytes alone and can be cached by them.
"""

from __future__ import annotations

import attrs

from whet_agent.source.expressions import Call, Expr


@attrs.define(eq=False)
class Scope:
    """A module's, class's or function's own names. Filled by `summarize`, then left alone.

    `assigned` maps a name to what its values refer to; `bound` to the values themselves
    as far as `Expr` can say them. `imports` maps a name to the dotted paths it may stand
    for (relative ones start with dots); a star import is stored under `*`.
    """

    parameters: frozenset[str] = frozenset()
    assigned: dict[str, set[str]] = attrs.field(factory=dict)
    bound: dict[str, list[Expr]] = attrs.field(factory=dict)
    imports: dict[str, list[str]] = attrs.field(factory=dict)
    definitions: dict[str, list[Definition]] = attrs.field(factory=dict)
    spans: dict[str, list[tuple[int, int]]] = attrs.field(factory=dict)
    """Where a module-level name is assigned: byte spans of whole statements."""
    refs: set[str] = attrs.field(factory=set)
    launches: list[tuple[frozenset[str], frozenset[str]]] = attrs.field(factory=list)
    """What looks like a launch: names in the callee, names in the arguments."""
    applied: list[Call] = attrs.field(factory=list)
    """Calls: whether one of them applies `triton.jit` is asked later."""
    returned: list[Expr] = attrs.field(factory=list)


@attrs.define(eq=False)
class Definition:
    """A function or class. Spans are bytes from the chunk's start, rows likewise.

    `start` includes the decorators; `row` is the `def` line; `end_row` is the last line
    as `ast` counts it, while `end` may lie after trailing comments of the body.
    """

    name: str
    qualname: str
    kind: str
    parent: Definition | None
    start: int
    end: int
    start_row: int
    row: int
    end_row: int
    decorators: tuple[str, ...]
    decorator_values: tuple[Expr, ...]
    decorator_refs: frozenset[str]
    signature: str
    bases: tuple[str, ...]
    scope: Scope

    @property
    def enclosing_class(self) -> Definition | None:
        found: Definition | None = self.parent
        while found is not None and found.kind != "class":
            found = found.parent
        return found


@attrs.frozen(eq=False)
class Chunk:
    """Summary of one top-level statement: its definitions in source order, its own names."""

    definitions: tuple[Definition, ...]
    scope: Scope
    interface: dict[str, object]
    """See `interface_of`."""
    roots: frozenset[str]
    """First parts of all names that occur in the chunk."""


def interface_of(scope: Scope) -> dict[str, object]:
    """What each of the scope's names stands for, comparable between two readings."""
    names = {*scope.definitions, *scope.assigned, *scope.imports}
    return {
        name: (
            tuple(_shape(d) for d in scope.definitions.get(name, ())),
            frozenset(scope.assigned.get(name, ())),
            tuple(scope.bound.get(name, ())),
            tuple(scope.imports.get(name, ())),
        )
        for name in names
    }


def _shape(definition: Definition) -> object:
    """Of a class its members too: they are reached from outside by their names."""
    if definition.kind != "class":
        return definition.kind
    members = interface_of(definition.scope)
    return (definition.bases, tuple(sorted(members)), tuple(members[n] for n in sorted(members)))
