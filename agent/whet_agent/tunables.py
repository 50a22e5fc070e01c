"""What a sweep may change in a unit, and where that is written. Pure.

An `Axis` is one parameter with every place that spells its value: change them together
or not at all. A size that the grid depends on is an axis only if the grid follows.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from tree_sitter import Node

from whet_agent.kernel_reading import (
    KernelReading,
    arguments,
    calls,
    identifiers,
    integer,
    is_reference,
    last_name,
    read_kernel,
    source,
    walk,
)
from whet_agent.source import unit_members
from whet_agent.syntax import normalized_bytes, parse_tree
from whet_evaluator.worker.records import UnitRef

OPTIONS = ("num_warps", "num_stages", "waves_per_eu", "matrix_instr_nonkdim", "kpack")
DEFAULTS = {"num_warps": 4}
"""Triton's own on every backend, where a launch says nothing."""


@attrs.frozen(kw_only=True)
class Site:
    """One place: bytes `start` to `end` spell `value`; empty when it must be inserted.

    `before` is then what goes in front of the number.
    """

    start: int
    end: int
    value: int
    before: str = ""
    after: str = ""


@attrs.frozen(kw_only=True)
class Axis:
    """One parameter. `values` are what it has now, one for each site's configuration."""

    name: str
    sites: tuple[Site, ...]
    is_size: bool = False

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(site.value for site in self.sites))


@attrs.frozen(kw_only=True)
class Tunables:
    """Everything that may change. `configs` are the spans of literal autotune entries."""

    axes: dict[str, Axis]
    has_dot: bool
    has_loop: bool
    configs: tuple[tuple[int, int], ...]
    load_ends: tuple[Site, ...]
    """Where a keyword may be added to each load whose data is used once."""


def find_tunables(text: str, unit: UnitRef) -> Tunables | None:
    """None when the unit's kernel is not in the text. Never raises on broken text."""
    raw = normalized_bytes(text)
    root = parse_tree(raw).root_node
    spans = {m.qualname: (m.start, m.end) for m in unit_members(text, unit.kernels[0])}
    if unit.kernels[0] not in spans:
        return None
    kernel = _node_at(root, *spans[unit.kernels[0]])
    launchers = [_node_at(root, *spans[name]) for name in unit.launchers if name in spans]
    if kernel is None:
        return None
    return _Finder(root, kernel, [node for node in launchers if node is not None]).find()


@attrs.frozen(kw_only=True, eq=False)
class _Launch:
    call: Node
    function: Node
    grid: tuple[Node, ...]
    """The grid's expression, and those it is computed from."""
    given: dict[str, Node]
    has_splat: bool


class _Finder:
    def __init__(self, root: Node, kernel: Node, launchers: list[Node]) -> None:
        self.root = root
        self.launchers = launchers
        self.name = _definition_name(kernel)
        self.reading: KernelReading = read_kernel(kernel)
        self.computed = _heuristic_names(self.reading.decorators)
        self.is_tuned = any(any(calls(node, "autotune")) for node in self.reading.decorators)
        self.configs = _configs(self.reading.decorators)
        self.launches = [launch for node in launchers for launch in self._launches(node)]

    def find(self) -> Tunables:
        axes: dict[str, Axis] = {}
        for name in (*self.reading.parameters, *OPTIONS):
            axis = self._config_axis(name) if self.configs else self._launch_axis(name)
            if axis is not None and axis.sites:
                axes[name] = axis
        return Tunables(
            axes=axes,
            has_dot=self.reading.has_dot,
            has_loop=self.reading.has_loop,
            configs=tuple((c.start_byte, c.end_byte) for c in self.configs),
            load_ends=tuple(
                _insertion(load, "", 0)
                for load in self.reading.streaming_loads
                if not {"eviction_policy", "cache_modifier"} & _keywords(load).keys()
            ),
        )

    def _launches(self, function: Node) -> Iterator[_Launch]:
        for call in walk(function):
            callee = call.child_by_field_name("function") if call.type == "call" else None
            if callee is None or callee.type != "subscript":
                continue
            if last_name(callee.child_by_field_name("value")) != self.name:
                continue
            grid = callee.child_by_field_name("subscript")
            given = dict(_keywords(call))
            positional = [a for a in arguments(call) if a.type != "keyword_argument"]
            splat = any("splat" in a.type for a in arguments(call))
            if not splat:
                given |= dict(zip(self.reading.parameters, positional, strict=False))
            yield _Launch(
                call=call, function=_enclosing(call, function), given=given, has_splat=splat,
                grid=() if grid is None else _origins(grid, function),
            )  # fmt: skip

    # ---- values written at the launch ----

    def _launch_axis(self, name: str) -> Axis | None:
        if not self.launches or name in self.computed:
            return None
        if name in OPTIONS:
            return None if self.is_tuned else self._option_axis(name)
        if not self._may_vary(name):
            return None
        sites: list[Site] = []
        for launch in self.launches:
            found = self._size_sites(name, launch)
            if found is None:
                return None
            sites += found
        unique = tuple(dict.fromkeys(sites))
        return Axis(name=name, sites=unique, is_size=True) if _one_value(unique) else None

    def _option_axis(self, name: str) -> Axis | None:
        sites: list[Site] = []
        for launch in self.launches:
            node = launch.given.get(name)
            if node is None and not launch.has_splat:
                sites.append(_insertion(launch.call, name, DEFAULTS.get(name, 0)))
                continue
            found = self._written(node, launch) if node is not None else None
            if found is None:
                return None
            sites += found
        unique = tuple(dict.fromkeys(sites))
        return Axis(name=name, sites=unique) if _one_value(unique) else None

    def _size_sites(self, name: str, launch: _Launch) -> list[Site] | None:
        node = launch.given.get(name)
        if node is None:
            node = None if launch.has_splat else self.reading.defaults.get(name)
        written = self._written(node, launch) if node is not None else None
        if not written or node is None:
            return None
        extra = self._grid_sites(name, node, written[0].value, launch)
        if extra is None:
            return None
        sites = written + extra
        if node.type == "integer" and self._is_repeated(sites, launch):
            return None
        return sites

    def _grid_sites(
        self, name: str, node: Node, number: int, launch: _Launch
    ) -> list[Site] | None:
        """Places in the grid that must change too; None if the grid would not follow."""
        if name not in self.reading.scales_program or name in self.reading.grouping:
            return []
        if any(_reads_meta(part, name) for part in launch.grid):
            return []
        if node.type == "identifier" and any(source(node) in identifiers(p) for p in launch.grid):
            return []
        if self.reading.strides_by_programs:
            return []
        same = [other for other, value in launch.given.items() if integer(value) == number]
        literals = [one for part in launch.grid for one in _cdiv_literals(part, number)]
        if node.type == "integer" and literals and same == [name]:
            return [_site(literal, number) for literal in literals]
        return None

    def _is_repeated(self, sites: list[Site], launch: _Launch) -> bool:
        """Whether the host code spells the same number elsewhere, perhaps to agree with it."""
        value = sites[0].value
        known = {site.start for site in sites}
        kept = {n.start_byte for one in self.launches for n in one.given.values()}
        return any(
            integer(node) == value and node.start_byte not in known | kept
            for node in walk(launch.function)
            if node.type == "integer" and not _inside_keyword(node, OPTIONS)
        ) and all(site.start >= launch.function.start_byte for site in sites)

    def _written(self, node: Node, launch: _Launch) -> list[Site] | None:
        """Where the value is spelled: here, or where the variable gets it."""
        value = integer(node)
        if value is not None:
            return [_site(node, value)]
        if node.type != "identifier":
            return None
        name = source(node)
        if name not in _bound_names(launch.function):
            return self._module_constant(name)
        assigned = _assignments_of(name, launch.function)
        value = integer(assigned[0]) if len(assigned) == 1 else None
        return None if value is None else [_site(assigned[0], value)]

    def _module_constant(self, name: str) -> list[Site] | None:
        """The constant itself is not the unit's to change: its reads in launchers are.

        They must be all the reads there are, or code elsewhere would no longer agree.
        """
        assigned = [n for n in _assignments_of(name, self.root) if _is_top_level(n)]
        value = integer(_constexpr_value(assigned[0])) if len(assigned) == 1 else None
        reads = [
            node for node in walk(self.root)
            if is_reference(node) and source(node) == name and not _is_target(node)
        ]  # fmt: skip
        hosts = [(node.start_byte, node.end_byte) for node in self.launchers]
        if value is None or any(not _is_within(read, hosts) for read in reads):
            return None
        return [_site(read, value) for read in reads]

    # ---- values written in @triton.autotune ----

    def _config_axis(self, name: str) -> Axis | None:
        if name in self.computed:
            return None
        if name not in OPTIONS and not (self._may_vary(name) and self._grids_read(name)):
            return None
        sites: list[Site] = []
        for config in self.configs:
            node = _config_value(config, name)
            value = integer(node)
            if node is not None and value is not None:
                sites.append(_site(node, value))
            elif node is None and name in OPTIONS:
                sites.append(_config_insertion(config, name))
            else:
                return None
        return Axis(name=name, sites=tuple(sites), is_size=name not in OPTIONS)

    def _grids_read(self, name: str) -> bool:
        if name not in self.reading.scales_program or name in self.reading.grouping:
            return True
        if self.reading.strides_by_programs:
            return True
        return bool(self.launches) and all(
            any(_reads_meta(part, name) for part in launch.grid) for launch in self.launches
        )

    def _may_vary(self, name: str) -> bool:
        reading = self.reading
        return name in reading.steps | reading.scales_program | reading.grouping


def _configs(decorators: tuple[Node, ...]) -> tuple[Node, ...]:
    """`triton.Config(...)` entries, if the list is written out."""
    for decorator in decorators:
        for call in calls(decorator, "autotune"):
            listed = _keywords(call).get("configs") or next(iter(arguments(call)), None)
            if listed is None or listed.type != "list":
                return ()
            entries = [c for c in listed.named_children if c.type != "comment"]
            is_plain = all(
                e.type == "call" and last_name(e.child_by_field_name("function")) == "Config"
                for e in entries
            )
            return tuple(entries) if is_plain else ()
    return ()


def _heuristic_names(decorators: tuple[Node, ...]) -> set[str]:
    """Parameters that `@triton.heuristics` computes."""
    return {
        source(key).strip("\"'")
        for decorator in decorators
        for call in calls(decorator, "heuristics")
        for pair in walk(call)
        if pair.type == "pair" and (key := pair.child_by_field_name("key")) is not None
    }


def _config_value(config: Node, name: str) -> Node | None:
    given = arguments(config)
    table = given[0] if given and given[0].type == "dictionary" else _keywords(config).get("kwargs")
    for pair in table.named_children if table is not None else ():
        key = pair.child_by_field_name("key") if pair.type == "pair" else None
        if key is not None and source(key).strip("\"'") == name:
            return pair.child_by_field_name("value")
    return _keywords(config).get(name)


def _config_insertion(config: Node, name: str) -> Site:
    """`num_warps` and `num_stages` are keywords of `Config`; a backend's options go into its table."""
    given = arguments(config)
    if name in {"num_warps", "num_stages"} or not given or given[0].type != "dictionary":
        return _insertion(config, name, DEFAULTS.get(name, 0))
    pairs = [child for child in given[0].named_children if child.type == "pair"]
    place = pairs[-1].end_byte if pairs else given[0].start_byte + 1
    return Site(start=place, end=place, value=0, before=f'{", " if pairs else ""}"{name}": ')


def _keywords(call: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for argument in arguments(call):
        if argument.type == "keyword_argument":
            name, value = (argument.child_by_field_name(field) for field in ("name", "value"))
            if name is not None and value is not None:
                found[source(name)] = value
    return found


def _site(node: Node, value: int) -> Site:
    return Site(start=node.start_byte, end=node.end_byte, value=value)


def _is_within(node: Node, spans: list[tuple[int, int]]) -> bool:
    return any(start <= node.start_byte < end for start, end in spans)


def _insertion(call: Node, name: str, value: int) -> Site:
    """Where `name=` goes in a call: after the last argument, in the call's own style."""
    given = arguments(call)
    listed = call.child_by_field_name("arguments")
    assert listed is not None
    keyword = f"{name}=" if name else ""
    if not given:
        place = listed.start_byte + 1
        return Site(start=place, end=place, value=value, before=keyword)
    last = given[-1]
    following = last.next_sibling
    if following is None or following.type != ",":
        return Site(start=last.end_byte, end=last.end_byte, value=value, before=f", {keyword}")
    place = following.end_byte
    if last.start_point[0] == listed.end_point[0]:
        return Site(start=place, end=place, value=value, before=f" {keyword}")
    return Site(start=place, end=place, value=value, before=_new_line(last) + keyword, after=",")


def _new_line(node: Node) -> str:
    """A line break and the indentation of the line that `node` begins, in the file's style."""
    root = node
    while root.parent is not None:
        root = root.parent
    raw = root.text or b""
    begin = raw.rfind(b"\n", 0, node.start_byte) + 1
    line = raw[begin : node.start_byte].decode("utf-8", "replace")
    indent = line[: len(line) - len(line.lstrip())]
    return ("\r\n" if b"\r\n" in raw else "\n") + indent


def _origins(grid: Node, function: Node) -> tuple[Node, ...]:
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


def _bindings_of(name: str, function: Node) -> list[Node]:
    """Values assigned to a variable, and inner functions of that name (`def grid(meta)`)."""
    inner = [
        node for node in walk(function)
        if node.type == "function_definition" and _definition_name(node) == name
    ]  # fmt: skip
    return [*_assignments_of(name, function), *inner]


def _assignments_of(name: str, scope: Node) -> list[Node]:
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


def _bound_value(name: str, left: Node, right: Node) -> list[Node]:
    if left.type == "identifier":
        return [right] if source(left) == name else []
    targets, values = left.named_children, right.named_children
    if left.type in {"pattern_list", "tuple_pattern"} and len(targets) == len(values):
        pairs = zip(targets, values, strict=True)
        return [value for target, value in pairs if source(target) == name]
    return [right] if left.type != "attribute" and name in identifiers(left) else []


def _bound_names(function: Node) -> set[str]:
    """Parameters of the launcher: their defaults are part of its signature."""
    inner = function.child_by_field_name("definition") or function
    listed = inner.child_by_field_name("parameters")
    names = {source(n) for n in walk(listed) if n.type == "identifier"} if listed else set()
    targets = (n.child_by_field_name("left") for n in walk(inner) if n.type == "assignment")
    return names.union(*(identifiers(t) for t in targets if t is not None))


def _constexpr_value(node: Node) -> Node:
    """`128` of `tl.constexpr(128)`."""
    given = arguments(node) if node.type == "call" else []
    is_constexpr = last_name(node.child_by_field_name("function")) == "constexpr"
    return given[0] if is_constexpr and len(given) == 1 else node


def _reads_meta(node: Node, name: str) -> bool:
    """`meta["BLOCK"]` or `meta.get("BLOCK")`: a string of that name."""
    return any(n.type == "string" and source(n).strip("\"'") == name for n in walk(node))


def _cdiv_literals(node: Node, value: int) -> list[Node]:
    return [
        given[1] for call in calls(node, "cdiv")
        if len(given := arguments(call)) == 2 and integer(given[1]) == value
    ]  # fmt: skip


def _inside_keyword(node: Node, names: tuple[str, ...]) -> bool:
    parent = node.parent
    keyword = parent.child_by_field_name("name") if parent is not None else None
    return keyword is not None and source(keyword) in names


def _is_target(node: Node) -> bool:
    above = node.parent
    return above is not None and above.type == "assignment" and (
        above.child_by_field_name("left") == node
    )


def _is_top_level(node: Node) -> bool:
    above = node.parent
    while above is not None and above.type != "module":
        if above.type in {"function_definition", "class_definition", "lambda"}:
            return False
        above = above.parent
    return True


def _enclosing(node: Node, outermost: Node) -> Node:
    """The innermost function around a launch."""
    above = node.parent
    while above is not None and above != outermost:
        if above.type == "function_definition":
            return above
        above = above.parent
    return outermost


def _one_value(sites: tuple[Site, ...]) -> bool:
    return len({site.value for site in sites}) == 1


def _definition_name(node: Node) -> str:
    inner = node.child_by_field_name("definition") or node
    return last_name(inner.child_by_field_name("name"))


def _node_at(root: Node, start: int, end: int) -> Node | None:
    """The definition, decorators included, that lies exactly there."""
    node = root.descendant_for_byte_range(start, max(start, end - 1))
    while node is not None and node.type not in {"function_definition", "decorated_definition"}:
        node = node.parent
    if node is not None and node.parent is not None and node.parent.type == "decorated_definition":
        node = node.parent
    return node
