"""What `aa.py` saw, kept as lines of JSON and told as a table. Pure but for reading files."""

from __future__ import annotations

import dataclasses
import json
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aa_kernels import TIMED

from whet_evaluator.statistics import CaseResult, analyse
from whet_evaluator.worker import codec
from whet_evaluator.worker.records import Case, Timing


@dataclass
class Experiment:
    """One measurement: what was true, and what was read. `kind` is `A/A`, `faster`, `slower`."""

    kernel: str
    kind: str
    result: CaseResult
    noise: tuple[str, ...]
    case: Case
    seconds: float


def judged(kernel: str, kind: str, case: Case, seconds: float) -> Experiment:
    """By today's arithmetic."""
    measured = analyse(Timing(cases=(case,), environment={}))
    return Experiment(kernel, kind, measured.cases[0], measured.noise, case, seconds)


def as_json(done: Experiment, extras: tuple[int, int]) -> str:
    """One line; `extras` are the lengths of the two added loops."""
    row: dict[str, Any] = {
        "kernel": done.kernel, "kind": done.kind, "extras": extras, "noise": done.noise,
        "result": dataclasses.asdict(done.result), "seconds": done.seconds,
        "case": dataclasses.asdict(done.case),
    }  # fmt: skip
    return json.dumps(row)


def stored(files: list[Path]) -> tuple[list[Experiment], dict[str, str]]:
    """The experiments in `files`, judged as they would be now, and the first one's environment."""
    done, environments = [], []
    for line in (text for file in files for text in file.read_text().splitlines()):
        row = json.loads(line)
        if "environment" in row:
            environments.append(row["environment"] | {"date": row["date"]})
        elif row["kind"] != "calibration":
            case = codec.from_json(Case, row["case"])
            done.append(judged(row["kernel"], row["kind"], case, row["seconds"]))
    return done, environments[0]


def line(done: Experiment) -> str:
    result = done.result
    return (
        f"{done.seconds:5.2f} s {done.kind:6} {result.verdict:9} {result.ratio:.4f} "
        f"[{result.low:.4f}, {result.high:.4f}] {result.n_rounds} {result.method} {result.state} "
        f"{done.kernel} {'; '.join((*done.noise, *done.case.notes, *done.case.retaken))}"
    )


def table(done: list[Experiment], environment: dict[str, str]) -> str:
    rows = [row(kernel.name, done) for kernel in TIMED]
    same = [e for e in done if e.kind == "A/A"]
    other = [e for e in done if e.kind != "A/A"]
    wrong = [e for e in same if e.result.verdict in {"FASTER", "SLOWER"}]
    head = (
        f"Measured {environment['date']} on {environment['device']} "
        f"({environment['arch']}), torch {environment['torch']}, triton {environment['triton']}, "
        f"driver {environment.get('driver_version', 'unknown')}, by `benchmarks/aa.py`: "
        "20 rounds of 10 pairs, up to 80 where undecided, every experiment with modules, inputs "
        "and graphs of its own. *Holds 1*: share of A/A experiments whose 95 % interval contains "
        "1. *Found*: share of 3 % differences, half of them faster and half slower, that read "
        "FASTER or SLOWER as they should; their mean is beside it."
    )
    summary = (
        f"{len(same)} A/A experiments: {len(wrong)} read FASTER or SLOWER "
        f"({share(len(wrong), len(same))}); the 95 % interval holds 1 in "
        f"{share(sum(map(holds_one, same)), len(same))}; controls failed in "
        f"{share(sum(bool(e.noise) for e in same), len(same))}. {len(other)} true differences: "
        f"found in {share(sum(map(is_found, other)), len(other))}."
    )
    columns = (
        "| kernel | us | method | A/A | holds 1 | false claims | mean ratio | half width "
        "| control failed | slowdown | found | verdicts at 3 % | s each |"
    )
    title = "# A kernel against itself, and against one 3 % slower"
    rule = "|" + "---|" * 13
    return "\n".join([title, "", head, "", summary, "", columns, rule, *rows, ""])


def row(name: str, done: list[Experiment]) -> str:
    mine = [e for e in done if e.kernel == name]
    same = [e for e in mine if e.kind == "A/A"]
    other = [e for e in mine if e.kind != "A/A"]
    if not same:
        return f"| {name} | not reached |" + " |" * 11
    us = statistics.median(pair[0] for e in same for pairs in e.case.rounds for pair in pairs)
    methods = Counter(f"{e.result.method}, {e.result.state}" for e in same)
    widths = [math.log(e.result.high / e.result.low) / 2 for e in same]
    mean = math.exp(statistics.fmean(math.log(e.result.ratio) for e in same))
    verdicts = Counter(e.result.verdict for e in other)
    slowdowns = [abs(math.log(e.result.ratio)) for e in other]
    slowdown = f"{math.exp(statistics.fmean(slowdowns)) - 1:.2%}" if slowdowns else ""
    return (
        f"| {name} | {us:.1f} | {'; '.join(methods)} | {len(same)} "
        f"| {share(sum(map(holds_one, same)), len(same))} "
        f"| {sum(e.result.verdict in {'FASTER', 'SLOWER'} for e in same)} | {mean:.5f} "
        f"| {statistics.median(widths):.2%} | {sum(bool(e.noise) for e in same)} "
        f"| {slowdown} | {share(sum(map(is_found, other)), len(other))} "
        f"| {', '.join(f'{v} {n}' for v, n in sorted(verdicts.items()))} "
        f"| {statistics.median(e.seconds for e in mine):.2f} |"
    )


def holds_one(done: Experiment) -> bool:
    return done.result.low <= 1 <= done.result.high


def is_found(done: Experiment) -> bool:
    return done.result.verdict == {"faster": "FASTER", "slower": "SLOWER"}[done.kind]


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "no experiment"
