"""Free gains before paid ones: other launch parameters for a unit, as whole new files. Pure.

Only numbers that Triton is free to choose are changed (warps, stages, block sizes that
the grid or a loop follows, AMD's scheduling options), or a caching hint is added. Where
the reading cannot prove that a size is free, it is left alone. The tests judge the rest.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping

import attrs

from whet_agent.candidates.launch_sites import Site
from whet_agent.candidates.tunables import Axis, Tunables, find_tunables
from whet_evaluator.worker.unit_ref import UnitRef

MAX_VARIANTS = 24
_MAX_TILE = 128 * 256
"""Elements of a block's two largest sides: beyond it registers spill on every architecture."""
_MAX_THREADS = 1024


@attrs.frozen(kw_only=True)
class Variant:
    """`text` is the whole file. `strategy` says in words what is different."""

    label: str
    text: str
    strategy: str


def sweep_variants(text: str, unit: UnitRef, arch: str | None) -> tuple[Variant, ...]:
    """At most `MAX_VARIANTS` other versions of `text`, the most promising first.

    Always in the same order; never the text itself, nothing twice, nothing that does
    not parse. Empty when nothing is free to change.
    """
    found = find_tunables(text, unit)
    if found is None:
        return ()
    raw = text.encode("utf-8", "surrogatepass")
    variants: dict[str, Variant] = {}
    plans = itertools.chain(
        _added_configs(raw, found), _number_changes(found, arch), _hints(found, arch)
    )
    for edits, strategy in plans:
        changed = _apply(raw, edits)
        if changed not in (raw, *variants):
            new = changed.decode("utf-8", "surrogatepass")
            variants[new] = Variant(label="launch", text=new, strategy=strategy)
        if len(variants) == MAX_VARIANTS:
            break
    return tuple(variants.values())


Edit = tuple[int, int, str]
Plan = tuple[list[Edit], str]
Choice = Mapping[str, float]
"""New values by axis: an int is the value itself, a float a factor for each site."""


def _number_changes(found: Tunables, arch: str | None) -> Iterator[Plan]:
    for choice in _choices(found, arch):
        kept = {name: value for name, value in choice.items() if name in found.axes}
        if kept and _is_sensible(found, kept, arch):
            plan = _plan(found, kept)
            if plan[0]:
                yield plan


def _choices(found: Tunables, arch: str | None) -> Iterator[Choice]:
    """Most promising first. Names that are no axis of this unit are dropped later."""
    sizes = [axis for axis in found.axes.values() if axis.is_size]
    first = itertools.chain(_dot_tiles(sizes) if found.has_dot else (), _common_moves(sizes, found))
    yield from itertools.islice(first, 6)
    yield from _in_turn(
        first,
        ({"num_stages": stages} for stages in (3, 2, 4, 1) if found.has_loop),
        _amd_options(found, arch),
        ({axis.name: factor} for axis in sizes for factor in (4.0, 0.25, 8.0)),
    )


def _in_turn(*streams: Iterable[Choice]) -> Iterator[Choice]:
    """One of each at a time, so that a bound on the count cuts no kind off."""
    for choices in itertools.zip_longest(*streams):
        yield from (choice for choice in choices if choice is not None)


def _common_moves(sizes: list[Axis], found: Tunables) -> Iterator[Choice]:
    """More work a program with more warps, then each of the two alone."""
    linear = len(sizes) == 1
    for axis in sizes:
        yield {axis.name: 2.0}
        if linear:
            yield {axis.name: 4.0, "num_warps": 8}
            yield {axis.name: 2.0, "num_warps": 8}
    if len(sizes) > 1 and not found.has_dot:
        yield {axis.name: 2.0 for axis in sizes}
        yield {axis.name: 2.0 for axis in sizes} | {"num_warps": 8}
    for warps in (8, 2, 16, 1, 4):
        yield {"num_warps": warps}
    for axis in sizes:
        yield {axis.name: 0.5}
        if linear:
            yield {axis.name: 0.5, "num_warps": 2}
            yield {axis.name: 8.0, "num_warps": 16}


def _dot_tiles(sizes: list[Axis]) -> Iterator[Choice]:
    """Tiles that feed matrix units well, for kernels with M, N and K blocks."""
    names = {_dimension(axis.name): axis.name for axis in sizes}
    if {"M", "N"} <= names.keys():
        for m, n, k, warps in (
            (64, 64, 32, 4), (128, 64, 32, 4), (128, 128, 32, 8), (64, 128, 32, 4),
            (128, 128, 64, 8), (64, 64, 64, 4), (128, 64, 64, 4), (256, 128, 32, 8),
            (64, 32, 32, 4), (32, 64, 32, 4),
        ):  # fmt: skip
            tile = {names["M"]: m, names["N"]: n, "num_warps": warps}
            yield tile | ({names["K"]: k} if "K" in names else {})
    for axis in sizes:
        if axis.name.upper() in {"GROUP_M", "GROUP_SIZE_M"}:
            yield from ({axis.name: group} for group in (8, 4, 16, 1))


def _amd_options(found: Tunables, arch: str | None) -> Iterator[Choice]:
    if not is_amd(arch):
        return
    if not found.has_dot:
        yield from ({"waves_per_eu": waves} for waves in (2, 1, 4, 3))
    else:
        yield {"matrix_instr_nonkdim": 16}
        yield {"waves_per_eu": 2}
        yield {"matrix_instr_nonkdim": 16, "waves_per_eu": 2}
        yield {"matrix_instr_nonkdim": 32}
        if arch in {"gfx90a", "gfx940", "gfx941", "gfx942"}:
            yield {"kpack": 2}  # later architectures have no such option
            yield {"kpack": 2, "matrix_instr_nonkdim": 16}


def _is_sensible(found: Tunables, choice: Choice, arch: str | None) -> bool:
    """Within what blocks, registers and a work-group can hold."""
    lanes = 64 if is_amd(arch) else 32
    if choice.get("num_warps", 1) * lanes > _MAX_THREADS:
        return False
    for name, wanted in choice.items():
        if isinstance(wanted, int) and len(found.axes[name].values) > 1:
            return False  # configurations that differ on purpose are not made alike
    sizes = sum(axis.is_size for axis in found.axes.values())
    smallest = 16 if found.has_dot or sizes > 1 else 128
    tile: list[int] = []
    for axis in found.axes.values():
        if not axis.is_size or "GROUP" in axis.name.upper():
            continue
        new = [_new_value(value, choice.get(axis.name)) for value in axis.values]
        if any(not _is_power_of_two(value) for value in axis.values):
            return False
        if axis.name in choice and min(new) < min(smallest, *axis.values):
            return False
        tile.append(max(new))
    return math.prod(sorted(tile)[-2:]) <= _MAX_TILE


def _plan(found: Tunables, choice: Choice) -> Plan:
    edits: list[Edit] = []
    words: list[str] = []
    for name, wanted in choice.items():
        axis = found.axes[name]
        new = {value: _new_value(value, wanted) for value in axis.values}
        if all(value == changed for value, changed in new.items()):
            continue
        edits += [_edit(site, new[site.value]) for site in axis.sites]
        words.append(_words(axis, new))
    return edits, ", ".join(words)


def _words(axis: Axis, new: Mapping[int, int]) -> str:
    before = ", ".join(str(value) for value in new)
    after = ", ".join(str(value) for value in new.values())
    inserted = all(site.before for site in axis.sites)
    if inserted and before == "0":
        return f"{axis.name}={after}"
    return f"{axis.name} {before}{' (default)' if inserted else ''} -> {after}"


def _edit(site: Site, value: int) -> Edit:
    return site.start, site.end, f"{site.before}{value}{site.after}"


def _added_configs(raw: bytes, found: Tunables) -> Iterator[Plan]:
    """The autotuner may also choose among neighbours of what it has; nothing is taken away."""
    if not found.configs:
        return
    present = {_without_space(raw[start:end]) for start, end in found.configs}
    added: dict[bytes, bytes] = {}
    for choice in ({"num_warps": 2.0}, {"num_warps": 0.5}, *_size_factors(found)):
        for start, end in found.configs:
            entry = _changed_entry(raw, found, choice, start, end)
            if entry is not None and _without_space(entry) not in present | added.keys():
                added[_without_space(entry)] = entry
    entries = list(added.values())[:6]
    if entries:
        first_start, last_end = found.configs[0][0], found.configs[-1][1]
        separator = _separator(raw, first_start)
        text = b"".join(b"," + separator + entry for entry in entries).decode("utf-8", "replace")
        yield [(last_end, last_end, text)], f"autotune over {len(entries)} more configurations"


def _size_factors(found: Tunables) -> Iterator[Choice]:
    for axis in found.axes.values():
        if axis.is_size and "GROUP" not in axis.name.upper():
            yield {axis.name: 2.0}
            yield {axis.name: 0.5}


def _changed_entry(
    raw: bytes, found: Tunables, choice: Choice, start: int, end: int
) -> bytes | None:
    """One `Config(...)` with other numbers, or None where that makes no sense."""
    edits: list[Edit] = []
    for name, factor in choice.items():
        axis = found.axes.get(name)
        inside = [s for s in axis.sites if start <= s.start <= end] if axis is not None else []
        if not inside or axis is None:
            return None
        value = _new_value(inside[0].value, factor)
        limit = 16 if name == "num_warps" else 16384
        least = 1 if name == "num_warps" else 16
        if not least <= value <= limit or not _is_power_of_two(inside[0].value):
            return None
        edits += [(s.start - start, s.end - start, f"{s.before}{value}{s.after}") for s in inside]
    return _apply(raw[start:end], edits)


def _separator(raw: bytes, start: int) -> bytes:
    """The style of the list: a new line with the same indentation, or a space."""
    line = raw[raw.rfind(b"\n", 0, start) + 1 : start]
    if line.strip():
        return b" "
    newline = b"\r\n" if b"\r\n" in raw else b"\n"
    return newline + line


def _hints(found: Tunables, arch: str | None) -> Iterator[Plan]:
    """Data that is used once need not stay in the cache. A hint changes no result."""
    if not found.load_ends:
        return
    hint, words = ("cache_modifier", ".cs") if is_amd(arch) else ("eviction_policy", "evict_first")
    edits: list[Edit] = [
        (site.start, site.end, f'{site.before}{hint}="{words}"{site.after}')
        for site in found.load_ends
    ]
    yield edits, f'{hint}="{words}" on loads that are used once'


def is_amd(arch: str | None) -> bool:
    """Whether `arch` is spelled as AMD's are (`gfx942`)."""
    return arch is not None and arch.startswith("gfx")


def _dimension(name: str) -> str:
    """`M` of `BLOCK_M`, `BLOCK_SIZE_M`, `TILE_M` or `BM`; the name itself otherwise."""
    match = re.fullmatch(r"(?:BLOCK|TILE|B)(?:_?SIZE)?_?([MNK])", name, re.IGNORECASE)
    return match[1].upper() if match else name


def _new_value(value: int, wanted: float | None) -> int:
    if wanted is None:
        return value
    return wanted if isinstance(wanted, int) else int(value * wanted)


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _without_space(entry: bytes) -> bytes:
    return b"".join(entry.split())


def _apply(raw: bytes, edits: Iterable[Edit]) -> bytes:
    """Edits never overlap; of insertions at one place the last one given comes first."""
    for start, end, new in sorted(edits, key=lambda edit: edit[:2], reverse=True):
        raw = raw[:start] + new.encode() + raw[end:]
    return raw
