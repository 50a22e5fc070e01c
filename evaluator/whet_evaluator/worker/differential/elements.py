"""Outputs element by element: where they differ, what was never written, and how to say it."""

from __future__ import annotations

import math
from typing import Any

from . import poison
from .outputs import Output
from .tolerance import Errors


def wide(torch: Any, data: Any, skip: Any) -> Any:
    """As float64, complex numbers as pairs, zero where `skip` holds."""
    data = torch.view_as_real(data) if data.dtype.is_complex else data
    values = data.to(torch.float64)
    if skip is None or not bool(skip.any()):
        return values
    skip = skip.unsqueeze(-1) if skip.ndim < values.ndim else skip
    return torch.where(skip, torch.zeros_like(values), values)


def special(torch: Any, a: Any, b: Any) -> Any:
    """Where NaN, or an infinity of either sign, is in one and not in the other."""
    same = (torch.isnan(a) == torch.isnan(b)) & (torch.isposinf(a) == torch.isposinf(b))
    return ~(same & (torch.isneginf(a) == torch.isneginf(b)))


def unequal(torch: Any, a: Output, b: Output) -> Any:
    """Where the bits differ, but for the payload of NaN."""
    if a.data.shape != b.data.shape or a.data.dtype != b.data.dtype:
        return torch.ones(a.data.shape, dtype=torch.bool)
    found = (_bytes(torch, a.data) != _bytes(torch, b.data)).any(-1)
    if not a.data.dtype.is_floating_point:
        return found
    values_a, values_b = a.data.to(torch.float32), b.data.to(torch.float32)
    return found & ~(torch.isnan(values_a) & torch.isnan(values_b))


def unwritten(torch: Any, first: Output, again: Output) -> Any:
    """Where two runs over different stale memory show just that memory."""
    if first.shape != again.shape or first.role.startswith("input"):
        return torch.zeros(first.data.shape, dtype=torch.bool)
    if first.data.dtype == torch.bool:
        return first.data & ~again.data
    old, new = (_bytes(torch, o.data) for o in (first, again))
    return (old == poison.PATTERNS[0]).all(-1) & (new == poison.PATTERNS[1]).all(-1)


def where(wrong: Any) -> str:
    """`[3, 39] and 2 % of its elements`."""
    return f"{_first(wrong)} and {_share(wrong)} of its elements"


def at(role: str, wrong: Any, got: Any, want: Any, against: str) -> str:
    """A sentence about the first wrong element and how many there are."""
    place = tuple(_first(wrong))
    a, b = got[place].flatten()[0].item(), want[place].flatten()[0].item()
    return (
        f"{role} differs first at {list(place)}: got {_number(a)}, want {_number(b)} "
        f"({against}); {_share(wrong)} of its elements differ"
    )


def alike(got: tuple[Any, ...], want: tuple[Any, ...]) -> bool:
    """Numbers that a launcher returned as such: floats nearly, all else exactly. A float
    comes as its `repr`, so that NaN and infinities survive JSON."""
    return len(got) == len(want) and all(map(_nearly, got, want))


def _nearly(a: Any, b: Any) -> bool:
    if a == b or not (isinstance(a, str) and isinstance(b, str)):
        return bool(a == b)
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-5, abs_tol=1e-8)
    except ValueError:
        return False


def form(output: Output) -> str:
    """`a Tensor float32[16x40]`."""
    shape = "x".join(str(n) for n in output.shape) or "scalar"
    return f"a {output.type} {output.dtype}[{shape}]"


def sharing(output: Output) -> str:
    """In whose memory an output lies."""
    return "has its own memory" if output.shares is None else f"lies in input {output.shares}"


def _first(wrong: Any) -> list[int]:
    return [int(i) for i in wrong.nonzero()[0]]


def _share(wrong: Any) -> str:
    return f"{100.0 * float(wrong.double().mean()):.3g} %"


def _bytes(torch: Any, data: Any) -> Any:
    if data.numel() == 0:
        return torch.zeros((*data.shape, 1), dtype=torch.uint8)
    return data.contiguous().unsqueeze(-1).view(torch.uint8)


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else str(value)


def lies_as(got: Output, want: Output) -> bool:
    """Whether strides agree wherever a dimension has more than one element."""
    rows = zip(want.shape, got.strides, want.strides)
    return all(a == b for n, a, b in rows if n > 1) or 0 in want.shape


def grad(made: Output) -> str:
    return "requires a gradient" if made.requires_grad else "requires none"


def oracle(name: str) -> str:
    return {
        "reference": "the reference", "torch": "the PyTorch function",
        "float64": "the original in float64", "original": "the original",
    }[name]  # fmt: skip


def ulp(seen: Errors) -> str:
    return f"{seen.largest:.3g} ulp"


def short(plain: tuple[Any, ...]) -> str:
    return ", ".join(map(str, plain))[:120] or "nothing"
