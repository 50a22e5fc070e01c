"""A timing waits while somebody else computes on its device. The tool is a script here: what it
prints has the form that `nvidia-smi` gives it."""
# ruff: noqa: ASYNC110, ASYNC220 - a test may poll, and block its own loop: nothing else runs in it

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from whet_evaluator.worker import occupants
from whet_evaluator.worker.occupants import Occupants, nvidia

UUID = "5a8f1f0c-6f0e-4d2a-9d5e-0123456789ab"
TOOL = """#!{python}
import pathlib, sys
folder = pathlib.Path({folder!r})
with open(folder / "asked", "a") as file:
    print(*sys.argv[1:], file=file)
what = "processes" if any("compute-apps" in word for word in sys.argv) else "busy"
print((folder / what).read_text(), end="")
"""


class Driver:
    """Answers as the files beside it say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tool = folder / "nvidia-smi"
        tool.write_text(TOOL.format(python=sys.executable, folder=str(folder)))
        tool.chmod(0o755)
        self.says(processes=[], busy=0)

    def says(self, *, processes: list[int], busy: int | str) -> None:
        rows = "".join(f"{pid}, /usr/bin/python3\n" for pid in processes)
        (self.folder / "processes").write_text(rows)
        (self.folder / "busy").write_text(f"{busy}\n")

    def asked(self) -> list[str]:
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def occupants(self) -> Occupants:
        return Occupants(nvidia(UUID, {"PATH": str(self.folder)}, str(self.folder)))


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    for name in ("_METER_S", "_AGAIN_S"):
        monkeypatch.setattr(occupants, name, 0.05)
    return Driver(tmp_path)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is nobody's child here."""
    code = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    yield pid
    os.kill(pid, 9)


async def gone(those: Occupants) -> list[str]:
    said: list[str] = []
    await asyncio.wait_for(those.gone(said.append), timeout=20.0)
    return said


async def test_nobody_else_costs_one_question(driver):
    own = subprocess.Popen(["sleep", "60"])
    try:
        driver.says(processes=[os.getpid(), own.pid], busy=100)
        those = driver.occupants()
        assert await gone(those) == []
        assert await gone(those) == []
    finally:
        own.kill()
        own.wait()
    assert driver.asked() == [
        f"--id=GPU-{UUID} --query-compute-apps=pid,process_name --format=csv,noheader,nounits"
    ]


async def test_who_computes_is_named_and_waited_for(driver, stranger):
    driver.says(processes=[stranger], busy=87)
    said: list[str] = []
    waiting = asyncio.ensure_future(driver.occupants().gone(said.append))
    until = time.monotonic() + 10.0
    while len(driver.asked()) < 6 and time.monotonic() < until:
        await asyncio.sleep(0.02)
    assert not waiting.done()
    name = f"process {stranger} (/usr/bin/python3)"
    assert said == [f"waiting for the device, 87 % busy with {name}"]
    driver.says(processes=[stranger], busy=0)
    await asyncio.wait_for(waiting, timeout=10.0)


async def test_who_only_holds_memory_is_not_waited_for(driver, stranger):
    driver.says(processes=[stranger], busy=3)
    those = driver.occupants()
    assert await gone(those) == []
    n_questions = len(driver.asked())
    assert await gone(those) == []
    assert len(driver.asked()) == n_questions == 2


async def test_the_dead_are_listed_for_a_moment(driver):
    dead = subprocess.Popen(["true"])
    dead.wait()
    driver.says(processes=[dead.pid], busy=100)
    assert await gone(driver.occupants()) == []


@pytest.mark.parametrize("busy", ["[N/A]", "", "[Insufficient Permissions]"])
async def test_a_meter_that_does_not_tell_keeps_nobody_waiting(driver, stranger, busy):
    driver.says(processes=[stranger], busy=busy)
    assert await gone(driver.occupants()) == []


async def test_without_the_tool_nothing_is_claimed(tmp_path):
    assert await gone(Occupants(nvidia(UUID, {"PATH": str(tmp_path)}, str(tmp_path)))) == []


async def test_a_tool_that_hangs_is_given_up(driver, monkeypatch):
    monkeypatch.setattr(occupants, "_TOOL_S", 0.3)
    (driver.folder / "nvidia-smi").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    assert await gone(driver.occupants()) == []
