"""What a cheat and a control are, and how the texts of both are made from small units."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from whet_agent.source.units import unit_of
from whet_evaluator.worker.unit_ref import UnitRef

PROJECT = Path(__file__).parent / "projects" / "small"
Where = Literal["screen", "load", "tests", "differ", "proof", "time"]
"""The stage that must end the candidate; `proof` is what the stages see at run time beside
outputs: launches, operators and what the candidate does to its process."""

_KERNELS = {
    "softmax": "softmax_kernel",
    "add": "add_kernel",
    "matmul": "matmul_kernel",
    "scale": "scale_kernel",
    "square": "square_kernel",
    "norm": "norm_kernel",
    "total": "total_kernel",
    "transpose": "transpose_kernel",
    "bias": "bias_kernel",
    "stats": "stats_kernel",
    "recurrence": "recurrence_kernel",
    "argmax": "argmax_kernel",
    "flip": "flip_kernel",
    "weight_grad": "weight_grad_kernel",
    "tanh": "tanh_backward_kernel",
    "window": "window_kernel",
    "exponentials": "shares_kernel",
    "average": "blend_kernel",
    "gather_sum": "accumulate_kernel",
    "weigh": "weigh_kernel",
    "pick": "pick_kernel",
}


@dataclass(frozen=True, kw_only=True)
class Cheat:
    """One candidate that must be rejected once the screen is out of its way.

    `trick` is the catalogue's row. `found` are the parts of a verdict of which each run
    must show at least one: a class's name, or a word of its reason. An empty `found` says
    that only the screen stops it (`why_screen` says why that is enough).
    """

    trick: str
    name: str
    unit: str
    text: str
    where: Where
    found: tuple[str, ...]
    clock: bool = False
    """It exists only where there is a clock, so on a GPU."""
    why_screen: str = ""
    gap: str = ""
    """Why it is not caught without a device. It is then expected to pass, so that whoever
    closes the gap has to take it out here; the manual names what is open."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """One honest candidate that must be accepted, by the screen too."""

    name: str
    unit: str
    text: str
    clock: bool = False
    gap: str = ""
    """Why it is rejected all the same, as with a `Cheat`."""


def original(unit: str) -> str:
    return (PROJECT / "kernels" / f"{unit}.py").read_text(encoding="utf-8")


def reference(unit: str) -> UnitRef:
    found = unit_of(original(unit), f"kernels/{unit}.py", _KERNELS[unit])
    assert found is not None
    return found


def edited(unit: str, *edits: tuple[str, str], top: str = "") -> str:
    """The unit's file with each old text, which occurs once, replaced; `top` is put below
    the imports."""
    text = original(unit)
    for old, new in edits:
        assert text.count(old) == 1, (unit, old)
        text = text.replace(old, new)
    below = "import triton.language as tl\n"
    return text.replace(below, below + top, 1)
