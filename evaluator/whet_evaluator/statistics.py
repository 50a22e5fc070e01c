"""From raw samples to what is said of them. Pure: the same samples always give the same words.

The arithmetic is `worker.intervals`, whose head has the theory. Here cases become one
verdict, and the controls decide whether any verdict may be believed: the original against
itself must read SAME, and the original against itself with a known delay must read SLOWER.
Pairs are never dropped for their ratio.
"""

from __future__ import annotations

from dataclasses import dataclass

from whet_evaluator.worker.intervals import (
    CLAIM_ALPHA,
    LOOKS,
    SHOWN_ALPHA,
    ZONE,
    Estimate,
    Verdict,
    combined,
    estimate,
    judge,
    next_look,
    t_quantile,
)
from whet_evaluator.worker.records import Case, Timing

__all__ = [
    "CLAIM_ALPHA", "LOOKS", "SHOWN_ALPHA", "SUSPICIOUS", "ZONE", "CaseResult", "Measured",
    "analyse", "judge", "next_look", "t_quantile",
]  # fmt: skip

SUSPICIOUS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """`ratio` is original time by candidate time: above one the candidate is faster.

    `low` and `high` bound it with 95 % confidence. `verdict` rests on the wider interval
    that up to three looks leave (`intervals.CLAIM_ALPHA`), so one that reaches just beyond
    the zone of equal speed may be called AMBIGUOUS.
    """

    name: str
    ratio: float
    low: float
    high: float
    verdict: Verdict
    method: str
    state: str
    n_rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`ratio` is the geometric mean over the cases, each with equal weight."""

    ratio: float
    low: float
    high: float
    verdict: Verdict
    cases: tuple[CaseResult, ...]
    noise: tuple[str, ...]
    """A sentence for each control that did not read as it must. If there is one, the
    device is *noisy* and no verdict here means anything."""

    @property
    def control_ok(self) -> bool:
        """Every case had its controls, and they read as they must."""
        return not self.noise

    @property
    def regressions(self) -> tuple[CaseResult, ...]:
        """Cases that got slower, to be shown even when the mean improves."""
        return tuple(case for case in self.cases if case.verdict == "SLOWER")

    @property
    def suspicious(self) -> bool:
        """More than ten times faster: likelier a trick or a bug than a discovery."""
        return any(case.ratio > SUSPICIOUS for case in self.cases)


def analyse(timing: Timing) -> Measured:
    """Judges `timing`. Raises `ValueError` when it has no case, a case has fewer than two
    rounds, or a sample is not a positive time."""
    if not timing.cases:
        raise ValueError("nothing was timed: " + ("; ".join(timing.not_timed) or "no cases"))
    estimates = [estimate(case.rounds) for case in timing.cases]
    overall = combined(estimates)
    low, high = overall.bounds(SHOWN_ALPHA)
    return Measured(
        ratio=overall.ratio,
        low=low,
        high=high,
        verdict=overall.verdict,
        cases=tuple(map(_case_result, timing.cases, estimates)),
        noise=tuple(fault for case in timing.cases for fault in _faults(case)),
    )


def _case_result(case: Case, found: Estimate) -> CaseResult:
    low, high = found.bounds(SHOWN_ALPHA)
    return CaseResult(
        name=case.name,
        ratio=found.ratio,
        low=low,
        high=high,
        verdict=found.verdict,
        method=case.method,
        state=case.state,
        n_rounds=len(case.rounds),
    )


def _faults(case: Case) -> list[str]:
    """What is wrong with the controls of one case. Without controls nothing is controlled."""
    found = []
    for what, rounds, wanted in (
        ("the original against itself", case.control, "SAME"),
        (f"the original slowed by {case.slowed_by:.0%}", case.slowed, "SLOWER"),
    ):
        if len(rounds) < 2:
            found.append(f"{case.name}: {what} was not timed")
            continue
        read = estimate(rounds)
        if read.verdict != wanted:
            low, high = read.bounds(CLAIM_ALPHA)
            found.append(
                f"{case.name}: {what} reads {read.verdict}, {read.ratio:.3f}x "
                f"[{low:.3f}, {high:.3f}], instead of {wanted}"
            )
    return found
