"""A timing waits while somebody else computes on its device. The tool is a script here: what it
prints has the form that `nvidia-smi` gives it."""
# ruff: noqa: ASYNC110, ASYNC220, ASYNC222 - a test may poll, and block its own loop: nothing else runs in it

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from whet_evaluator.worker import occupants, spawn
from whet_evaluator.worker.bench import Bench
from whet_evaluator.worker.lanes import Lane
from whet_evaluator.worker.occupants import Occupants, nvidia
from whet_evaluator.worker.records import Device

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

    def says(
        self, *, processes: list[int], busy: int | str, name: str = "/usr/bin/python3"
    ) -> None:
        rows = "".join(f"{pid}, {name}\n" for pid in processes)
        (self.folder / "processes").write_text(rows)
        (self.folder / "busy").write_text(f"{busy}\n")

    def asked(self) -> list[str]:
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def readings(self) -> list[str]:
        """Of the meter."""
        return [line for line in self.asked() if "utilization" in line]

    def occupants(self, clock: Callable[[], float] = time.monotonic) -> Occupants:
        return Occupants(nvidia(UUID, {"PATH": str(self.folder)}, str(self.folder)), clock)


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Driver:
    for name in ("_METER_S", "_BETWEEN_S"):
        monkeypatch.setattr(occupants, name, 0.02)
    return Driver(tmp_path)


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is nobody's child here."""
    yield from _somebody()


@pytest.fixture
def another() -> Iterator[int]:
    yield from _somebody()


def _somebody(argv: Sequence[str] = ("sleep", "60")) -> Iterator[int]:
    code = "import subprocess, sys; print(subprocess.Popen(sys.argv[1:]).pid, flush=True)"
    command = [sys.executable, "-c", code, *argv]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    yield pid
    os.kill(pid, 9)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_nobody_else_costs_one_question(driver):
    own = subprocess.Popen(["sleep", "60"])
    try:
        driver.says(processes=[os.getpid(), own.pid], busy=100)
        those = driver.occupants()
        assert await those.busy() is None
        assert await those.busy() is None
    finally:
        own.kill()
        own.wait()
    assert driver.asked() == [
        f"--id=GPU-{UUID} --query-compute-apps=pid,process_name --format=csv,noheader,nounits"
    ]


async def test_who_computes_is_named(driver, stranger):
    driver.says(processes=[stranger], busy=87)
    those = driver.occupants()
    busy = f"87 % busy with process {stranger} (/usr/bin/python3)"
    assert await those.busy() == busy
    assert await those.busy() == busy
    driver.says(processes=[stranger], busy=0)
    assert await those.busy() is None


async def test_doctor_hears_of_whoever_is_there(driver, stranger):
    driver.says(processes=[os.getpid()], busy=100)
    assert await driver.occupants().present() is None
    driver.says(processes=[os.getpid(), stranger], busy=0)
    those = f"the device is in use by process {stranger} (/usr/bin/python3)"
    assert await driver.occupants().present() == those
    assert not driver.readings()


async def test_who_only_holds_memory_is_asked_about_now_and_then(driver, stranger):
    clock = Clock()
    those = driver.occupants(clock)
    driver.says(processes=[stranger], busy=3)
    assert await those.busy() is None
    n_readings = len(driver.readings())
    assert n_readings > 0
    assert await those.busy() is None
    assert len(driver.readings()) == n_readings
    driver.says(processes=[stranger], busy=99)  # the notebook runs a cell
    clock.now = 31.0
    assert "99 % busy" in await those.busy()


async def test_an_idle_one_is_no_pardon_for_who_comes_after_it(driver, stranger, another):
    clock = Clock()
    those = driver.occupants(clock)
    driver.says(processes=[stranger], busy=0)
    assert await those.busy() is None
    driver.says(processes=[stranger, another], busy=100)
    clock.now = 11.0
    assert f"process {another}" in await those.busy()


async def test_patience_has_an_end(driver, stranger, another):
    clock = Clock()
    those = driver.occupants(clock)
    driver.says(processes=[stranger], busy=100)
    assert await those.busy() is not None
    clock.now = occupants.PATIENCE_S - 1
    assert await those.busy() is not None
    clock.now = occupants.PATIENCE_S
    assert await those.busy() is None
    driver.says(processes=[stranger, another], busy=100)
    clock.now = 2 * occupants.PATIENCE_S
    assert await those.busy() is not None


async def test_a_tool_is_asked_for_a_fiftieth_of_the_time(driver, stranger):
    """Here it takes 0.1 s: for five more seconds nobody need be asked for."""
    clock = Clock()

    async def ask(question: str) -> str:
        clock.now += 0.1 if "compute-apps" in question else 0.0
        return f"{stranger}, other\n" if "compute-apps" in question and there else "99\n"

    those, there = Occupants(ask, clock), False
    assert await those.busy() is None
    there = True
    clock.now = 5.0
    assert await those.busy() is None
    clock.now = 5.2
    assert f"process {stranger} (other)" in await those.busy()


async def test_the_dead_are_listed_for_a_moment(driver):
    dead = subprocess.Popen(["true"])
    dead.wait()
    driver.says(processes=[dead.pid], busy=100)
    assert await driver.occupants().busy() is None


async def test_our_own_who_are_about_to_go_are_ours(driver):
    dying = subprocess.Popen(["true"])
    os.waitid(os.P_PID, dying.pid, os.WEXITED | os.WNOWAIT)
    driver.says(processes=[dying.pid], busy=100)
    assert await driver.occupants().busy() is None
    dying.wait()


async def test_another_worker_of_whets_has_the_lock_for_that(driver):
    """A zygote of a worker that is not this one's child, as `spawn` starts it."""
    entry = spawn._ENTRY.format(package="whet_worker", function="serve")
    for zygote in _somebody((sys.executable, "-c", f"import time;time.sleep(60)#{entry}")):
        driver.says(processes=[zygote], busy=100)
        assert await driver.occupants().busy() is None


async def test_a_name_is_no_way_to_write_on_a_terminal(driver, stranger):
    driver.says(processes=[stranger], busy=100, name="\x1b[2J" + "x" * 5000)
    busy = await driver.occupants().busy()
    assert busy is not None
    assert busy.isprintable()
    assert len(busy) < 200


@pytest.mark.parametrize("busy", ["[N/A]", "", "[Insufficient Permissions]"])
async def test_a_meter_that_does_not_tell_keeps_nobody_waiting(driver, stranger, busy):
    driver.says(processes=[stranger], busy=busy)
    assert await driver.occupants().busy() is None
    assert len(driver.asked()) == 2


async def test_without_the_tool_nothing_is_claimed(tmp_path):
    those = Occupants(nvidia(UUID, {"PATH": str(tmp_path)}, str(tmp_path)))
    assert await those.busy() is None


async def test_a_tool_that_hangs_is_left_alone(driver, monkeypatch):
    monkeypatch.setattr(occupants, "_TOOL_S", 0.3)
    tool = driver.folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho asked >> {driver.folder}/asked\nexec /bin/sleep 60\n")
    those = driver.occupants()
    assert await those.busy() is None
    assert await those.busy() is None
    assert driver.asked() == ["asked"]


async def test_a_timing_leaves_its_place_to_tests_while_it_waits(driver, stranger, monkeypatch):
    """The bench's lanes, on a device that a stranger computes on until a test has run."""
    monkeypatch.setattr(occupants, "AGAIN_S", 0.05)
    driver.says(processes=[stranger], busy=87)
    bench = Bench(str(driver.folder), str(driver.folder), {})
    monkeypatch.setattr(Bench, "device", Device(name="a", uuid=UUID, arch="sm_90", memory_bytes=1))
    monkeypatch.setattr(bench, "_occupants", driver.occupants())
    done, said = [], []

    async def hold(lane: Lane) -> None:
        async with bench.held(lane, "device", lambda text, *_: said.append(text)):
            done.append(lane)

    timing = asyncio.ensure_future(hold("gpu_timing"))
    until = time.monotonic() + 10.0
    while not said and time.monotonic() < until:
        await asyncio.sleep(0.01)
    await asyncio.wait_for(hold("gpu"), timeout=10.0)
    assert done == ["gpu"]
    driver.says(processes=[], busy=0)
    await asyncio.wait_for(timing, timeout=10.0)
    assert done == ["gpu", "gpu_timing"]
    name = f"process {stranger} (/usr/bin/python3)"
    assert set(said) == {f"waiting for the device, 87 % busy with {name}"}
