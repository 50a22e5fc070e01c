"""Kinds of values for floating-point inputs: which to try, and how to draw them.

What was recorded of a tensor's values (`floats`: the least and largest finite one, the
median magnitude, whether all were finite) bounds what lies within the contract: a
variance stays positive, a probability below one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import encoded
from .encoded import Call, Described

SPECIALS = ("nan", "inf", "-inf")
LARGE = {"float16": 64.0, "bfloat16": 1000.0, "float32": 1000.0, "float64": 1e6}
"""Factors of the *large* kind; 16 for types not named. Far from overflow alone, but
exponentials, and squares in half precision, do overflow."""
FAR = 128.0
"""Distance from zero of the *far* kinds, in typical deviations: where a maximum starts at 0
or masked lanes hold 0, and where a variance is the small difference of two large sums."""
MAX_ALONE = 3


def kinds(calls: Sequence[Call], call: Call, blocks: Sequence[int]) -> list[tuple[str, bool]]:
    """`(kind, hard)` in the order to try them."""
    floats = [t for t in encoded.tensors(call).values() if encoded.is_floating(t["dtype"])]
    if not floats:
        return []
    recorded = [t.get("floats", {}) for one in calls for t in encoded.tensors(one).values()]
    signed = any(facts.get("low", -1.0) < 0 for facts in recorded)
    bounded = not any(facts.get("high", 2.0) > 1.0 for facts in recorded)
    finite = all(facts.get("finite", True) for facts in recorded)
    found = [
        ("large", not bounded), ("far below", signed and not bounded), ("far above", not bounded),
        ("cancellation", signed), ("one-hot", signed),
        ("equal", True), ("signed zero", signed), ("nan first", not finite),
    ]  # fmt: skip
    longest = max((t["shape"][-1] for t in floats if t["shape"]), default=1)
    edges = [str(b) for b in blocks if b < longest][:1]
    places = ["first", "last", *edges]
    specials = [(f"{s} {p}", not finite) for p in places for s in SPECIALS]
    return [*found, ("denormal", False), *(s for s in specials if s not in found)]


def are_finite(call: Call, chosen: Mapping[str, str]) -> bool:
    """Whether no input holds an infinity or a NaN: none was recorded, none among `chosen` kinds."""
    recorded = [t.get("floats", {}) for t in encoded.tensors(call).values()]
    plain = all(facts.get("finite", True) for facts in recorded)
    return plain and not any(kind.startswith(SPECIALS) for kind in chosen.values())


def assignments(call: Call, kind: str) -> Iterator[list[int]]:
    """Storages that get `kind` together: all floating-point ones, then each alone where a
    special value of one input could hide behind another's."""
    storages = list(
        dict.fromkeys(
            t["storage"] for t in encoded.tensors(call).values() if encoded.is_floating(t["dtype"])
        )
    )
    if kind.split(maxsplit=1)[0] not in SPECIALS:
        yield storages
        return
    for storage in storages[:MAX_ALONE] if kind.endswith("first") else storages[:1]:
        yield [storage]


@dataclass(frozen=True)
class Facts:
    """What was recorded of a float tensor's values; the defaults where nothing was."""

    low: float = -math.inf
    high: float = math.inf
    typical: float = 0.6745
    """Median magnitude of the finite values; 0.6745 is the normal distribution's."""
    all_infinite: float | None = None

    @classmethod
    def of(cls, described: Described) -> Facts:
        facts = described.get("floats")
        if facts is None:
            return cls()
        if facts.get("constant") in {"inf", "-inf"}:
            return cls(all_infinite=float(facts["constant"]))
        return cls(facts["low"], facts["high"], facts["typical"])


def draw(kind: str, n: int, dtype: Any, described: Described, generator: Any) -> Any:
    """`n` elements of `dtype` on the CPU. `described` is one tensor that uses them.

    Raises `ValueError` for an unknown kind.
    """
    import torch

    facts = Facts.of(described)
    row = max(1, described["shape"][-1] if described["shape"] else 1)
    plain = _normal(torch, n, dtype, facts, generator)
    word, _, where = kind.partition(" ")
    if word in SPECIALS:
        if n and not (dtype.itemsize == 1 and word != "nan"):  # float8 may have no infinity
            plain[_position(where, n, row)] = float(word)
        return plain.to(dtype)
    if kind == "normal":
        return plain.to(dtype)
    made = _DRAWN[kind](torch, plain, row, dtype) if kind in _DRAWN else None
    if made is None:
        raise ValueError(f"no kind of values is called {kind!r}")
    if facts.low >= 0:
        made = made.abs()
    return made.to(dtype)


def _normal(torch: Any, n: int, dtype: Any, facts: Facts, generator: Any) -> Any:
    """Normal, at the recorded magnitude and within the recorded sign and unit bounds."""
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    if dtype.is_complex:
        return torch.randn(n, generator=generator, dtype=torch.complex64)
    if facts.all_infinite is not None:
        return torch.full((n,), facts.all_infinite, dtype=wide)
    if facts.low == facts.high != 0:  # `torch.ones`: constant inputs would hide what is ignored
        return (torch.rand(n, generator=generator, dtype=wide) + 0.5) * facts.low
    if facts.low >= 0 and facts.high <= 1:
        span = facts.high - facts.low or 1.0
        return torch.rand(n, generator=generator, dtype=wide) * span + facts.low
    scale = facts.typical / 0.6745
    if 0.5 <= scale <= 2 or facts.typical == 0:
        scale = 1.0
    drawn = torch.randn(n, generator=generator, dtype=wide) * scale
    if facts.low > 0:
        return drawn.abs().clamp(min=facts.low)
    return drawn.abs() if facts.low == 0 and facts.high > 0 else drawn


def _position(where: str, n: int, row: int) -> int:
    """`first`, `last`, or an index within the first row: the first of the second block."""
    if where == "first":
        return 0
    return n - 1 if where == "last" else min(int(where), n - 1)


def _large(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    return plain * LARGE.get(str(dtype).removeprefix("torch."), 16.0)


def _far_below(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    return plain - FAR * plain.abs().mean()


def _far_above(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    return plain + FAR * plain.abs().mean()


def _equal(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    return torch.full_like(plain, plain[0].item() if plain.numel() else 0.0)


def _one_hot(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    at = torch.arange(plain.numel())
    return ((at % row) == (at // row * 7) % row).to(plain.dtype)


def _signed_zero(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    zeros = torch.zeros_like(plain.real if plain.is_complex() else plain)
    return torch.copysign(zeros, plain.real if plain.is_complex() else plain).to(plain.dtype)


def _cancellation(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    """Each odd element nearly undoes the one before it: sums are small, terms are not."""
    made = plain * 64
    n = plain.numel() // 2 * 2
    made[1:n:2] = -made[0:n:2] * (1 + 2.0**-6)
    return made


def _denormal(torch: Any, plain: Any, row: int, dtype: Any) -> Any:
    kind = dtype.to_real() if dtype.is_complex else dtype
    return (
        plain.clamp(-1, 1) * (float(torch.finfo(kind).tiny) / 2)
        if not plain.is_complex()
        else plain
    )


_DRAWN = {
    "large": _large,
    "far below": _far_below,
    "far above": _far_above,
    "equal": _equal,
    "one-hot": _one_hot,
    "signed zero": _signed_zero,
    "cancellation": _cancellation,
    "denormal": _denormal,
}
