"""How good a correct candidate is: one total order over measured and counted evidence.

A clock decides where there is one. Without it the traffic *counted* on Triton's
interpreter is the first term, because static facts alone pick the wrong kernel; facts
*estimated* from compiled code only break ties in the ranking and veto an offer. A text
about which nothing is known ranks below every text about which something is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Literal

import attrs

from whet_evaluator.statistics import analyse
from whet_evaluator.worker.launch_records import Compiled, Counted, Launch
from whet_evaluator.worker.records import Correct, Recorded, Timing, Untimed

TRANSACTIONS_SLACK = 1.05
"""Masks and tails move the count of segments by a few percent; more is worse coalescing."""

Standing = Literal["better", "same", "worse", "undecided", "unknown"]


@attrs.frozen(kw_only=True)
class MeasuredScore:
    """Original time over candidate time with its interval, from real samples.

    `noisy`: the original against itself did not read SAME, or slowed on purpose not SLOWER,
    so no verdict counts.
    `regressions` name the cases that got slower, `suspicious` a ratio above ten.
    """

    ratio: float
    low: float
    high: float
    verdict: Literal["FASTER", "SLOWER", "SAME", "AMBIGUOUS"]
    noisy: bool = False
    suspicious: bool = False
    regressions: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class CostScore:
    """Traffic over the recorded launches (*counted*) and compiled facts (*estimated*).

    `counted` None: some launch could not be counted, so no sum is honest.
    """

    counted: Counted | None
    vgprs: int | None
    spills: int | None
    scratch_bytes: int | None
    lds_bytes: int | None
    instructions: int | None
    arch: str | None

    @property
    def traffic_bytes(self) -> int | None:
        """Bytes loaded, stored and updated; None where not counted."""
        if self.counted is None:
            return None
        return self.counted.loaded_bytes + self.counted.stored_bytes + self.counted.atomic_bytes


Score = MeasuredScore | CostScore


def score(verdict: Correct) -> Score:
    """What is known of a correct candidate's performance."""
    match verdict.timing:
        case Timing(cases=cases) as timing if cases:
            return _measured(timing)
        case Timing() | Untimed():
            return cost(verdict.launches, verdict.compiled)


def baseline_score(recorded: Recorded, *, has_clock: bool) -> Score:
    """The original's own score: by definition 1x against itself where there is a clock."""
    if has_clock:
        return MeasuredScore(ratio=1.0, low=1.0, high=1.0, verdict="SAME")
    return cost(recorded.launches, recorded.compiled)


def cost(launches: tuple[Launch, ...], compiled: tuple[Compiled, ...]) -> CostScore:
    """Sums counted traffic over launches and takes the worst compiled kernel."""
    return CostScore(
        counted=_total(launches),
        vgprs=_largest(unit.vgprs for unit in compiled),
        spills=_largest(unit.spills for unit in compiled),
        scratch_bytes=_largest(unit.scratch_bytes for unit in compiled),
        lds_bytes=_largest(unit.lds_bytes for unit in compiled),
        instructions=sum(unit.instructions for unit in compiled) or None,
        arch=compiled[0].arch if compiled else None,
    )


def rank(value: Score) -> tuple[float, ...]:
    """A key for `sorted`, ascending: the best comes last."""
    match value:
        case MeasuredScore():
            return (2.0, value.low, value.ratio)
        case CostScore(counted=None):
            return (0.0, *_static_rank(value))
        case CostScore():
            return (
                1.0,
                -float(value.traffic_bytes or 0),
                -float(_segments(value)),
                *_static_rank(value),
            )


def standing(value: Score, original: Score) -> Standing:
    """How a correct candidate stands against the original, for tally and offer."""
    match value, original:
        case MeasuredScore(), _:
            return "undecided" if value.noisy else _MEASURED_STANDING[value.verdict]
        case CostScore(), CostScore():
            return _traffic_standing(value, original)
        case _:
            return "unknown"


def vetoes(value: Score, original: Score) -> tuple[str, ...]:
    """Reasons against offering a candidate whose traffic is lower: *estimated* facts."""
    if not isinstance(value, CostScore) or not isinstance(original, CostScore):
        return ()
    found = []
    if _grew(value.spills, original.spills):
        found.append(f"spills {value.spills} registers (estimated)")
    if _grew(value.scratch_bytes, original.scratch_bytes):
        found.append(f"uses {value.scratch_bytes} bytes of scratch memory (estimated)")
    if _segments(value) > _segments(original) * TRANSACTIONS_SLACK:
        found.append("touches more memory segments (counted)")
    return tuple(found)


_MEASURED_STANDING: dict[str, Standing] = {
    "FASTER": "better",
    "SLOWER": "worse",
    "SAME": "same",
    "AMBIGUOUS": "undecided",
}


def _measured(timing: Timing) -> MeasuredScore:
    result = analyse(timing)
    return MeasuredScore(
        ratio=result.ratio,
        low=result.low,
        high=result.high,
        verdict=result.verdict,
        noisy=not result.control_ok,
        suspicious=result.suspicious,
        regressions=tuple(
            f"{case.name} {case.ratio:.2f}x [{case.low:.2f}, {case.high:.2f}]"
            for case in result.regressions
        ),
    )


def _traffic_standing(value: CostScore, original: CostScore) -> Standing:
    if value.counted is None or original.counted is None:
        return "unknown"
    mine = (value.traffic_bytes or 0, value.counted.transactions)
    theirs = (original.traffic_bytes or 0, original.counted.transactions)
    if mine[0] != theirs[0]:
        return "better" if mine[0] < theirs[0] else "worse"
    if mine[1] * TRANSACTIONS_SLACK < theirs[1]:
        return "better"
    return "worse" if mine[1] > theirs[1] * TRANSACTIONS_SLACK else "same"


def _segments(value: CostScore) -> int:
    return value.counted.transactions if value.counted is not None else 0


def _static_rank(value: CostScore) -> tuple[float, ...]:
    return (
        -float(value.spills or 0),
        -float(value.scratch_bytes or 0),
        -float(value.instructions or 0),
    )


def _total(launches: tuple[Launch, ...]) -> Counted | None:
    """Sum over all launches, each as often as the tests made it; None if one is uncounted."""
    if not launches or any(launch.counted is None for launch in launches):
        return None
    return Counted(
        **{
            field.name: sum(
                getattr(launch.counted, field.name) * launch.count for launch in launches
            )
            for field in dataclasses.fields(Counted)
        }
    )


def _largest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _grew(mine: int | None, theirs: int | None) -> bool:
    return (mine or 0) > (theirs or 0)
