"""Integer tensors when a size changes: counts and indices must stay within the new one.

A value may be an index into a dimension, a running count that ends at one (offsets of
packed sequences), a permutation, a mask or plain data. Which it is can only be read off
the recorded values; where that is not certain the values are kept small enough for any
dimension they might index.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Sequence
from typing import Any

from . import encoded

_INDEX_TYPES = ("int32", "int64", "uint32", "uint64")
_PADDING = (-1, -100)
"""Negative values that mark an element to ignore, in common use."""
_MAX_LISTED = 1 << 16
"""Elements whose values are written out one by one; of more, only their range is kept."""


Moved = Sequence[tuple[int, int]]
"""Sizes, from and to."""


def adapt(
    old: dict[str, Any], new: dict[str, Any], moved: Moved, still: Sequence[int] = ()
) -> None:
    """Rewrites `new`'s values or range for the sizes `moved`, in place; `still` are the call's
    other sizes and integers, which indices may belong to just as well."""
    if "values" in old and _product(new["shape"]) > _MAX_LISTED:
        del new["values"]
        values = old["values"] or [0]
        ranged = {key: value for key, value in old.items() if key != "values"}
        adapt({**ranged, "range": [min(values), max(values)]}, new, moved, still)
        new.setdefault("range", [min(values), max(values)])
    elif "values" in old:
        new["values"] = _values(old, new, moved, still)
    elif "range" in old and old["dtype"] in _INDEX_TYPES:
        low, high = old["range"]
        bound = _bound(high, old["shape"], moved, still) if low >= min(_PADDING) else None
        if bound is not None:
            end = bound[1] - 1
            new["range"] = [min(low, end), max(_moved_index(high, *bound), min(high, end))]


def redrawn(call: encoded.Call, blocks: Sequence[int], draw: int = 0) -> encoded.Call | None:
    """The call with its small integer tensors drawn anew within what each held; None without.

    Half of the elements come from the ends of blocks and from the call's own sizes and
    scalars, and their neighbours: a bound that is off by one shows there. What was sorted
    or had no value twice stays so; running counts and permutations stay as they are.
    """
    made = copy.deepcopy(call)
    scalars = [*encoded.integers(call).values()]
    shapes = [n for one in encoded.tensors(call).values() for n in one["shape"]]
    ends = {n + d for n in (*blocks, *scalars, *shapes) for d in (-1, 0, 1)}
    changed = False
    for number, described in enumerate(encoded.tensors(made).values()):
        values = described.get("values") or []
        plain = described["dtype"] not in ("bool", "int8", "uint8")
        fixed = is_running_count(described) or sorted(values) == list(range(len(values)))
        if len(values) > 1 and plain and not fixed:
            described["values"] = _redrawn(
                values, ends, scalars, random.Random(f"{len(values)} {number} {draw}")
            )
            changed = changed or described["values"] != values
    return made if changed else None


def _redrawn(
    values: list[int], ends: set[int], scalars: Sequence[int], generator: random.Random
) -> list[int]:
    low, high = min(values), max(values)
    first = [one for one in dict.fromkeys(scalars) if low <= one <= high][: len(values) // 2]
    within = sorted(end for end in ends if low <= end <= high)
    if len(set(values)) == len(values):
        n = len(values)
        chosen = generator.sample(within, min(len(within), max(4, n // 2), n))
        spare = generator.sample(range(low, high + 1), min(high - low + 1, 2 * n))
        drawn = [*dict.fromkeys((*first, *chosen, *spare))][:n]
        generator.shuffle(drawn)
    else:
        drawn = [
            generator.choice(within) if within and turn % 2 else generator.randint(low, high)
            for turn in range(len(values) - len(first))
        ] + first
    return sorted(drawn) if values == sorted(values) else drawn


def is_index(described: dict[str, Any]) -> bool:
    """Whether the values could be indices: wide integers, none far below zero."""
    low, _ = _extremes(described)
    return described["dtype"] in _INDEX_TYPES and (low >= 0 or low in _PADDING)


def largest(call: encoded.Call) -> int:
    """The largest value that could be an index into a dimension of the call; -1 without any."""
    held = [d for d in encoded.tensors(call).values() if d["dtype"] in _INDEX_TYPES]
    return max((_extremes(one)[1] for one in held if is_index(one)), default=-1)


def is_running_count(described: dict[str, Any]) -> bool:
    """Whether the values could be where packed sequences begin: rising from zero."""
    values = described.get("values", ())
    return (
        len(described["shape"]) == 1
        and len(values) > 1
        and is_index(described)
        and values[0] == 0
        and all(a < b for a, b in itertools.pairwise(values))
    )


def _values(
    old: dict[str, Any], new: dict[str, Any], moved: Moved, still: Sequence[int]
) -> list[int]:
    values: list[int] = old["values"]
    count = 1
    for n in new["shape"]:
        count *= n
    if not values:
        return [0] * count
    ends = dict(moved)
    if is_index(old) and len(values) > 1 and len(new["shape"]) == 1:
        if values == sorted(values) and values[0] == 0 and values[-1] in ends:
            return _spread(count, ends[values[-1]])
        if sorted(values) == list(range(len(values))):
            return _permutation(values, count)
    kept = _cropped(values, old["shape"], new["shape"])
    bound = _bound(max(values), old["shape"], moved, still) if is_index(old) else None
    return kept if bound is None else [_moved_index(v, *bound) if v >= 0 else v for v in kept]


def _moved_index(index: int, old: int, new: int) -> int:
    """Wrapped into a smaller dimension; spread over a larger one, as far as its end."""
    return index % new if new <= old else index * (new - 1) // max(1, old - 1)


def _bound(
    high: int, own: Sequence[int], moved: Moved, still: Sequence[int]
) -> tuple[int, int] | None:
    """Old and new size of the dimension that indices up to `high` lead into, None if unmoved.

    It is the smallest that they would nearly fill; failing that, any that would hold them.
    Where what stands `still` is smaller yet they do not grow, but shrink all the same; nor do
    they grow with a size of their `own` tensor where something still would hold them.
    """
    holding = sorted((old, new) for old, new in moved if old > high)
    filled = [(old, max(1, new)) for old, new in holding if 2 * (high + 1) > old]
    if filled and not any(
        high < size and (size < filled[0][0] or filled[0][0] in own) for size in still
    ):
        return filled[0]
    if not holding:
        return None
    smallest = max(1, min(new for _, new in holding))
    return max(smallest, high + 1), smallest


def _spread(count: int, end: int) -> list[int]:
    """A running count from 0 to `end` in `count` steps of about equal height."""
    return [end * i // max(1, count - 1) for i in range(count)] if count > 1 else [end]


def _permutation(values: list[int], count: int) -> list[int]:
    shorter = [v for v in values if v < count]
    return shorter + list(range(len(values), count))


def _cropped(values: list[int], old: Sequence[int], new: Sequence[int]) -> list[int]:
    """The same table at another shape: cut off where shorter, repeated where longer."""
    if list(old) == list(new):
        return list(values)
    made = []
    strides = encoded.contiguous(old)
    for flat in range(_product(new)):
        index, rest = 0, flat
        for d in range(len(new) - 1, -1, -1):
            rest, at = divmod(rest, new[d])
            index += (at % old[d]) * strides[d]
        made.append(values[index])
    return made


def _extremes(described: dict[str, Any]) -> tuple[int, int]:
    if described.get("values"):
        return min(described["values"]), max(described["values"])
    low, high = described.get("range", (0, 0))
    return low, high


def _product(shape: Sequence[int]) -> int:
    count = 1
    for n in shape:
        count *= n
    return count
