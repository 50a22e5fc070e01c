"""Whole numbers as no test passed them: data far beyond what was recorded, and indices from the
end. Pure; imports no torch.

For the interpreter alone, where an address outside every tensor is kept from memory (`bounds`):
what was data to the tests may be an index, and an original that strays then says nothing. They
lie outside the recorded contract. Tensors that no negative number was seen in may be indices,
counts or bounds of a loop, so they are not made large.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from . import dimensions, encoded, grids, sizes
from .encoded import Call, Described

FAR, FROM_THE_END = "far beyond the recorded ones", "negative"
"""Kinds of values of integer tensors, as `inputs` draws them."""
REACH = {"int32": 1 << 25, "int64": 1 << 40}
"""Past the whole numbers of float32 (2**24), and of 32 bits."""
MAX_CASES = 4
_SMALL = 4096
_LEAST_INDEX = -100
"""Recorded values down to here may mark an element to ignore."""


def cases(calls: Sequence[Call], blocks: Sequence[int], seed: int) -> list[dict[str, Any]]:
    """At most `MAX_CASES`, as `cases.generate` makes them."""
    made: list[dict[str, Any]] = []
    for family in dimensions.families([grids.told(one) for one in calls]):
        small = sizes.shrunken(family, 0, sorted(set(blocks)), _SMALL, set())
        call = family.calls[0] if small is None else small.calls[0]
        for name, storage, kind in _whole_numbers(call) if _is_small(call) else ():
            change = f"{encoded.name_of(call)}: whole numbers of {name} {kind}"
            made.append({
                "id": f"f{len(made):03}", "name": change, "group": "values", "hard": False,
                "aside": True, "call": call, "values": {str(storage): kind},
                "seed": seed + zlib.crc32(change.encode()) % 100_000,
                "elements": encoded.n_elements(call),
            })  # fmt: skip
    return made[:MAX_CASES]


def _is_small(call: Call) -> bool:
    return "grid" not in call and encoded.n_elements(call) <= 16 * _SMALL


def _whole_numbers(call: Call) -> Iterator[tuple[str, int, str]]:
    """`(argument, storage, kind)` of each integer tensor, once for each storage."""
    seen: set[int] = set()
    for path, described in encoded.tensors(call).items():
        if described["storage"] in seen or described["dtype"] not in REACH:
            continue
        seen.add(described["storage"])
        kind = FROM_THE_END if _lowest(described) >= _LEAST_INDEX else FAR
        yield encoded.parameter(call, path), described["storage"], kind


def _lowest(described: Described) -> int:
    low, _ = described.get("range") or (min(described.get("values") or [0]), 0)
    return int(low)


def is_kind(kind: str | None) -> bool:
    """Whether these are values of this module."""
    return kind in {FAR, FROM_THE_END}
