"""Verdicts on simulated devices: quiet, noisy, drifting, stepping, shared with others and clinging.

    python benchmarks/timing_noise.py [--runs 1000] [--out benchmarks/results/timing_noise.md]

*Simulated*: no clock is read. The schedule and the statistics are those that measure; only
the sampler is a model. Each row repeats one true ratio on one device and counts verdicts,
how often the 95 % interval holds the truth, and how many rounds it took. A second table
integrates the chance that any of the looks errs, which is what the shared alpha bounds.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from whet_evaluator.statistics import LOOKS, analyse
from whet_evaluator.worker import schedule
from whet_evaluator.worker.intervals import CLAIM_ALPHA
from whet_evaluator.worker.records import Case, Timing

ROOT = Path(__file__).resolve().parents[1]
RATIOS = (1.0, 1.03, 1 / 1.03, 1.02, 1.25)
DEVICES = {
    "quiet": "0.4 % spread of a sample",
    "noisy": "2 % spread",
    "drifting": "0.4 %, and every sample 0.02 % slower than the last for a round, then back",
    "stepping": "0.4 %, and a clock that changes by 6 % between samples, one time in fifty",
    "shared": "0.4 %, and bursts of others that slow 2 to 12 samples by 40 %",
    "clinging": "0.4 %, and a version sampled just behind itself is 4 % faster",
}


class Device:
    """A `schedule.Sampler` whose samples come from a model; `ratio` is the truth."""

    def __init__(self, kind: str, ratio: float, seed: int) -> None:
        self._kind = kind
        self._ratio = ratio
        self._random = random.Random(seed)
        self._drift = 1.0
        self._step = 1.0
        self._burst = 0
        self._before: int | None = None

    def begin_round(self, seed: int) -> None:  # noqa: ARG002 - the protocol's
        self._drift = 1.0
        self._before = None

    def begin_pair(self) -> None: ...

    def sample(self, turn: schedule.Turn) -> float:
        spread = 0.02 if self._kind == "noisy" else 0.004
        us = 100.0 * self._random.lognormvariate(0.0, spread) * self._environment()
        if turn.version == schedule.CANDIDATE:
            us /= self._ratio
        if self._kind == "clinging" and turn.version == self._before:
            us /= 1.04
        self._before = turn.version
        return us * 1.05 if turn.slowed else us

    def _environment(self) -> float:
        if self._kind == "drifting":
            self._drift *= 1.0002
        if self._kind == "stepping" and self._random.random() < 0.02:
            self._step = 1.06 if self._step == 1.0 else 1.0
        if self._kind == "shared":
            began = not self._burst and self._random.random() < 0.03
            self._burst = self._random.randrange(2, 13) if began else max(0, self._burst - 1)
        return self._drift * self._step * (1.4 if self._burst else 1.0)


@dataclass(frozen=True)
class Outcome:
    verdict: str
    covered: bool
    n_rounds: int
    half_width: float
    controlled: bool


def once(kind: str, ratio: float, seed: int) -> Outcome:
    """One measurement as the worker takes it and the host judges it."""
    watch = schedule.Watch(
        on_round=lambda _done, _total: None,
        disturbance=lambda: None,
        may_go_on=lambda _seconds: True,
        now=lambda: 0.0,
        draw=lambda _n: 0,
    )
    taken = schedule.take(Device(kind, ratio, seed), watch, seed=seed, n_rounds=20, n_pairs=10)
    case = Case(
        name="simulated", method="events", state="warm", seed=seed, slowed_by=0.05,
        rounds=tuple(map(tuple, taken.rounds)), control=tuple(map(tuple, taken.control)),
        slowed=tuple(map(tuple, taken.slowed)),
    )  # fmt: skip
    measured = analyse(Timing(cases=(case,), environment={}))
    return Outcome(
        verdict=measured.verdict,
        covered=measured.low <= ratio <= measured.high,
        n_rounds=measured.cases[0].n_rounds,
        half_width=math.log(measured.high / measured.low) / 2,
        controlled=measured.control_ok,
    )


def row(kind: str, ratio: float, runs: int, first_seed: int) -> str:
    found = [once(kind, ratio, first_seed + i) for i in range(runs)]
    verdicts = Counter(outcome.verdict for outcome in found)
    shares = [f"{100 * verdicts[word] / runs:.1f} %" for word in VERDICTS]
    covered = sum(outcome.covered for outcome in found)
    rounds = statistics.fmean(outcome.n_rounds for outcome in found)
    width = statistics.median(outcome.half_width for outcome in found)
    failed = sum(not outcome.controlled for outcome in found)
    return (
        f"| {kind} | {ratio:.3f} | {' | '.join(shares)} | {100 * covered / runs:.1f} % "
        f"| {width:.2%} | {rounds:.0f} | {100 * failed / runs:.1f} % |"
    )


VERDICTS = ("FASTER", "SLOWER", "SAME", "AMBIGUOUS")


def any_look_misses(alpha: float, n_points: int = 801) -> float:
    """The chance that a normal mean lies outside at least one look's interval of level
    `alpha`: Brownian motion kept within `z * sqrt(t)` at each look, integrated numerically."""
    z = statistics.NormalDist().inv_cdf(1 - alpha / 2)
    normal = statistics.NormalDist()
    times = [look / LOOKS[-1] for look in LOOKS]
    points, weights = _grid(z * math.sqrt(times[0]), n_points)
    first = statistics.NormalDist(0, math.sqrt(times[0]))
    mass = [first.pdf(x) * w for x, w in zip(points, weights, strict=True)]
    for before, now in itertools.pairwise(times):
        step = statistics.NormalDist(0, math.sqrt(now - before))
        edge = z * math.sqrt(now)
        if now == times[-1]:
            inside = sum(
                m * (normal.cdf((edge - x) / step.stdev) - normal.cdf((-edge - x) / step.stdev))
                for x, m in zip(points, mass, strict=True)
            )
            return 1 - inside
        reached, weights = _grid(edge, n_points)
        mass = [
            w * sum(m * step.pdf(y - x) for x, m in zip(points, mass, strict=True))
            for y, w in zip(reached, weights, strict=True)
        ]
        points = reached
    raise AssertionError("the last look ends the loop")


def _grid(edge: float, n_points: int) -> tuple[list[float], list[float]]:
    """Points of the trapezoidal rule from `-edge` to `edge`."""
    step = 2 * edge / (n_points - 1)
    points = [-edge + i * step for i in range(n_points)]
    return points, [step / 2 if i in {0, n_points - 1} else step for i in range(n_points)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/timing_noise.md")
    options = parser.parse_args()
    rows: list[str] = []
    for kind in DEVICES:
        for ratio in RATIOS:
            rows.append(row(kind, ratio, options.runs, len(rows) * options.runs))
            print(rows[-1], flush=True)
    options.out.write_text(report(rows, options.runs))


def report(rows: list[str], runs: int) -> str:
    levels = {
        "95 % at each look": 0.05,
        "alpha divided by three": 0.05 / 3,
        f"as used: {CLAIM_ALPHA}": CLAIM_ALPHA,
    }
    devices = "\n".join(f"- *{kind}*: {text}" for kind, text in DEVICES.items())
    errs = "\n".join(
        f"| {name} | {100 * any_look_misses(alpha):.2f} % |" for name, alpha in levels.items()
    )
    columns = (
        "| device | true ratio | FASTER | SLOWER | SAME | AMBIGUOUS | 95 % interval holds truth "
        "| half width | rounds | controls failed |"
    )
    return f"""# Verdicts on simulated devices

*Simulated*, not measured: {runs} measurements a row by `benchmarks/timing_noise.py`, with the
schedule and the statistics that measure and a model in place of the device. 20 rounds of 10
pairs, up to 40 and 80 while undecided. The zone of equal speed is 2 % wide each way, so 1.020
lies on its edge.

{devices}

{columns}
|{"---|" * 10}
{chr(10).join(rows)}

The chance that the truth lies outside the interval at one look or more, for normal scores,
*integrated*:

| level | chance |
|---|---|
{errs}
"""


if __name__ == "__main__":
    main()
