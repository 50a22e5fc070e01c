"""Money: reserved before a call leaves, never exceeded, not by parallel calls nor by failures."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.drive import create, drive
from whet_agent.events import Answered, Asked, Finished
from whet_agent.ports import Message, ModelError, Reply
from whet_agent.search.fold import apply, replay
from whet_agent.search.policy import tokens_bound, worst_case_usd
from whet_agent.store.journal import Journal
from whet_agent.testing.doubles import (
    ScriptedEvaluator,
    broken_verdict,
    counted_verdict,
    wrong_verdict,
)

SLACK = 1e-9
"""Sums of floats."""


class UnsteadyModel:
    """Uses up to its whole allowance, or fails in any of the ways endpoints fail."""

    def __init__(self, random: Random) -> None:
        self._random = random

    async def ask(self, messages, *, temperature, max_completion_tokens, on_delta):
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)
        fate = self._random.random()
        if fate < 0.2:
            raise ModelError("Busy.", retryable=True, billed=False, retry_after_s=3.0)
        if fate < 0.35:
            raise ModelError("Dropped.", retryable=True)
        if fate < 0.4:
            raise ModelError("Too long a prompt.")
        prompt = self._random.randint(1, tokens_bound(messages))
        completion = self._random.randint(1, max_completion_tokens)
        text = world.fence(*(f"{self._random.random()}" for _ in range(self._random.randrange(3))))
        return Reply(
            text=text,
            finish_reason="stop",
            prompt_tokens=prompt,
            completion_tokens=completion,
            usd=(prompt * 10 + completion * 30) / 1e6,
        )


async def play(path: Path, order, seed: int, stop_after: int | None):
    random = Random(seed)
    journal = Journal(path / "runs.sqlite3")
    verdicts = [counted_verdict(500), counted_verdict(2000), broken_verdict(), wrong_verdict()]
    ports = world.ports(
        journal,
        model=UnsteadyModel(random),
        evaluator=ScriptedEvaluator(lambda _: random.choice(verdicts)),
    )
    cancel = asyncio.Event()
    states = []
    seen = 0

    def watch(run, event):
        nonlocal seen
        seen += 1
        states.append(event)
        if seen == stop_after:
            cancel.set()

    await create("r1", order, ports)
    try:
        await drive("r1", ports, sinks=(watch,), cancel=cancel)
        if stop_after is not None:
            await drive("r1", ports, cancel=asyncio.Event())
        return journal.load_events("r1")
    finally:
        journal.close()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    trajectories=st.integers(1, 4),
    max_usd=st.floats(0.0, 0.5),
    stop_after=st.none() | st.integers(1, 60),
)
def test_spent_and_reserved_never_exceed_the_budget(seed, trajectories, max_usd, stop_after):
    order = world.task(
        iterations=4, trajectories=trajectories, max_usd=max_usd, reflection=True, optimizer=True
    )
    with tempfile.TemporaryDirectory() as folder:
        events = asyncio.run(play(Path(folder), order, seed, stop_after))
    search = None
    for event in events:
        search = apply(search, event)
        assert search.spent_usd + search.reserved_usd <= max_usd + SLACK
    assert isinstance(events[-1], Finished)
    assert search.reserved_usd == 0
    assert not search.flight
    ids = [event.id for event in events if isinstance(event, Asked)]
    assert len(ids) == len(set(ids)), "a call is never asked twice under one name"
    answered = [event.id for event in events if isinstance(event, Answered)]
    assert set(answered) <= set(ids)
    assert len(answered) == len(set(answered))


def test_a_call_begins_only_when_its_worst_case_fits(tmp_path):
    order = world.task(iterations=100, trajectories=4, max_usd=0.2)
    events = asyncio.run(play(tmp_path, order, 3, None))
    assert replay(events).finished.reason in ("money", "model failed")
    dearest = max(e.reserved_usd for e in events if isinstance(e, Asked))
    assert replay(events).spent_usd > 0.2 - 2 * dearest, "the budget is used, not only kept"


def test_a_prompt_has_no_more_tokens_than_bytes():
    assert tokens_bound((Message("user", "é" * 10),)) >= 20
    model = world.PRICED
    assert worst_case_usd(model, 1_000_000, 1_000_000) == pytest.approx(40.0)
    assert worst_case_usd(None, 1, 1) is None
