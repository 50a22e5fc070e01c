"""The server dies by `kill -9` in the middle of a run: nothing stays, nothing is lost.

`WHET_KILLS` says how many random moments are tried (2 in the ordinary suite).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import load_e2e

processes = load_e2e("processes")
projects = load_e2e("project")
models = load_e2e("openai_server")

WHET = Path(sys.executable).with_name("whet")
KILLS = int(os.environ.get("WHET_KILLS", "2"))
PRICES = {"usdPerMillionInput": 1.0, "usdPerMillionOutput": 2.0}
ONE_TEST = ["tests/test_softmax.py::test_softmax_row_slice"]
SPREAD_S = 10.0
"""The moments lie between the start of the run and about its end."""


@pytest.mark.parametrize("moment", range(KILLS))
async def test_killed_at_a_random_moment(start, tmp_path, moment):
    after_s = SPREAD_S * (moment + random.Random(moment).random()) / KILLS
    project = projects.make_project(tmp_path, "softmax", tests=ONE_TEST)
    with models.ScriptedOpenAI([projects.recorded("softmax")]) as model:
        shown = await _run_and_kill(start, project, model, after_s)
        run = shown[-1]["run"]
        before = _events(project, run)
        judged = [event for event in before if event["event"] == "judged"]
        assert len(judged) + _rejected(before) >= max(one["tried"] for one in shown)
        ended = _whet(project, model, "resume", run, "--json", "--trust")
        assert ended.returncode == 0, ended.stderr
    finished = json.loads(ended.stdout.splitlines()[-1])
    assert finished["reason"] == "iterations"
    assert finished["best"] is not None
    after = _events(project, run)
    kept = [event for event in before if event["event"] != "finished"]
    assert after[: len(kept)] == kept
    assert finished["spent_usd"] == pytest.approx(_money(after))


async def _run_and_kill(start, project, model, after_s: float) -> list[dict]:
    """What the editor was shown of the run until the server was killed."""
    options = {
        "trusted": True, "model": model.model, "baseUrl": model.base_url, "apiKey": "k",
        "python": sys.executable, "sweep": False, "iterations": 1, **PRICES,
    }  # fmt: skip
    editor = await start(root=project.root, environ=project.environ, options=options)
    uri = project.file.as_uri()
    editor.open(uri, project.text)
    line = (await editor.lenses(uri))[0].range.start.line
    await editor.do(await editor.action(uri, line, "Optimize"))
    await editor.until(lambda: editor.runs)
    await asyncio.sleep(after_s)  # the moment itself is what is tried
    server = editor.client._server.pid
    family = {server, *processes.descendants(server)}
    os.kill(server, signal.SIGKILL)
    left = await asyncio.to_thread(processes.survivors, family, within_s=3.0)
    assert not left
    return list(editor.runs)


def _whet(project, model, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ, **project.environ, "WHET_MODEL": model.model, "WHET_BASE_URL": model.base_url,
        "WHET_PYTHON": sys.executable, "WHET_USD_PER_MILLION_INPUT": "1.0",
        "WHET_USD_PER_MILLION_OUTPUT": "2.0",
    }  # fmt: skip
    return subprocess.run(
        [WHET, *arguments], env=environment, cwd=project.root, capture_output=True, text=True,
        check=False,
    )  # fmt: skip


def _events(project, run: str) -> list[dict]:
    shown = subprocess.run(
        [WHET, "show", run, "--json"], env={**os.environ, **project.environ}, cwd=project.root,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in shown.stdout.splitlines()]


def _rejected(events: list[dict]) -> int:
    return sum(event["event"] == "rejected" for event in events)


def _money(events: list[dict]) -> float:
    """Every answered call once, and the reservation of every call that vanished."""
    answered = {event["id"]: event["usd"] for event in events if event["event"] == "answered"}
    lost = {event["id"] for event in events if event["event"] == "interrupted"}
    reserved = {event["id"]: event["reserved_usd"] for event in events if event["event"] == "asked"}
    return sum(answered.values()) + sum(reserved[id_] for id_ in lost if id_ in reserved)
