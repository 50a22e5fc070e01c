"""Seeded bugs and honest rewrites, each judged by the real evaluator.

    python benchmarks/seeded.py [--python PYTHON] [--out FILE] [--workers N] [NAME...]

On a machine with a GPU (`--device` insists on one) the candidates run there, elsewhere on
Triton's interpreter. Nothing is timed but, with `--timed`, the rewrites in their search, so that what
is compared under the clock has its say too. The tables say of each bug whether the author's
tests find it and whether the generated cases do, run alone, and of each rewrite whether it
was accepted. The same seed gives the same tables.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/adversarial" / name) for name in ("seeded", "honest")]

from bugs import BUGS  # noqa: E402 - lies beside the tests
from patch_judging import BugFound, RewriteJudged, judge_all  # noqa: E402
from patches import Patch  # noqa: E402
from rewrites import REWRITES  # noqa: E402

from whet_evaluator.worker.records import Facts  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="judge only what contains one of these words")
    parser.add_argument("--python", default=sys.executable, help="one with torch and triton")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/seeded_bugs.md")
    parser.add_argument("--workers", type=int, default=2, help="workers at once")
    parser.add_argument("--differential-s", type=float, default=None, help="for one candidate")
    parser.add_argument("--seconds", type=float, default=3600.0, help="begin nothing after them")
    parser.add_argument("--device", action="store_true", help="stop where there is no GPU")
    parser.add_argument("--part", choices=["bugs", "rewrites", "both"], default="both")
    parser.add_argument("--no-tests", action="store_true", help="ask the generated cases alone")
    parser.add_argument("--timed", action="store_true", help="have the search time the rewrites")
    options = parser.parse_args()
    parts: dict[str, Sequence[Patch]] = {
        "bugs": BUGS,
        "rewrites": REWRITES,
        "both": (*BUGS, *REWRITES),
    }
    chosen = [
        patch
        for patch in parts[options.part]
        if not options.names or any(name in patch.name for name in options.names)
    ]
    began = time.monotonic()
    judged: list[BugFound | RewriteJudged] = []

    def on_judged(one: BugFound | RewriteJudged) -> None:
        judged.append(one)
        print(f"{time.monotonic() - began:5.0f} s", line(one), f"[{one.detail}]", flush=True)

    facts = asyncio.run(
        judge_all(
            chosen, n_workers=options.workers, python=options.python,
            differential_s=options.differential_s or (8.0 if options.device else 20.0),
            seconds=options.seconds, with_tests=not options.no_tests, timed=options.timed,
            on_judged=on_judged,
        )
    )  # fmt: skip
    left = len(chosen) - len(judged)
    if options.device and facts.mode != "device":
        sys.exit("There is no GPU here: run this on the machine that has one.")
    options.out.write_text(report(judged, facts, left=left))
    print(summary(judged))


def line(one: BugFound | RewriteJudged) -> str:
    if isinstance(one, RewriteJudged):
        return f"{one.rewrite.name}: {f'REJECTED {one.rejected} in the {one.stage}' if one.rejected else 'accepted'}"
    listed = f"listed: {one.as_change}" if one.as_change else "NOT FOUND"
    cases = f"{one.by_cases or listed} ({one.stage})"
    return f"{one.bug.name}: tests {one.by_tests or '-'}; generated {cases}"


def report(judged: Sequence[BugFound | RewriteJudged], facts: Facts, *, left: int = 0) -> str:
    """Both tables as markdown, in the order of the corpus whatever finished first."""
    by_name = {_name(one): one for one in judged}
    bugs = [by_name[bug.name] for bug in BUGS if bug.name in by_name]
    rewrites = [by_name[one.name] for one in REWRITES if one.name in by_name]
    where = facts.devices[0].name if facts.mode == "device" else "Triton's interpreter (no GPU)"
    head = (
        f"Judged on {where}, torch {facts.torch}, triton {facts.triton}, Python "
        f"{facts.python}, by `benchmarks/seeded.py`. *Tests* is how many of the author's "
        "tests turn red; *generated cases* is the first that told the bug from the original "
        "with no test run at all, in the search or, where it says so, in the confirmation "
        "that every offer goes through. The corpus lies in `tests/adversarial/seeded` and "
        "`tests/adversarial/honest`; every entry is first checked against torch.\n"
    )
    return "\n".join(
        [
            "# Seeded bugs and honest rewrites\n",
            head,
            summary(judged)
            + (
                f" {left} were not judged, for want of time or since their unit's tests are red here."
                if left
                else ""
            ),
            "",
            "| bug | kind | tests | generated cases |",
            "|---|---|---|---|",
            *(_bug_row(one) for one in bugs if isinstance(one, BugFound)),
            "",
            "| rewrite | what | verdict |",
            "|---|---|---|",
            *(_rewrite_row(one) for one in rewrites if isinstance(one, RewriteJudged)),
            "",
        ]
    )


def summary(judged: Sequence[BugFound | RewriteJudged]) -> str:
    bugs = [one for one in judged if isinstance(one, BugFound)]
    rewrites = [one for one in judged if isinstance(one, RewriteJudged)]
    by_tests = sum(bool(one.by_tests) for one in bugs)
    rejected = sum(bool(one.by_cases) for one in bugs)
    listed = sum(bool(one.as_change) and not one.by_cases for one in bugs)
    either = sum(bool(one.by_tests) or one.is_found for one in bugs)
    false = sum(bool(one.rejected) for one in rewrites)
    return (
        f"{len(bugs)} bugs over {len({one.bug.unit for one in bugs})} kernels: the authors' tests "
        f"find {by_tests}; the generated cases alone reject {rejected} and list {listed} as "
        f"changes of behaviour outside the recorded contract; {len(bugs) - either} found by "
        f"neither. {len(rewrites)} honest rewrites: {false} rejected."
    )


def _name(one: BugFound | RewriteJudged) -> str:
    return one.bug.name if isinstance(one, BugFound) else one.rewrite.name


def _bug_row(one: BugFound) -> str:
    excuse = one.bug.device_only or one.bug.beyond
    missed = f"**not found**{f': {excuse}' if excuse else ''}"
    listed = f"listed: {one.as_change}" if one.as_change else missed
    cases = one.by_cases or listed
    if one.is_found and one.stage == "confirmation":
        cases += " (in the confirmation)"
    return f"| {one.bug.name} | {one.bug.kind} | {one.by_tests or 'green'} | {_cell(cases)} |"


def _rewrite_row(one: RewriteJudged) -> str:
    verdict = f"**rejected**: {_cell(one.rejected)}" if one.rejected else "accepted"
    where = f" (in the {one.stage})" if one.rejected else ""
    return f"| {one.rewrite.name} | {one.rewrite.what} | {verdict}{where} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:160]


if __name__ == "__main__":
    main()
