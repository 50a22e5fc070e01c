"""Admission is fair and exclusive where it must be, within a worker and between them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet_evaluator.worker.lanes import Lanes, admissible

CAPACITY = {"cpu": 2, "gpu": 2, "gpu_timing": 1}
lanes = st.sampled_from(["cpu", "gpu", "gpu_timing"])


def quiet(text: str) -> None:
    del text


@pytest.mark.parametrize(
    ("waiting", "running", "started"),
    [
        (["cpu", "cpu", "cpu"], {}, [0, 1]),
        (["gpu", "gpu", "gpu"], {}, [0, 1]),
        (["gpu_timing", "gpu"], {}, [0]),
        (["gpu", "gpu_timing", "gpu"], {}, [0]),  # the second waits behind the timing
        (["gpu_timing", "gpu"], {"gpu": 1}, []),  # drained first
        (["gpu_timing", "cpu"], {"gpu": 1}, [1]),
        (["gpu", "gpu_timing"], {"gpu_timing": 1}, []),
    ],
)
def test_rules(waiting, running, started):
    assert admissible(waiting, running, CAPACITY) == started


@given(st.lists(lanes, max_size=20), st.data())
def test_nothing_starves_and_nothing_overlaps(asked, data):
    waiting, running, done = list(asked), Counter(), 0
    while waiting or running.total():
        for index in reversed(admissible(waiting, running, CAPACITY)):
            running[waiting.pop(index)] += 1
        assert running["cpu"] <= 2
        assert running["gpu"] <= 2
        assert running["gpu_timing"] <= 1
        assert not (running["gpu"] and running["gpu_timing"])
        assert running.total(), "work waits although nothing runs"
        ended = data.draw(st.sampled_from(sorted(running.elements())))
        running[ended] -= 1
        done += 1
    assert done == len(asked)


async def test_candidates_compile_while_another_is_timed(tmp_path):
    """Timing holds the device until two others have compiled beside it; a test waits."""
    keeper = Lanes({"cpu": 2, "gpu": 2, "gpu_timing": 1}, lock_folder=str(tmp_path / "locks"))
    compiled = [asyncio.Event(), asyncio.Event()]
    story: list[str] = []

    async def stage(lane, name, begun: asyncio.Event, until=()) -> None:
        async with keeper.hold(lane, "GPU-1", quiet):
            story.append(f"{name} begins")
            begun.set()
            for event in until:
                await event.wait()
            story.append(f"{name} ends")

    timing = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(stage("gpu_timing", "timing", timing, compiled))
        await timing.wait()
        group.create_task(stage("gpu", "testing", asyncio.Event()))
        for number, begun in enumerate(compiled):
            group.create_task(stage("cpu", f"compiling {number}", begun))
    assert story.index("compiling 0 ends") < story.index("timing ends")
    assert story.index("compiling 1 begins") < story.index("timing ends")
    assert story.index("timing ends") < story.index("testing begins")


async def test_places_are_given_back_also_when_cancelled(tmp_path):
    keeper = Lanes(CAPACITY, lock_folder=str(tmp_path))
    async with keeper.hold("gpu_timing", None, quiet):
        waiting = asyncio.create_task(hold_for_ever(keeper))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(5), keeper.hold("gpu_timing", None, quiet):
        pass


async def hold_for_ever(keeper: Lanes) -> None:
    async with keeper.hold("gpu", None, quiet):
        await asyncio.Event().wait()


HOLDER = """
import asyncio, sys
from whet_evaluator.worker.lanes import Lanes
async def main():
    keeper = Lanes({"cpu": 1, "gpu": 1, "gpu_timing": 1}, lock_folder=sys.argv[1])
    async with keeper.hold(sys.argv[2], "GPU-1", lambda text: None):
        print("held", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("theirs", "ours", "waits"),
    [
        ("gpu_timing", "gpu", True),
        ("gpu", "gpu_timing", True),
        ("gpu_timing", "gpu_timing", True),
        ("gpu", "gpu", False),
        ("gpu_timing", "cpu", False),
    ],
)
async def test_other_workers_on_the_device_are_waited_for(tmp_path, theirs, ours, waits):
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path / "locks"), theirs,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert await other.stdout.readline() == b"held\n"
    keeper = Lanes(CAPACITY, lock_folder=str(tmp_path / "locks"))
    told: asyncio.Queue[str] = asyncio.Queue()
    entered = asyncio.Event()

    async def hold() -> None:
        async with keeper.hold(ours, "GPU-1", told.put_nowait):
            entered.set()

    holding = asyncio.create_task(hold())
    if waits:
        sentence = await asyncio.wait_for(told.get(), 10)
        assert "another worker" in sentence
        assert f"process {other.pid} of user" in sentence
        assert ("testing since" if theirs == "gpu" else "timing since") in sentence
        assert not entered.is_set()
        other.stdin.close()  # it lets go
    await asyncio.wait_for(holding, 10)
    assert told.empty()
    if not waits:
        other.stdin.close()
    await other.wait()
    folder = tmp_path / "locks"
    if ours != "cpu":
        assert folder.stat().st_mode & 0o7777 == 0o1777
        assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o666}


async def test_a_killed_holder_lets_go(tmp_path):
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, str(tmp_path), "gpu_timing",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert await other.stdout.readline() == b"held\n"
    other.kill()
    await other.wait()
    keeper = Lanes(CAPACITY, lock_folder=str(tmp_path))
    async with asyncio.timeout(5), keeper.hold("gpu_timing", "GPU-1", quiet):
        pass
