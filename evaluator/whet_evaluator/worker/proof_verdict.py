"""What two records of `proof` show, compared where neither version was imported. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union

Origin = dict[str, Any]
"""One tensor's label as JSON: `{"kernel": bool, "through": [names of operators], "sums":
[names of operators]}`. `sums` are those that added up few partial results of a kernel: nothing
to object to, but an original that has them may be rewritten with more parts."""

Record = Union[dict[str, Any], None]
"""`{"origins": {role: Origin}, "launches": {kernel: n}}` of one run, None if not watched."""


@dataclass(frozen=True)
class Trick:
    """What a comparison of two records showed."""

    reason: str
    detail: str


def judge(original: Record, candidate: Record) -> Trick | None:
    """What the candidate's run shows that the original's does not. Pure."""
    if original is None or candidate is None:
        return None
    allowed = {n for o in original["origins"].values() for n in (*o["through"], *o["sums"])}
    for role, origin in sorted(candidate["origins"].items()):
        foreign = [name for name in origin["through"] if name not in allowed]
        if foreign:
            return Trick(
                "somebody else's code did the work",
                f"{role} went through {', '.join(foreign)}, which the original does not use",
            )
    if original["launches"] and not candidate["launches"]:
        kernels = ", ".join(sorted(original["launches"]))
        return Trick(
            "the kernel was not launched",
            f"the original launches {kernels} in this call, the candidate no kernel of the unit",
        )
    for role, origin in sorted(candidate["origins"].items()):
        known = original["origins"].get(role)
        if known is not None and known["kernel"] and not origin["kernel"]:
            return Trick(
                "no kernel computed the output",
                f"{role} was written by a kernel of the unit in the original, not here",
            )
    return None
