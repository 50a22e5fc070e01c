"""Intervals and verdicts for a ratio of times. Pure, and shared by both sides: the worker
asks whether to measure on, the host what to say.

A sample is a pair, original and candidate in random order, so slow drift of clocks and
temperature divides out of each ratio. A round's score is the median log ratio of its
pairs: one disturbed pair moves nothing. Rounds are far enough apart to be treated as
independent, and a t interval over their scores gives `1.27x [1.25, 1.29]`. What a loading
of the code keeps through all rounds (where its instructions lie, say) no number of rounds
averages away, so the error never falls below what two loadings of one kernel differ by.

Two intervals, because there are two questions. *How fast is it?* is answered by a plain
95 % interval over all rounds taken. *May I stop and claim?* is asked up to three times,
after 20, 40 and 80 rounds, and asking three times at 95 % would make false claims more
than twice as likely. The looks therefore share one alpha by Pocock's boundary: the same
nominal level at each look. O'Brien and Fleming's would spend next to nothing on the first
look, which is where nearly all measurements end; the price here is 16 % more width there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Verdict = Literal["FASTER", "SLOWER", "SAME", "AMBIGUOUS"]
Rounds = Sequence[Sequence[Sequence[float]]]

LOOKS = (20, 40, 80)
SHOWN_ALPHA = 0.05
CLAIM_ALPHA = 0.0208
"""At each look. With a quarter, a half and all of the rounds, the chance that any of the
three intervals misses is then 0.05 (`benchmarks/timing_noise.py` integrates and simulates
it); dividing alpha by three would leave it at 0.041."""
LOADING = 0.0002
"""Standard deviation of the log ratio of two loadings of the same kernel, constant over the
rounds of a measurement. Fitted to 400 A/A experiments on an H200, whose 95 % intervals held 1
in 92.3 % without it and in 95.0 % with it; their controls, which time one loading against
itself, need no such term: 95.0 %. 610 later ones held it in 96.6 % with it
(`benchmarks/results/aa_h200.md`)."""
ZONE = 1.02
"""Ratios between 1/1.02 and 1.02 are the same speed: no user would notice."""


@dataclass(frozen=True)
class Estimate:
    """A mean log ratio, its standard error and the error's degrees of freedom."""

    mean: float
    error: float
    df: float

    @property
    def ratio(self) -> float:
        """Original time by candidate time: above one the candidate is faster."""
        return math.exp(self.mean)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Of the ratio, with confidence `1 - alpha`."""
        half = t_quantile(1 - alpha / 2, self.df) * self.error
        return math.exp(self.mean - half), math.exp(self.mean + half)

    @property
    def verdict(self) -> Verdict:
        """At the level that the looks leave to each of them."""
        return judge(*self.bounds(CLAIM_ALPHA))


def estimate(rounds: Rounds) -> Estimate:
    """From raw pairs. Raises `ValueError` for fewer than two rounds or a time not positive."""
    if len(rounds) < 2:
        raise ValueError(f"{len(rounds)} rounds give no interval; at least two are needed")
    if any(not (a > 0 and b > 0) for pairs in rounds for a, b in pairs):
        raise ValueError("a sample of zero or negative time was reported")
    scores = [statistics.median(math.log(a / b) for a, b in pairs) for pairs in rounds]
    over_rounds = statistics.stdev(scores) / math.sqrt(len(scores))
    error = math.hypot(over_rounds, LOADING)
    return Estimate(statistics.fmean(scores), error, len(scores) - 1)


def combined(estimates: Sequence[Estimate]) -> Estimate:
    """The geometric mean of ratios with equal weights; each may rest on another number of
    rounds, so the degrees of freedom are Welch's."""
    n = len(estimates)
    variances = [one.error**2 for one in estimates]
    total = sum(variances)
    spread = sum(v * v / one.df for v, one in zip(variances, estimates))
    df = total * total / spread if spread > 0 else min(one.df for one in estimates)
    return Estimate(statistics.fmean(one.mean for one in estimates), math.sqrt(total) / n, df)


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


def is_undecided(*parts: Rounds) -> bool:
    """Whether more rounds could still tell something: about the candidate, or from a control
    about whether the device is quiet enough to say anything."""
    return any(estimate(part).verdict == "AMBIGUOUS" for part in parts if len(part) >= 2)


@lru_cache(maxsize=4096)
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
