"""Calls of more elements than 32 bits can count, for `dry` to launch. Pure; imports no torch.

Of each family the first call, made small, then one size of it made so large that a tensor has
more than 2**31 elements: an outer size, so that rows and blocks stay as they are and programs
become many; else the only size there is, or the side of a square. They lie outside the recorded
contract.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Any

from . import dimensions, encoded, grids, sizes
from .dimensions import Family, Group
from .encoded import Call

REACH = 1 << 31
"""Elements that a signed number of 32 bits cannot count."""
MAX_CALLS = 3
MAX_ELEMENTS = 8 * REACH
_SMALL = 4096


def cases(calls: Sequence[Call], blocks: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """At most `MAX_CALLS`, as `cases.generate` makes them, and `dry`. To be run after all others:
    a counter that a module keeps is wrong after a launch without its inner programs."""
    made: list[dict[str, Any]] = []
    for family in dimensions.families([grids.told(one) for one in calls]):
        found = _huge(family, blocks) if len(made) < MAX_CALLS else None
        if found is None:
            continue
        change, call = found
        name = f"{encoded.name_of(call)}: {change}, outermost programs alone"
        made.append({
            "id": f"h{len(made):03}", "name": name, "group": "values", "hard": False, "dry": True,
            "call": call, "values": {}, "seed": seed + zlib.crc32(name.encode()) % 100_000,
            "elements": 0,
        })  # fmt: skip
    return made


def _huge(family: Family, blocks: Sequence[int]) -> tuple[str, Call] | None:
    """None where a direct launch has its grid, or where integers say what lies where."""
    call = family.calls[0]
    found = encoded.tensors(call).values()
    if "grid" in call or any(t.get("values") or "range" in t for t in found):
        return None
    small = sizes.shrunken(family, 0, sorted(set(blocks)), _SMALL, set())
    base = small or Family([call], dimensions.groups_at(family, 0))
    for index, group in enumerate(base.groups):
        if group.is_outer or _most_often(group) > 1 or _is_alone(base):
            changes = {index: _target(base, group)}
            made = dimensions.resized(base, 0, changes, most=MAX_ELEMENTS)
            if made is not None:
                return sizes.described(base, changes), made
    return None


def _most_often(group: Group) -> int:
    """How many dimensions of one tensor have this size."""
    paths = [path for path, _, _ in group.places]
    return max(map(paths.count, paths))


def _is_alone(base: Family) -> bool:
    """Whether there is one size, and one dimension."""
    described = encoded.tensors(base.calls[0]).values()
    return len(base.groups) == 1 and all(len(t["shape"]) <= 1 for t in described)


def _target(base: Family, group: Group) -> int:
    """So many that the largest tensor that has them holds more than `REACH`, still divisible
    by 16."""
    n, often = group.sizes[0], _most_often(group)
    described = encoded.tensors(base.calls[0])
    rest = max(math.prod(described[path]["shape"]) // n**often for path, _, _ in group.places)
    least = math.ceil(math.pow(REACH / max(1, rest), 1 / often)) + 3
    return -(-least // 16) * 16
