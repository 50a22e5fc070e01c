"""The loop end to end: the real fold, policy, journal and shell; only the world is scripted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.events import Finished, Judged, Proposed
from whet_agent.fold import replay
from whet_agent.testing import (
    ScriptedEvaluator,
    ScriptedModel,
    broken_verdict,
    counted_verdict,
    wrong_verdict,
)


def finished(events) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


async def test_broken_then_wrong_then_correct_is_kept(tmp_path):
    model = ScriptedModel(
        [world.fence("broken"), world.fence("wrong"), world.fence("good"), world.fence("worse")]
    )
    evaluator = ScriptedEvaluator(
        {
            "broken": broken_verdict(),
            "wrong": wrong_verdict(),
            "good": counted_verdict(500),
            "worse": counted_verdict(2000),
        }
    )
    search, events = await world.run(
        tmp_path, world.task(iterations=4), model=model, evaluator=evaluator
    )
    end = finished(events)
    assert end.reason == "iterations"
    assert search.candidates[end.best].text == "good"
    assert "faster" not in end.sentence and "improvement" not in end.sentence
    assert "500 bytes" in end.sentence and "correct, untimed" in end.sentence
    assert replay(events) == search
    assert [e.candidate for e in events if isinstance(e, Judged)] == [
        "t0.1.a", "t0.2.a", "t0.3.a", "t0.4.a",
    ]
