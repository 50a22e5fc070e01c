"""How results are put in words, in one place.

*measured* comes from a clock on named hardware, *counted* from the interpreter,
*estimated* from compiled code. Without a clock nothing here says faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whet_agent.report import Best, Cost, Speedup


NAMES = {
    "gfx90a": "MI250",
    "gfx942": "MI300X",
    "gfx950": "MI350",
    "sm_80": "A100",
    "sm_90": "H100/H200",
}
"""Product names by architecture; an architecture not listed is called by its own name."""

UNTIMED = "correct, untimed"


def arch_name(arch: str) -> str:
    return NAMES.get(arch, arch)


def best_label(best: Best) -> str:
    """`1.83x` for a confirmed measurement, else `correct, untimed`."""
    return UNTIMED if best.evidence.speedup is None else ratio(best.evidence.speedup)


def accept_title(best: Best) -> str:
    return f"Accept {best_label(best)}" if best.evidence.speedup else f"Accept ({UNTIMED})"


def ratio(speedup: Speedup) -> str:
    return f"{speedup.ratio:.2f}x"


def measured(speedup: Speedup, *, now: float) -> str:
    """`1.83x (interval 1.79 to 1.88), measured on MI300X, 2 hours ago`."""
    return (
        f"{ratio(speedup)} (interval {speedup.low:.2f} to {speedup.high:.2f}), "
        f"measured on {speedup.hardware}, {age(now - speedup.at)}"
    )


def age(seconds: float) -> str:
    for size_s, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        n_units = int(seconds // size_s)
        if n_units >= 1:
            return f"{n_units} {unit}{'s' if n_units > 1 else ''} ago"
    return "just now"


def cost_lines(before: Cost | None, after: Cost | None) -> tuple[str, ...]:
    """Counted traffic and estimated resources, each labelled as such."""
    lines = []
    traffic = _change(_traffic(before), _traffic(after), "bytes moved")
    if traffic:
        lines.append(f"Counted on the interpreter: {traffic}")
    facts = [
        _change(before.vgprs if before else None, after.vgprs if after else None, "VGPRs"),
        _change(before.spills if before else None, after.spills if after else None, "spills"),
        _change(
            before.lds_bytes if before else None, after.lds_bytes if after else None, "bytes of LDS"
        ),
    ]
    arch = after.arch if after else before.arch if before else None
    if any(facts) and arch:
        lines.append(f"Estimated from code compiled for {arch}: {', '.join(filter(None, facts))}")
    return tuple(lines)


def _traffic(cost: Cost | None) -> int | None:
    if cost is None or cost.counted is None:
        return None
    counted = cost.counted
    return counted.loaded_bytes + counted.stored_bytes + counted.atomic_bytes


def _change(before: int | None, after: int | None, unit: str) -> str:
    if before is not None and after is not None and before != after:
        return f"{before:,} to {after:,} {unit}"
    value = after if after is not None else before
    return "" if value is None else f"{value:,} {unit}"
