"""Whether a sample hangs on which version was sampled just before it, from stored samples.

    python benchmarks/sample_order.py EVENTS... [--out benchmarks/results/sample_order.md]

EVENTS are files of `whet optimize --json` from a machine with a GPU. Nothing is run: a record
keeps its seed and every sample, and the seed gives back the order in which they were taken.
The original is sampled in every pair, so it follows itself more often than the others do; were
a sample faster behind its own version, that would favour the original.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whet_evaluator.worker import schedule

ROOT = Path(__file__).resolve().parents[1]
KINDS = {"test": "rounds", "control": "control", "slowed": "slowed"}


@dataclass(frozen=True)
class Sample:
    """`us` of one call of `version`, behind one of `before`; None where a round begins."""

    version: int
    before: int | None
    us: float


class _Order:
    """A `schedule.Sampler` that keeps which turns it was asked for, round by round."""

    def __init__(self) -> None:
        self.rounds: list[list[schedule.Turn]] = []

    def begin_round(self, seed: int) -> None:  # noqa: ARG002 - the protocol's
        self.rounds.append([])

    def begin_pair(self) -> None: ...

    def sample(self, turn: schedule.Turn) -> float:
        self.rounds[-1].append(turn)
        return 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/sample_order.md")
    options = parser.parse_args()
    rows, facts = [], {}
    for path in options.events:
        events = [json.loads(line) for line in path.read_text().splitlines()]
        facts = next(event["facts"] for event in events if event["event"] == "opened")
        rows += _rows(path.stem, list(_cases(events)))
    options.out.write_text(_table(rows, facts))


def _cases(events: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of device graphs, each round taken once: only there the seed alone gives the order."""
    for event in events:
        timing = event.get("verdict", {}).get("timing") if event["event"] == "judged" else None
        for case in timing["cases"] if timing else []:
            if case["method"] == "graph" and case["processes"] == 1 and not case["retaken"]:
                yield case


def _rows(run: str, cases: list[dict[str, Any]]) -> list[str]:
    by_name = defaultdict(list)
    for case in cases:
        by_name[case["name"]].append(case)
    return [_row(run, name, same) for name, same in sorted(by_name.items())]


def _row(run: str, name: str, cases: list[dict[str, Any]]) -> str:
    gains, us, own = [], [], {schedule.ORIGINAL: [0, 0], schedule.AGAIN: [0, 0]}
    control = []
    for case in cases:
        taken = [one for samples in in_order(case) for one in samples]
        mine = [one for one in taken if one.version == schedule.ORIGINAL and one.before is not None]
        behind_self = [one.us for one in mine if one.before == schedule.ORIGINAL]
        behind_others = [one.us for one in mine if one.before != schedule.ORIGINAL]
        if behind_self and behind_others:
            gains.append(statistics.mean(behind_others) / statistics.mean(behind_self) - 1)
        us.append(statistics.median(one.us for one in mine))
        for version, counts in own.items():
            counts[0] += sum(one.version == one.before == version for one in taken)
            counts[1] += sum(one.version == version for one in taken)
        pairs = [pair for pairs in case["control"] for pair in pairs]
        control.append(statistics.mean(again / original - 1 for original, again in pairs))
    shares = " and ".join(f"{100 * n / of:.0f} %" for n, of in own.values())
    return (
        f"| {run} | {name} | {len(cases)} | {statistics.median(us):.2f} "
        f"| {100 * statistics.median(gains):+.1f} % ({100 * min(gains):+.1f} to {100 * max(gains):+.1f}) "
        f"| {shares} | {100 * statistics.median(control):+.2f} % "
        f"({100 * min(control):+.2f} to {100 * max(control):+.2f}) |"
    )


def in_order(case: dict[str, Any]) -> list[list[Sample]]:
    """The samples of each round of a stored case, as they were taken. The delayed ones count as
    their version's predecessor only."""
    order, n_pairs = _Order(), len(case["rounds"][0])
    watch = schedule.Watch(
        on_round=lambda _done, _of: None,
        disturbance=lambda: None,
        may_go_on=lambda _seconds: False,
        now=lambda: 0.0,
        draw=random.randrange,
    )
    n_rounds = len(case["rounds"])
    schedule.take(order, watch, seed=case["seed"], n_rounds=n_rounds, n_pairs=n_pairs)
    return [_samples(case, number, turns) for number, turns in enumerate(order.rounds)]


def _samples(case: dict[str, Any], number: int, turns: list[schedule.Turn]) -> list[Sample]:
    found: list[Sample] = []
    used = dict.fromkeys(KINDS, 0)
    before = None
    for first, second in zip(turns[::2], turns[1::2], strict=True):
        other = first if first.version != schedule.ORIGINAL else second
        kind = "slowed" if other.slowed else "test"
        kind = "control" if kind == "test" and other.version == schedule.AGAIN else kind
        original_us, other_us = case[KINDS[kind]][number][used[kind]]
        used[kind] += 1
        for turn in (first, second):
            us = original_us if turn.version == schedule.ORIGINAL else other_us
            if not turn.slowed:
                found.append(Sample(turn.version, before, us))
            before = turn.version
    return found


def _table(rows: list[str], facts: dict[str, Any]) -> str:
    device = facts["devices"][0]
    return (
        "# A sample behind its own version, and behind another\n\n"
        f"From samples measured on {device['name']}, torch {facts['torch']}, triton "
        f"{facts['triton']}, Python {facts['python']}, read by `benchmarks/sample_order.py`. "
        "*Slower behind others*: the original's mean behind another version's sample over its mean "
        "behind its own, less one. *Behind itself*: share of the original's samples and of its own "
        "once more (the control). *Control*: the original once more over the original, less one, "
        "which is none where nothing but chance tells them apart. Median over candidates (least to "
        "most).\n\n"
        "| run | case | candidates | us | slower behind others | behind itself | control |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(rows) + "\n"
    )


if __name__ == "__main__":
    main()
