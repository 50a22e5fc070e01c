"""What people and programs read of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.events import Created
from whet_agent.report import (
    event_json,
    finished_json,
    markdown,
    step,
    summarise,
    unified_diff,
)
from whet_agent.testing.doubles import (
    ScriptedEvaluator,
    ScriptedModel,
    baseline,
    counted_verdict,
    red,
    wrong_verdict,
)
from whet_evaluator.evaluation import Target
from whet_evaluator.worker.launch_records import Compiled


async def counted_run(tmp_path, *texts, **policy):
    compiled = (Compiled(kernel="kernel", arch="gfx942", vgprs=64, spills=0, lds_bytes=1024),)
    verdicts = {
        "good": counted_verdict(500, compiled=compiled),
        "wrong": wrong_verdict(),
        "worse": counted_verdict(3000, compiled=compiled),
    }
    _, events = await world.run(
        tmp_path,
        world.task(iterations=len(texts), **policy),
        model=ScriptedModel([world.fence(text) for text in texts]),
        evaluator=ScriptedEvaluator(verdicts, recorded=baseline(compiled=compiled)),
    )
    return events


async def test_the_summary_grows_event_by_event(tmp_path):
    events = await counted_run(tmp_path, "wrong", "good", "worse")
    summary = None
    stages = []
    for event in events:
        summary = step(summary, event)
        stages.append(summary.stage)
    assert summary == summarise(events)
    assert summary.state == "finished"
    assert summary.reason == "iterations"
    assert (summary.tried, summary.iterations) == (3, 3)
    assert summary.tally == {"wrong result": 1, "less traffic": 1, "more traffic": 1}
    assert summary.best.text == "good"
    assert summary.best.original_text == world.ORIGINAL_TEXT
    assert summary.best.evidence.speedup is None
    assert summary.best.evidence.cost_before.counted.loaded_bytes == 1000
    assert summary.best.evidence.cost_after.counted.loaded_bytes == 500
    assert set(stages) >= {
        "opening the target",
        "recording the baseline",
        "turn 1 of 3: writing",
        "turn 1 of 3: testing",
        "turn 2 of 3: writing",
        "turn 2 of 3: confirming",
        "turn 3 of 3: confirming, writing",
    }
    assert stages[-1] == ""


async def test_the_last_line_of_json(tmp_path):
    line = finished_json(summarise(await counted_run(tmp_path, "good")))
    line = json.loads(json.dumps(line))
    assert list(line) == [
        "event", "run", "reason", "sentence", "best", "tally", "spent_usd", "tokens",
    ]  # fmt: skip
    best = line["best"]
    assert best["text"] == "good"
    assert best["speedup"] is None
    assert best["counted"]["before"]["loaded_bytes"] == 1000
    assert best["counted"]["after"]["loaded_bytes"] == 500
    assert best["estimated"]["after"] == {
        "arch": "gfx942", "vgprs": 64, "spills": 0, "lds_bytes": 1024,
    }  # fmt: skip
    assert best["tests"]["passed"] == 1
    assert line["tokens"] > 0
    assert line["spent_usd"] > 0


async def test_keep_yours_has_no_best(tmp_path):
    line = finished_json(summarise(await counted_run(tmp_path, "wrong")))
    assert line["best"] is None
    assert line["tally"] == {"wrong result": 1}


async def test_no_word_of_speed_without_a_clock(tmp_path):
    events = await counted_run(tmp_path, "wrong", "good", "worse")
    page = markdown(summarise(events), events)
    said = page + json.dumps([finished_json(summarise(events)), *map(event_json, events)])
    for word in ("faster", "improvement", "quicker", "slower"):
        assert word not in said.lower()
    assert "counted" in page
    assert "estimated for gfx942" in page


async def test_every_event_is_a_json_line_named_by_its_kind(tmp_path):
    events = await counted_run(tmp_path, "good")
    lines = [json.loads(json.dumps(event_json(event))) for event in events]
    assert [line["event"] for line in lines][:5] == [
        "created", "started", "opened", "started", "baseline_recorded",
    ]  # fmt: skip
    assert "_type" not in json.dumps(lines)
    verdict = next(line for line in lines if line["event"] == "judged")["verdict"]
    assert verdict["kind"] == "Correct"
    assert verdict["timing"]["kind"] == "Untimed"


def test_a_targets_environment_stays_home():
    order = attrs.evolve(world.task(), target=Target(env={"TOKEN": "hunter2"}))
    line = event_json(Created(run="r", task=order, at=0.0))
    assert line["target"] == "local"
    assert "hunter2" not in json.dumps(line)


async def test_red_tests_of_the_baseline_are_kept_for_diagnostics(tmp_path):
    _, events = await world.run(
        tmp_path,
        world.task(),
        model=ScriptedModel([""]),
        evaluator=ScriptedEvaluator({}, recorded=baseline(tests=(red("t::b"),))),
    )
    summary = summarise(events)
    assert [test.nodeid for test in summary.red] == ["t::b"]
    assert "- `t::b`" in markdown(summary)


async def test_an_unknown_price_is_said_to_be_unknown(tmp_path):
    choice = attrs.evolve(world.PRICED, usd_per_million_input=None)
    events = await counted_run(tmp_path, "good", model=choice)
    summary = summarise(events)
    assert summary.spent_usd is None
    assert summary.tokens > 0
    assert "price unknown" in markdown(summary)


def test_a_running_summary_names_no_reason():
    summary = summarise([Created(run="r", task=world.task(), at=5.0)])
    assert (summary.state, summary.reason, summary.best) == ("running", None, None)
    assert summary.started_at == summary.updated_at == 5.0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\r\nb\r\n", "a\r\nB\r\n"),
        ("a\x0cb\u2028c\nd\n", "a\x0cb\u2028c\nD\n"),
        ("no end", "no end, still"),
        ("one\n", "one\ntwo"),
    ],
)
def test_the_diff_applies(tmp_path, old, new):
    (tmp_path / "k.py").write_bytes(old.encode())
    diff = unified_diff("k.py", old, new).encode()
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "apply", "-"], input=diff, cwd=tmp_path, check=True)
    assert (tmp_path / "k.py").read_bytes() == new.encode()
