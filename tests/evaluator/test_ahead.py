"""A timing stage gets ready beside others, and reads no clock before it has the device."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from whet_evaluator.worker import ahead, gate
from whet_evaluator.worker.lanes import Lanes
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.stage_ends import Answered, Died, OutOfTime

JOB = {"stage": "time"}


class Bench:
    """Real lanes; its children are coroutines that do as the stage does."""

    def __init__(self, folder: Path, *, gpu: int = 1, stage_s: float = 5.0) -> None:
        self.limits = Limits(stage_s=stage_s)
        self.lanes = Lanes({"cpu": 1, "gpu": gpu, "gpu_timing": 1}, str(folder / "locks"))
        self.where: Any = SimpleNamespace(scratch=SimpleNamespace(output=str(folder)))
        self.seen: list[str] = []
        self.dies_early = self.is_slow = self.leaves_slowly = self.wedged = False
        self.leaving: set[asyncio.Task[None]] = set()

    async def zygote_for(self, mode: str, *, fresh: bool) -> None:
        return None

    def held(self, lane: Any, mode: str, on_progress: Any) -> Any:
        return self.lanes.hold(lane, None, lambda text: None)

    async def start(self, job: Any, *_: Any) -> Any:
        *_, on_progress, on_answer = _
        try:
            self.seen.append("started")
            if self.dies_early:
                return Died("early", "")
            on_progress(gate.READY, 0, 0)
            while not os.path.exists(job["gate"]):  # noqa: ASYNC110, ASYNC240, PTH110 - the stage polls
                await asyncio.sleep(0.005)
            self.seen.append("began")
            await asyncio.sleep(60 if self.is_slow else 0)
            if self.leaves_slowly:
                if on_answer is not None:
                    on_answer(Answered({"ahead": True}, {}))
                await asyncio.sleep(0.2)
            return Answered({"ahead": True}, {})
        finally:
            self.seen.append("gone")

    async def run(self, job: Any, where: Any, *, lane: Any, mode: str, **_: Any) -> Any:
        async with self.held(lane, mode, None):
            self.seen.append("run as any stage")
            return Answered({"ahead": False}, {}), 0.0

    def time(self, wanted: asyncio.Event, *, fresh: bool = False) -> asyncio.Task[Any]:
        running = ahead.run(
            self, JOB, self.where, fresh=fresh, wanted=wanted,  # type: ignore[arg-type]
            on_progress=lambda *_: None,
        )  # fmt: skip
        return asyncio.ensure_future(running)


@pytest.fixture
def wanted() -> asyncio.Event:
    return asyncio.Event()


async def test_it_waits_at_its_gate_without_a_place_on_the_device(tmp_path, wanted):
    bench = Bench(tmp_path)
    timing = bench.time(wanted)
    await asyncio.sleep(0.05)
    async with bench.held("gpu", "device", None):  # the only place, so it has left its own
        wanted.set()
        await asyncio.sleep(0.05)
        assert bench.seen == ["started"]
    end, _ = await timing
    assert end.answer == {"ahead": True}
    assert bench.seen == ["started", "began", "gone"]


async def test_what_found_no_place_in_time_starts_as_any_stage(tmp_path, wanted):
    bench = Bench(tmp_path)
    async with bench.held("gpu", "device", None):
        timing = bench.time(wanted)
        await asyncio.sleep(0.02)
        wanted.set()
        await asyncio.sleep(0.02)
    end, _ = await timing
    assert end.answer == {"ahead": False}
    assert bench.seen == ["run as any stage"]


async def test_a_child_that_died_before_its_gate_says_nothing(tmp_path, wanted):
    bench = Bench(tmp_path)
    bench.dies_early = True
    timing = bench.time(wanted)
    await asyncio.sleep(0.02)
    wanted.set()
    end, _ = await timing
    assert end.answer == {"ahead": False}


@pytest.mark.parametrize("what", ["file", "link"])
async def test_a_gate_that_a_candidate_put_there_opens_nothing(tmp_path, what):
    outside, path = tmp_path / "outside", tmp_path / "time.gate"
    if what == "file":
        path.touch()
    else:
        path.symlink_to(outside)
    assert not gate.open_gate(str(path))
    assert not outside.exists()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    assert not gate.open_gate(str(tmp_path / "folder" / "time.gate"))
    assert not list((tmp_path / "elsewhere").iterdir())


async def test_behind_the_gate_a_stage_has_its_own_limit(tmp_path, wanted):
    bench = Bench(tmp_path, stage_s=0.1)
    bench.is_slow = True
    timing = bench.time(wanted)
    await asyncio.sleep(0.2)  # waiting does not count
    wanted.set()
    end, seconds = await timing
    assert end == OutOfTime(0.1)
    assert seconds >= 0.1
    assert bench.seen == ["started", "began", "gone"]


@pytest.mark.parametrize("fresh", [False, True], ids=["in a search", "in a confirmation"])
async def test_an_answer_counts_before_its_process_is_gone_in_a_search_alone(
    tmp_path, wanted, fresh
):
    bench = Bench(tmp_path)
    bench.leaves_slowly = True
    timing = bench.time(wanted, fresh=fresh)
    await asyncio.sleep(0.05)
    wanted.set()
    end, _ = await timing
    assert end.answer == {"ahead": True}
    assert ("gone" in bench.seen) is fresh
    async with bench.held("gpu", "device", None):  # the device's next user
        assert bench.seen == ["started", "began", "gone"]
    await asyncio.sleep(0)
    assert not bench.leaving


@pytest.mark.parametrize("is_wanted", [False, True])
async def test_who_is_not_needed_any_more_leaves_no_child(tmp_path, wanted, is_wanted):
    bench = Bench(tmp_path)
    bench.is_slow = True
    timing = bench.time(wanted)
    await asyncio.sleep(0.02)
    if is_wanted:
        wanted.set()
        await asyncio.sleep(0.02)
    timing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await timing
    assert bench.seen[-1] == "gone"
    async with asyncio.timeout(1), bench.held("gpu_timing", "device", None):
        pass
