"""How host code launches a kernel, read from its syntax tree. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from tree_sitter import Node

from whet_agent.candidates.kernel_reading import arguments, last_name, walk
from whet_agent.candidates.launch_sites import keywords
from whet_agent.source.bindings import enclosing_function, origins


@attrs.frozen(kw_only=True, eq=False)
class Launch:
    """One `kernel[grid](...)`, in `function`."""

    call: Node
    function: Node
    grid: tuple[Node, ...]
    """The grid's expression, and those it is computed from."""
    given: dict[str, Node]
    """What is passed, by the kernel's parameter or the option's name."""
    has_splat: bool
    """Then more may be passed than can be read, and `given` holds keywords alone."""


def launches_in(function: Node, kernel: str, parameters: tuple[str, ...]) -> Iterator[Launch]:
    """Launches of `kernel`, whose `parameters` are named in order, in source order."""
    for call in walk(function):
        callee = call.child_by_field_name("function") if call.type == "call" else None
        if callee is None or callee.type != "subscript":
            continue
        if last_name(callee.child_by_field_name("value")) != kernel:
            continue
        grid = callee.child_by_field_name("subscript")
        given = dict(keywords(call))
        positional = [a for a in arguments(call) if a.type != "keyword_argument"]
        splat = any("splat" in a.type for a in arguments(call))
        if not splat:
            given |= dict(zip(parameters, positional, strict=False))
        yield Launch(
            call=call, function=enclosing_function(call, function), given=given, has_splat=splat,
            grid=() if grid is None else origins(grid, function),
        )  # fmt: skip
