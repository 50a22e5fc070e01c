"""Verdicts that are known are used again, and only where nothing they depend on has changed."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.drive import create, drive
from whet_agent.events import Confirmed, Judged
from whet_agent.store.journal import Journal
from whet_agent.store.verdicts import key_of
from whet_agent.testing.doubles import ScriptedEvaluator, ScriptedModel, interpreter_facts
from whet_agent.testing.records import counted_verdict
from whet_evaluator.evaluation import Candidate, Shipped, Target
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Crashed

HERE = Shipped(sources={"kernel.py": "a", "tests/test_kernel.py": "b"}, data_digest="c", n_data=1)
CRASHED = Crashed(stage="tests", how="SIGSEGV", output="")


async def two_runs(
    path: Path, *, shipped: Shipped = HERE, verdict: Any = None
) -> tuple[list[Judged], list[Confirmed], list[Candidate]]:
    """The same reply in two runs of one store: what the second judged and confirmed, and
    what its evaluator was really asked to judge."""
    journal = Journal(path / "runs.sqlite3")
    asked: list[Candidate] = []
    try:
        for run, files in (("r1", HERE), ("r2", shipped)):
            evaluator = ScriptedEvaluator({"good": verdict or counted_verdict(500)}, shipped=files)
            ports = world.ports(
                journal, model=ScriptedModel([world.fence("good")]), evaluator=evaluator
            )
            await create(run, world.task(iterations=1), ports)
            await drive(run, ports, cancel=asyncio.Event())
            asked = list(evaluator.judged)
        events = await journal.events("r2")
    finally:
        journal.close()
    judged = [event for event in events if isinstance(event, Judged)]
    return judged, [event for event in events if isinstance(event, Confirmed)], asked


async def test_a_known_verdict_is_used_again_and_says_where_it_is_from(tmp_path: Path) -> None:
    judged, _, asked = await two_runs(tmp_path)
    assert asked == []
    assert [(one.known_from, one.stage_s) for one in judged] == [("r1", {})]
    assert judged[0].verdict == counted_verdict(500)


async def test_confirming_is_always_done_afresh(tmp_path: Path) -> None:
    """`Confirmed` of the second run comes from its own evaluator, never from the store."""
    judged, confirmed, _ = await two_runs(tmp_path)
    assert judged[0].known_from == "r1"
    assert len(confirmed) == 1


async def test_a_changed_test_file_is_judged_again(tmp_path: Path) -> None:
    changed = dataclasses.replace(HERE, sources={**HERE.sources, "tests/test_kernel.py": "b2"})
    judged, _, asked = await two_runs(tmp_path, shipped=changed)
    assert [one.text for one in asked] == ["good"]
    assert judged[0].known_from is None


async def test_a_crash_may_be_the_moments_and_is_tried_again(tmp_path: Path) -> None:
    judged, _, asked = await two_runs(tmp_path, verdict=CRASHED)
    assert [one.text for one in asked] == ["good"]
    assert [(one.known_from, one.key) for one in judged] == [(None, "")]


CANDIDATE = Candidate(
    unit=world.task().unit, text="good", nodes=("tests/test_kernel.py::test",), launches=(), seed=1
)
BASE: dict[str, Any] = {
    "candidate": CANDIDATE, "task": world.task(), "facts": interpreter_facts(), "shipped": HERE,
    "limits": Limits(),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("candidate", lambda one: dataclasses.replace(one, text="good ")),
        ("candidate", lambda one: dataclasses.replace(one, nodes=(*one.nodes, "another"))),
        ("candidate", lambda one: dataclasses.replace(one, differences="strict")),
        ("candidate", lambda one: dataclasses.replace(one, timed=False)),
        ("candidate", lambda one: dataclasses.replace(one, references={"f": "r.py::g"})),
        ("task", lambda one: attrs.evolve(one, target=Target(env={"TRITON_DEBUG": "1"}))),
        ("facts", lambda one: dataclasses.replace(one, triton="3.6.0")),
        ("facts", lambda one: dataclasses.replace(one, torch="2.11.0")),
        ("facts", lambda one: dataclasses.replace(one, host="elsewhere")),
        ("shipped", lambda one: dataclasses.replace(one, data_digest="d")),
        ("limits", lambda one: dataclasses.replace(one, tests_budget_s=1.0)),
    ],
)
def test_whatever_a_verdict_depends_on_is_in_its_key(
    name: str, change: Callable[[Any], Any]
) -> None:
    assert key_of(**BASE) == key_of(**BASE)
    assert key_of(**{**BASE, name: change(BASE[name])}) != key_of(**BASE)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("candidate", lambda one: dataclasses.replace(one, seed=2)),
        ("facts", lambda one: dataclasses.replace(one, device_busy="the device is in use")),
    ],
)
def test_the_moments_own_is_not(name: str, change: Callable[[Any], Any]) -> None:
    assert key_of(**{**BASE, name: change(BASE[name])}) == key_of(**BASE)
