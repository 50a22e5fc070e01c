"""What a sweep may change in a unit, and where that is written. Pure.

An `Axis` is one parameter with every place that spells its value: change them together
or not at all. A size that the grid depends on is an axis only if the grid follows.
"""

from __future__ import annotations

import attrs
from tree_sitter import Node

from whet_agent.candidates.kernel_reading import (
    KernelReading,
    calls,
    identifiers,
    integer,
    is_reference,
    read_kernel,
    source,
    walk,
)
from whet_agent.candidates.launch_reading import Launch, launches_in
from whet_agent.candidates.launch_sites import (
    DEFAULTS,
    OPTIONS,
    Site,
    cdiv_literals,
    config_calls,
    config_insertion,
    config_value,
    heuristic_names,
    insertion,
    is_inside_keyword,
    keywords,
    reads_meta,
    site_of,
)
from whet_agent.source.bindings import (
    assignments_of,
    bound_names,
    constexpr_value,
    definition_at,
    definition_name,
    is_target,
    is_top_level,
    is_within,
)
from whet_agent.source.syntax import normalized_bytes, parse_tree
from whet_agent.source.units import unit_members
from whet_evaluator.worker.unit_ref import UnitRef


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
    kernel = definition_at(root, *spans[unit.kernels[0]])
    launchers = [definition_at(root, *spans[name]) for name in unit.launchers if name in spans]
    if kernel is None:
        return None
    return _Finder(root, kernel, [node for node in launchers if node is not None]).find()


class _Finder:
    def __init__(self, root: Node, kernel: Node, launchers: list[Node]) -> None:
        self.root = root
        self.launchers = launchers
        self.reading: KernelReading = read_kernel(kernel)
        self.computed = heuristic_names(self.reading.decorators)
        self.is_tuned = any(any(calls(node, "autotune")) for node in self.reading.decorators)
        self.configs = config_calls(self.reading.decorators)
        self.launches = [
            launch
            for node in launchers
            for launch in launches_in(node, definition_name(kernel), self.reading.parameters)
        ]

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
                insertion(load, "", 0)
                for load in self.reading.streaming_loads
                if not {"eviction_policy", "cache_modifier"} & keywords(load).keys()
            ),
        )

    # ---- values written at the launch ----

    def _launch_axis(self, name: str) -> Axis | None:
        if name in self.computed:
            return None
        if not self.launches:
            return self._default_axis(name)
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

    def _default_axis(self, name: str) -> Axis | None:
        """With all launches in other files: a default that no grid depends on may change."""
        node = self.reading.defaults.get(name)
        value = integer(node)
        free = self.reading.steps - self.reading.scales_program - self.reading.grouping
        if node is None or value is None or name not in free:
            return None
        return Axis(name=name, sites=(site_of(node, value),), is_size=True)

    def _option_axis(self, name: str) -> Axis | None:
        sites: list[Site] = []
        for launch in self.launches:
            node = launch.given.get(name)
            if node is None and not launch.has_splat:
                sites.append(insertion(launch.call, name, DEFAULTS.get(name, 0)))
                continue
            found = self._written(node, launch) if node is not None else None
            if found is None:
                return None
            sites += found
        unique = tuple(dict.fromkeys(sites))
        return Axis(name=name, sites=unique) if _one_value(unique) else None

    def _size_sites(self, name: str, launch: Launch) -> list[Site] | None:
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

    def _grid_sites(self, name: str, node: Node, number: int, launch: Launch) -> list[Site] | None:
        """Places in the grid that must change too; None if the grid would not follow."""
        if name not in self.reading.scales_program or name in self.reading.grouping:
            return []
        if any(reads_meta(part, name) for part in launch.grid):
            return []
        if node.type == "identifier" and any(source(node) in identifiers(p) for p in launch.grid):
            return []
        if self.reading.strides_by_programs:
            return []
        same = [other for other, value in launch.given.items() if integer(value) == number]
        literals = [one for part in launch.grid for one in cdiv_literals(part, number)]
        if node.type == "integer" and literals and same == [name]:
            return [site_of(literal, number) for literal in literals]
        return None

    def _is_repeated(self, sites: list[Site], launch: Launch) -> bool:
        """Whether the host code spells the same number elsewhere, perhaps to agree with it."""
        value = sites[0].value
        known = {site.start for site in sites}
        kept = {n.start_byte for one in self.launches for n in one.given.values()}
        return any(
            integer(node) == value and node.start_byte not in known | kept
            for node in walk(launch.function)
            if node.type == "integer" and not is_inside_keyword(node, OPTIONS)
        ) and all(site.start >= launch.function.start_byte for site in sites)

    def _written(self, node: Node, launch: Launch) -> list[Site] | None:
        """Where the value is spelled: here, or where the variable gets it."""
        value = integer(node)
        if value is not None:
            return [site_of(node, value)]
        if node.type != "identifier":
            return None
        name = source(node)
        if name not in bound_names(launch.function):
            return self._module_constant(name)
        assigned = assignments_of(name, launch.function)
        value = integer(assigned[0]) if len(assigned) == 1 else None
        return None if value is None else [site_of(assigned[0], value)]

    def _module_constant(self, name: str) -> list[Site] | None:
        """The constant itself is not the unit's to change: its reads in launchers are.

        They must be all the reads there are, or code elsewhere would no longer agree.
        """
        assigned = [n for n in assignments_of(name, self.root) if is_top_level(n)]
        value = integer(constexpr_value(assigned[0])) if len(assigned) == 1 else None
        reads = [
            node for node in walk(self.root)
            if is_reference(node) and source(node) == name and not is_target(node)
        ]  # fmt: skip
        hosts = [(node.start_byte, node.end_byte) for node in self.launchers]
        if value is None or any(not is_within(read, hosts) for read in reads):
            return None
        return [site_of(read, value) for read in reads]

    # ---- values written in @triton.autotune ----

    def _config_axis(self, name: str) -> Axis | None:
        if name in self.computed:
            return None
        if name not in OPTIONS and not (self._may_vary(name) and self._grids_read(name)):
            return None
        sites: list[Site] = []
        for config in self.configs:
            node = config_value(config, name)
            value = integer(node)
            if node is not None and value is not None:
                sites.append(site_of(node, value))
            elif node is None and name in OPTIONS:
                sites.append(config_insertion(config, name))
            else:
                return None
        return Axis(name=name, sites=tuple(sites), is_size=name not in OPTIONS)

    def _grids_read(self, name: str) -> bool:
        if name not in self.reading.scales_program or name in self.reading.grouping:
            return True
        if self.reading.strides_by_programs:
            return True
        return bool(self.launches) and all(
            any(reads_meta(part, name) for part in launch.grid) for launch in self.launches
        )

    def _may_vary(self, name: str) -> bool:
        return name in (self.reading.steps | self.reading.scales_program | self.reading.grouping)


def _one_value(sites: tuple[Site, ...]) -> bool:
    return len({site.value for site in sites}) == 1
