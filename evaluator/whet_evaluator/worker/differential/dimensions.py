"""Which sizes of a call belong together, and the same call with another size.

Two sizes are tied when they are equal in every recorded call of one *family* (same
launcher, same kinds of arguments, same ranks): a single call ties all equal sizes, a
second one with other sizes unties what was equal by chance. Integer arguments that equal
a size, a number of elements or a stride follow it; so do integer tensors whose values
count or index along it.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import encoded, indices
from .encoded import Call, Path

MAX_ELEMENTS = 1 << 19
MIN_TIED_SCALAR = 8
"""A smaller integer argument follows a size only if they are seen to vary together."""
NOT_A_SIZE = re.compile(
    r"block|num_warps|num_stages|axis|^dims?$|seed|chunk_size|p_", re.IGNORECASE
)


@dataclass
class Group:
    """Sizes that move together. `sizes[i]` is their value in the family's i-th call."""

    sizes: tuple[int, ...]
    places: list[tuple[Path, int, int]] = field(default_factory=list)
    """Tensor, dimension, and what is added: a running count of n lengths has n + 1 values."""
    scalars: list[Path] = field(default_factory=list)

    is_outer: bool = False
    """No tensor's innermost dimension: usually one that the grid divides, not a block."""

    @property
    def divisible(self) -> bool:
        """All recorded sizes were multiples of 16, which Triton's compiler is told."""
        return all(n % 16 == 0 for n in self.sizes)


@dataclass
class Family:
    """Calls that differ in sizes only, and the groups their sizes fall into."""

    calls: list[Call]
    groups: list[Group]

    @property
    def varied(self) -> bool:
        return any(len(set(group.sizes)) > 1 for group in self.groups)


def families(calls: Sequence[Call]) -> list[Family]:
    """In order of first call."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(_skeleton(call), []).append(call)
    return [Family(members, _groups(members)) for members in found.values()]


def resized(
    family: Family, number: int, changes: dict[int, int], *, most: int = MAX_ELEMENTS
) -> Call | None:
    """The family's call `number` with the groups in `changes` at new sizes.

    None where views of one storage would have to grow into each other, and for a call that
    would become larger than `most` elements.
    """
    call = family.calls[number]
    made = copy.deepcopy(call)
    old, new = encoded.tensors(call), encoded.tensors(made)
    moved = [(family.groups[g].sizes[number], size) for g, size in changes.items()]
    for index, size in changes.items():
        for path, dim, plus in family.groups[index].places:
            new[path]["shape"][dim] = size + plus
    shared = _shared(call)
    for path, described in new.items():
        if described["shape"] == old[path]["shape"]:
            continue
        if described["storage"] in shared:
            if any(n > m for n, m in zip(described["shape"], old[path]["shape"])):
                return None
            continue  # a smaller view of the same memory
        described["strides"] = encoded.restrided(
            old[path]["shape"], old[path]["strides"], described["shape"]
        )
    if encoded.n_elements(made) > max(most, encoded.n_elements(call)):
        return None
    for path, value in _scalars(family, number, made, changes).items():
        encoded.put(made, path, value)
    still = _still(family, number, changes) + [
        value for path, value in encoded.integers(made).items()
        if value == encoded.integers(call).get(path)
    ]  # fmt: skip
    for path, described in new.items():
        indices.adapt(old[path], described, moved, still)
    encoded.settle_storages(made)
    return made


def _still(family: Family, number: int, changes: dict[int, int]) -> list[int]:
    return [g.sizes[number] for i, g in enumerate(family.groups) if i not in changes]


def groups_at(family: Family, number: int) -> list[Group]:
    """The family's groups as they are in its call `number` alone."""
    return [
        Group((group.sizes[number],), list(group.places), list(group.scalars), group.is_outer)
        for group in family.groups
    ]


def _skeleton(call: Call) -> str:
    """What two calls of one family share: everything but sizes, types and numbers."""
    shape: list[Any] = [call["launcher"], "grid" in call]
    for path, kind, content in encoded.leaves(call):
        if kind == "tensor":
            shape.append([path, "tensor", len(content["shape"]), content["storage"]])
        elif kind == "value" and (isinstance(content, (bool, str)) or content is None):
            shape.append([path, str(content)])
        else:
            shape.append([path, kind])
    return json.dumps(shape)


def _groups(calls: list[Call]) -> list[Group]:
    found: dict[tuple[int, ...], Group] = {}
    described = [encoded.tensors(call) for call in calls]
    for path, first in described[0].items():
        for dim in range(len(first["shape"])):
            sizes = tuple(tensors[path]["shape"][dim] for tensors in described)
            if max(sizes) > 1:
                found.setdefault(sizes, Group(sizes)).places.append((path, dim, 0))
    _tie_running_counts(found, described)
    for path, vector in _vectors(calls).items():
        group = found.get(vector)
        sure = min(vector) >= MIN_TIED_SCALAR or len(set(vector)) > 1 or path[0] == "grid"
        if group is not None and sure:
            group.scalars.append(path)
    for group in found.values():
        ranks = [(len(described[0][path]["shape"]), dim) for path, dim, _ in group.places]
        group.is_outer = all(dim < rank - 1 or rank == 1 for rank, dim in ranks) and any(
            dim < rank - 1 for rank, dim in ranks
        )
    return list(found.values())


def _tie_running_counts(
    found: dict[tuple[int, ...], Group], described: list[dict[Path, Any]]
) -> None:
    """n lengths are often given as n + 1 running counts: those follow n."""
    for path in described[0]:
        if not all(indices.is_running_count(tensors[path]) for tensors in described):
            continue
        sizes = tuple(tensors[path]["shape"][0] for tensors in described)
        lengths, own = found.get(tuple(n - 1 for n in sizes)), found.get(sizes)
        if lengths is not None and own is not None:
            lengths.places.append((path, 0, 1))
            own.places.remove((path, 0, 0))
            if not own.places:
                del found[sizes]


def _vectors(calls: list[Call]) -> dict[Path, tuple[int, ...]]:
    """Integer arguments over the calls, those left out whose name says they are no size."""
    numbers = [encoded.integers(call) for call in calls]
    return {
        path: tuple(values[path] for values in numbers)
        for path in numbers[0]
        if all(path in values for values in numbers)
        and not NOT_A_SIZE.search(encoded.parameter(calls[0], path))
    }


def _scalars(family: Family, number: int, made: Call, changes: dict[int, int]) -> dict[Path, int]:
    """New values of the integer arguments that follow a size, a count or a stride."""
    tied = {path: i for i, group in enumerate(family.groups) for path in group.scalars}
    described = [encoded.tensors(call) for call in family.calls]
    now = encoded.tensors(made)
    found: dict[Path, int] = {}
    for path, vector in _vectors(family.calls).items():
        if path in tied:
            if tied[path] in changes:
                found[path] = changes[tied[path]]
            continue
        if min(vector) < MIN_TIED_SCALAR and len(set(vector)) == 1:
            continue
        for tensor in described[number]:
            facts = [_facts(tensors[tensor]) for tensors in described]
            names = [n for n in facts[0] if tuple(f.get(n) for f in facts) == vector]
            if names:
                found[path] = _facts(now[tensor])[names[0]]
                break
    return found


def _facts(described: dict[str, Any]) -> dict[str, int]:
    """Numbers a launcher derives from a tensor's geometry: its elements, rows and strides."""
    count = 1
    for n in described["shape"]:
        count *= n
    last = described["shape"][-1] if described["shape"] else 1
    facts = {"elements": count, "rows": count // max(1, last)}
    return facts | {f"stride {d}": s for d, s in enumerate(described["strides"])}


def _shared(call: Call) -> set[int]:
    """Storages seen through views that differ: one cannot grow without meeting another."""
    views: dict[int, set[str]] = {}
    for described in encoded.tensors(call).values():
        view = [described["shape"], described["strides"], described["offset"]]
        views.setdefault(described["storage"], set()).add(json.dumps(view))
    return {storage for storage, kinds in views.items() if len(kinds) > 1}
