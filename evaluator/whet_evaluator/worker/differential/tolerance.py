"""How far outputs are from the truth, and how far a candidate's may be. Pure; needs torch.

Errors are in units in the last place (ulp) of the output's type, in two readings: the
*typical* one relative to each element itself or a part of its row's root mean square (99th
percentile), and the *largest* one relative to the element or that root mean square, so that
elements that happen to lie near zero do not decide: what cancels there is as large in
any order of the same operations.

A candidate may err twice as much as the original does, or as much as moving every input
by one float32 ulp does (any order of additions may), and always by a few ulp.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FACTOR = 2.0
FACTOR_OF_FEW = 8.0
"""With fewer than `FEW` elements luck decides how large the original's error is."""
FEW = 64
NEAR_ZERO, NEAR_ZERO_OF_FEW_BITS = 1 / 4, 1 / 8
"""That part: a quarter, and an eighth for types of 16 and 8 bits, which registers hold exactly. In
float32 a small element often is what is left of two large ones, rounded once more or less."""
_FEW_BITS = 1e-4
"""The distance from 1 to the next number from which on a type has few."""
_MAX_SAMPLE = 1 << 20
_MIN_TAIL = 10
_FEW_LOST = 4
_FAR_FROM_SUBNORMAL = 1024.0
_TRUSTED_RELATIVE = 2.0**-6
_TRUSTED_ULPS = 16.0


@dataclass(frozen=True)
class Errors:
    """In ulp of the output's type."""

    typical: float = 0.0
    largest: float = 0.0

    def worse(self, other: Errors) -> Errors:
        return Errors(max(self.typical, other.typical), max(self.largest, other.largest))

    def within(self, allowed: Errors) -> bool:
        return self.typical <= allowed.typical and self.largest <= allowed.largest


def epsilon(torch: Any, dtype: Any) -> float:
    """Distance from 1 to the next number of that float type."""
    return float(torch.finfo(dtype).eps)


def errors(torch: Any, values: Any, truth: Any, dtype: Any) -> Errors:
    """Of float64 `values` against float64 `truth`, where both are finite."""
    counted = torch.isfinite(values) & torch.isfinite(truth)
    if not bool(counted.any()):
        return Errors()
    tiny, eps = float(torch.finfo(dtype).tiny), epsilon(torch, dtype)
    apart, size = (values - truth).abs(), _row_size(torch, truth, tiny)
    near_zero = NEAR_ZERO if eps < _FEW_BITS else NEAR_ZERO_OF_FEW_BITS
    least = torch.maximum(truth.abs(), near_zero * size).clamp_min(tiny)
    relative = (apart / (eps * least))[counted]
    scaled = scaled_errors(torch, values, truth, dtype)[counted]
    return Errors(_typical(torch, relative), float(scaled.max()))


def scaled_errors(torch: Any, values: Any, truth: Any, dtype: Any) -> Any:
    """Per element, relative to the larger of the element and its row's root mean square."""
    tiny, eps = float(torch.finfo(dtype).tiny), epsilon(torch, dtype)
    size = _row_size(torch, truth, tiny)
    return (values - truth).abs() / (eps * torch.maximum(truth.abs(), size).clamp_min(tiny))


def _row_size(torch: Any, truth: Any, tiny: float) -> Any:
    """Root mean square of each element's row; of everything where rows are short."""
    finite = torch.where(torch.isfinite(truth), truth, torch.zeros_like(truth))
    rows = finite if finite.ndim and finite.shape[-1] >= 8 else finite.reshape(1, -1)
    peak = rows.abs().amax(-1, keepdim=True).clamp_min(tiny)
    size = (rows / peak).pow(2).mean(-1, keepdim=True).sqrt() * peak
    return size if rows is finite else size.reshape((1,) * finite.ndim)


def allowed(torch: Any, seen: Errors, *, n_elements: int, dtype: Any) -> Errors:
    """The bound for a candidate where `seen` is the original's own error or conditioning."""
    factor = FACTOR if n_elements >= FEW else FACTOR_OF_FEW
    floor = _FLOOR if epsilon(torch, dtype) < _FEW_BITS else _FLOOR_OF_FEW_BITS
    return Errors(
        max(factor * seen.typical, floor.typical), max(factor * seen.largest, floor.largest)
    )


def vanished(
    torch: Any, values: Any, originals: tuple[Any, Any], truth: Any, dtype: Any
) -> Any:  # fmt: skip
    """Where small elements became zero, though the original has them right to a percent or two:
    beside the largest of their row such an error is none. Nowhere, unless at least `_FEW_LOST`
    did and at least half of all that are as small: what cancels hits zero now and then."""
    size = truth.abs()
    right = size >= _FAR_FROM_SUBNORMAL * float(torch.finfo(dtype).tiny)
    for known in originals:
        right &= (known - truth).abs() <= _TRUSTED_RELATIVE * size
    lost = right & (values == 0)
    n_lost = int(lost.sum())
    if n_lost < _FEW_LOST or 2 * n_lost < int((right & (size <= size[lost].max())).sum()):
        return torch.zeros_like(lost)
    return lost


def fell_otherwise(torch: Any, quantised: Any, apart: Any) -> bool:
    """Whether differing elements, by so much `apart`, may be values half way between two integers
    that fell the other way: few of them, by one, in whole numbers of a byte."""
    if quantised.element_size() != 1 or quantised.dtype == torch.bool:
        return False
    few = apart.numel() <= max(1, quantised.numel() // 1000)
    return bool(few and (apart <= 1).all())


def is_trusted(torch: Any, seen: Errors, dtype: Any) -> bool:
    """Whether an oracle that the original misses by `seen` can be the truth at all: a
    bound that is a share of the value itself would let anything pass."""
    limit = max(_TRUSTED_ULPS, _TRUSTED_RELATIVE / epsilon(torch, dtype))
    return seen.largest <= limit


_FLOOR = Errors(4.0, 8.0)
_FLOOR_OF_FEW_BITS = Errors(1.0, 2.0)
"""For 16 and 8 bit types: registers are wider, so one rounding is what is left."""


def _typical(torch: Any, relative: Any) -> float:
    """The 99th percentile; a lower one where fewer than ten elements would lie beyond."""
    flat = relative.reshape(-1)
    if flat.numel() > _MAX_SAMPLE:
        flat = flat[:: -(-flat.numel() // _MAX_SAMPLE)]
    n = flat.numel()
    n_beyond = max(_MIN_TAIL, n // 100)
    if n < 2 * _MIN_TAIL:
        return 0.0
    return float(flat.kthvalue(n - n_beyond).values)
