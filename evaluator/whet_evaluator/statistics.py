"""From raw samples to a verdict. Pure: the same samples always give the same words.

A sample is a pair, original and candidate in random order, so slow drift of clocks and
temperature divides out of each ratio. A round's score is the median log ratio of its
pairs: one disturbed pair moves nothing. Rounds are far enough apart to be treated as
independent, and a t interval over their scores gives `1.27x [1.25, 1.29]`. Pairs are
never dropped for their ratio.

An inconclusive measurement may be continued at 20, 40 and 80 rounds. Looking three
times would make false claims three times as likely, so the looks share one alpha.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Literal

from whet_evaluator.worker.records import Timing

Verdict = Literal["FASTER", "SLOWER", "SAME", "AMBIGUOUS"]
Rounds = tuple[tuple[tuple[float, float], ...], ...]

LOOKS = (20, 40, 80)
ALPHA = 0.05
ZONE = 1.02
"""Ratios between 1/1.02 and 1.02 are the same speed: no user would notice."""
SUSPICIOUS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """`ratio` is original time by candidate time: above one the candidate is faster.

    `low` and `high` bound it with the confidence the looks leave (98.3 %).
    """

    name: str
    ratio: float
    low: float
    high: float
    verdict: Verdict
    method: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`ratio` is the geometric mean over the cases, each with equal weight."""

    ratio: float
    low: float
    high: float
    verdict: Verdict
    cases: tuple[CaseResult, ...]
    control_ok: bool
    """The original against itself read SAME in every case. If not, the device is *noisy*
    and no verdict here means anything."""

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
    scores = [_scores(case.rounds) for case in timing.cases]
    cases = tuple(
        _case_result(case.name, case_scores, case.method, case.state)
        for case, case_scores in zip(timing.cases, scores, strict=True)
    )
    n_rounds = min(map(len, scores))
    means = [statistics.fmean(s[r] for s in scores) for r in range(n_rounds)]
    ratio, low, high = _interval(means)
    return Measured(
        ratio=ratio,
        low=low,
        high=high,
        verdict=judge(low, high),
        cases=cases,
        control_ok=all(_control_is_same(case.control) for case in timing.cases),
    )


def judge(low: float, high: float) -> Verdict:
    """The verdict on an interval of ratios."""
    if low > ZONE:
        return "FASTER"
    if high < 1 / ZONE:
        return "SLOWER"
    if low >= 1 / ZONE and high <= ZONE:
        return "SAME"
    return "AMBIGUOUS"


def next_look(n_rounds: int) -> int | None:
    """Up to how many rounds an ambiguous measurement may go on, None when it may not."""
    return next((look for look in LOOKS if look > n_rounds), None)


def t_quantile(p: float, df: float) -> float:
    """The value that Student's t with `df` degrees of freedom exceeds with chance `1 - p`.

    For `0.5 <= p < 1` and `df >= 1`, by bisection of the distribution function.
    """
    if not 0.5 <= p < 1 or df < 1:
        raise ValueError(f"no quantile for p={p}, df={df}")
    low, high = 0.0, 1.0
    while _t_cdf(high, df) < p:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        if _t_cdf(middle, df) < p:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _scores(rounds: Rounds) -> list[float]:
    """One median log ratio a round."""
    if len(rounds) < 2:
        raise ValueError(f"{len(rounds)} rounds give no interval; at least two are needed")
    if any(not (a > 0 and b > 0) for pairs in rounds for a, b in pairs):
        raise ValueError("a sample of zero or negative time was reported")
    return [statistics.median(math.log(a / b) for a, b in pairs) for pairs in rounds]


def _case_result(name: str, scores: list[float], method: str, state: str) -> CaseResult:
    ratio, low, high = _interval(scores)
    return CaseResult(
        name=name,
        ratio=ratio,
        low=low,
        high=high,
        verdict=judge(low, high),
        method=method,
        state=state,
    )


def _interval(scores: list[float]) -> tuple[float, float, float]:
    """Geometric mean and its bounds, at the confidence one of the looks has."""
    mean = statistics.fmean(scores)
    error = statistics.stdev(scores) / math.sqrt(len(scores))
    alpha = ALPHA / len(LOOKS)
    half = t_quantile(1 - alpha / 2, len(scores) - 1) * error
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def _control_is_same(control: Rounds) -> bool:
    """A measurement without a control is not controlled."""
    if len(control) < 2:
        return False
    _, low, high = _interval(_scores(control))
    return judge(low, high) == "SAME"


def _t_cdf(t: float, df: float) -> float:
    """For `t >= 0`, by the regularised incomplete beta function."""
    return 1 - 0.5 * _incomplete_beta(df / 2, 0.5, df / (df + t * t))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """Regularised; continued fraction by Lentz's method, on the side where it converges."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    fraction, c, d = 1.0, 1.0, 0.0
    for i in range(400):
        m = i // 2
        if i == 0:
            numerator = 1.0
        elif i % 2 == 0:
            numerator = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            numerator = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / ((1 + numerator * d) or tiny)
        c = (1 + numerator / c) or tiny
        fraction *= c * d
        if abs(1 - c * d) < 1e-15:
            break
    return math.exp(log_front) / a * (fraction - 1)
