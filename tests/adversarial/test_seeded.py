"""The corpus is what it says, and the evaluator finds every bug and accepts every rewrite.

Minutes long, so under `make adversarial` only. `benchmarks/seeded.py` prints the tables.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "seeded"), str(HERE / "honest"), str(HERE.parents[1] / "benchmarks")]
from bugs import BUGS
from patch_judging import BugFound, RewriteJudged, differences_by_torch, judge_all
from rewrites import REWRITES
from seeded import line, report

pytestmark = pytest.mark.adversarial


def test_torch_finds_every_bug_that_can_show_here():
    """Each bug is one: an independent reference differs, but for races, which the
    interpreter cannot show since it runs one program after the other."""
    found = differences_by_torch(BUGS)
    unseen = {name for name, said in found.items() if said is None}
    assert unseen == {bug.name for bug in BUGS if bug.device_only}


def test_torch_agrees_with_every_rewrite():
    assert {name: said for name, said in differences_by_torch(REWRITES).items() if said} == {}


def test_enough_of_each():
    assert len(BUGS) >= 30
    assert len({bug.unit for bug in BUGS}) >= 8
    assert len(REWRITES) >= 30
    names = [patch.name for patch in (*BUGS, *REWRITES)]
    assert len(set(names)) == len(names)


async def test_every_bug_is_found_and_every_rewrite_accepted(tables, say):
    judged: list[BugFound | RewriteJudged] = []

    def on_judged(one: BugFound | RewriteJudged) -> None:
        judged.append(one)
        say(line(one))

    facts = await judge_all(
        [*BUGS, *REWRITES], n_workers=2, python=sys.executable, differential_s=20.0,
        on_judged=on_judged,
    )  # fmt: skip
    tables.append(report(judged, facts))
    bugs = [one for one in judged if isinstance(one, BugFound)]
    rewrites = [one for one in judged if isinstance(one, RewriteJudged)]
    assert (len(bugs), len(rewrites)) == (len(BUGS), len(REWRITES))
    missed = {one.bug.name for one in bugs if not one.is_found}
    assert missed <= {bug.name for bug in BUGS if bug.device_only or bug.beyond}
    assert {one.rewrite.name: one.rejected for one in rewrites if one.rejected} == {}
