"""The same call with tensors that lie otherwise in memory, or share it."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence

from . import encoded
from .encoded import Call, Described

STEP = 2
_ALIKE = ("shape", "strides", "dtype")
_MOST_PAIRS = 3


def variants(calls: Sequence[Call], call: Call) -> Iterator[tuple[str, Call, bool]]:
    """`(change, call, hard)`: hard where some recorded call had that layout there.

    Every floating-point input changes alike, then one more case for each alone where
    there are two or three.
    """
    paths = [path for path, described in encoded.tensors(call).items() if _movable(call, described)]
    recorded = {
        path: {kind_of(encoded.tensors(one)[path]) for one in calls if path in encoded.tensors(one)}
        for path in paths
    }
    choices = [paths, *([path] for path in paths if 2 <= len(paths) <= 3)]
    for kind in ("padded", "sliced", "transposed", "offset", "expanded", "broadcast"):
        for chosen in choices:
            changed = [path for path in chosen if _fits(kind, encoded.tensors(call)[path])]
            if not changed or (changed != chosen and chosen is not paths):
                continue
            made = copy.deepcopy(call)
            for path in changed:
                _lay(kind, encoded.tensors(made)[path])
            encoded.settle_storages(made)
            names = ", ".join(encoded.parameter(call, path) for path in changed)
            yield f"{names} {kind}", made, all(kind in recorded[path] for path in changed)
    yield from _aliases(call, paths)


def kind_of(described: Described) -> str:
    """The layout's kind: `dense`, or how it departs from that."""
    shape, strides = described["shape"], described["strides"]
    real = [(n, s) for n, s in zip(shape, strides) if n > 1]
    if any(stride == 0 for _, stride in real):
        return "expanded"
    if encoded.is_contiguous(described):
        return (
            "offset" if described["offset"] * encoded.itemsize(described["dtype"]) % 16 else "dense"
        )
    if [s for _, s in real] != sorted((s for _, s in real), reverse=True):
        return "transposed"
    return "padded" if real[-1][1] == 1 else "sliced"


def _movable(call: Call, described: Described) -> bool:
    """Whether it is a dense tensor alone in its memory."""
    sharing = [
        other
        for other in encoded.tensors(call).values()
        if other["storage"] == described["storage"]
    ]
    return len(sharing) == 1 and encoded.is_contiguous(described) and not described["offset"]


def _fits(kind: str, described: Described) -> bool:
    n_real: int = sum(n > 1 for n in described["shape"])
    if kind in {"expanded", "broadcast"}:
        return n_real >= 2 and encoded.is_floating(described["dtype"])
    return n_real >= (1 if kind in {"sliced", "offset"} else 2)


def _lay(kind: str, described: Described) -> None:
    shape, strides = described["shape"], described["strides"]
    real = [d for d, n in enumerate(shape) if n > 1]
    if kind == "padded":
        for d in range(real[-1]):
            strides[d] += 16 * (strides[d] // strides[real[-2]] if strides[d] else 0)
    elif kind == "sliced":
        described["strides"] = [STEP * stride for stride in strides]
    elif kind == "transposed":
        first, last = real[-2], real[-1]
        turned = list(shape)
        turned[first], turned[last] = turned[last], turned[first]
        dense = encoded.contiguous(turned)
        dense[first], dense[last] = dense[last], dense[first]
        described["strides"] = dense
    elif kind == "offset":
        described["offset"] = 1
    elif kind in {"expanded", "broadcast"}:  # along the first dimension, or the last
        d = real[0] if kind == "expanded" else real[-1]
        described["strides"] = encoded.contiguous([1 if i == d else n for i, n in enumerate(shape)])
        described["strides"][d] = 0


def _aliases(call: Call, paths: Sequence[encoded.Path]) -> Iterator[tuple[str, Call, bool]]:
    """Each two of the inputs that could be one tensor, as one tensor; an `out=` is one of them."""
    described = encoded.tensors(call)
    alike = [
        (first, second)
        for first, second in itertools.combinations(paths, 2)
        if all(described[first][what] == described[second][what] for what in _ALIKE)
    ]
    for first, second in alike[:_MOST_PAIRS]:
        made = copy.deepcopy(call)
        encoded.tensors(made)[second]["storage"] = described[first]["storage"]
        names = f"{encoded.parameter(call, first)} and {encoded.parameter(call, second)}"
        yield f"same memory for {names}", made, False
