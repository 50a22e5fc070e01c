"""The queue, on handles that a test ends when it likes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import server_values as v

from whet_agent.project import UserError
from whet_server.runs import Run, Runs


class Work:
    """A handle as the façade gives one; the test decides when and how it ends."""

    def __init__(self, name: str) -> None:
        self.run = name
        self.cancelled = False
        self.end: asyncio.Future = asyncio.get_running_loop().create_future()

    def cancel(self) -> None:
        self.cancelled = True
        if not self.end.done():
            self.end.set_result(v.summary(run=self.run, reason="cancelled", sentence="Stopped."))

    async def wait(self):
        return await self.end


class World:
    def __init__(self) -> None:
        self.works: dict[str, Work] = {}
        self.changes: list[tuple[str, str]] = []
        self.runs = Runs(lambda run: self.changes.append((run.kernel, run.state)))

    def submit(self, kernel: str, *, target: str = "local", refuse: str = "") -> Run:
        def begin(on_summary):
            if refuse:
                raise UserError(refuse)
            self.works[kernel] = Work(f"journal-{kernel}")
            self.works[kernel].say = on_summary
            return self.works[kernel]

        run = Run(
            path=Path("/p/k.py"), kernel=kernel, digest="d", goal="optimize", target=target,
            begin=begin,
        )  # fmt: skip
        self.runs.submit(run)
        return run

    async def end(self, run: Run) -> None:
        self.works[run.kernel].end.set_result(v.summary(run=run.id, kernel=run.kernel))
        await asyncio.wait_for(run.task, 5)


async def test_a_run_begins_at_once_under_the_journals_id():
    world = World()
    run = world.submit("a")
    assert (run.id, run.state) == ("journal-a", "running")
    await world.end(run)
    assert (run.state, run.reason) == ("finished", "iterations")
    assert run.sentence == "Keep yours: nothing was better."
    assert world.changes == [("a", "running"), ("a", "finished")]


async def test_runs_on_one_target_go_one_after_another():
    world = World()
    first, second, third = (world.submit(name) for name in "abc")
    assert [run.state for run in (first, second, third)] == ["running", "queued", "queued"]
    await world.end(first)
    assert [run.state for run in (second, third)] == ["running", "queued"]
    assert world.runs.get("journal-b") is world.runs.get(second.id) is second
    await world.end(second)
    assert third.state == "running"
    await world.end(third)


async def test_targets_do_not_wait_for_each_other():
    world = World()
    assert world.submit("a").state == "running"
    assert world.submit("b", target="gpu1").state == "running"


async def test_two_runs_on_one_kernel_are_refused_until_the_first_ends():
    world = World()
    first = world.submit("a")
    with pytest.raises(UserError, match=r"already works on a .* cancel it"):
        world.submit("a", target="gpu1")
    await world.end(first)
    assert world.submit("a").state == "running"


async def test_a_queued_run_is_cancelled_without_having_begun():
    world = World()
    first, second, third = (world.submit(name) for name in "abc")
    world.runs.cancel(second.id)
    assert (second.state, second.reason) == ("finished", "cancelled")
    await world.end(first)
    assert third.state == "running"
    assert "b" not in world.works


async def test_a_running_run_is_asked_and_keeps_its_last_word():
    world = World()
    run = world.submit("a")
    world.runs.cancel(run.id)
    assert world.works["a"].cancelled
    await asyncio.wait_for(run.task, 5)
    assert run.sentence == "Stopped."


async def test_what_refuses_to_begin_is_an_answer_and_leaves_the_queue_working():
    world = World()
    with pytest.raises(UserError, match="no key"):
        world.submit("a", refuse="no key")
    first = world.submit("b")
    late = world.submit("c", refuse="host is gone")
    last = world.submit("d")
    await world.end(first)
    assert (late.state, late.sentence) == ("finished", "host is gone")
    assert last.state == "running"


async def test_a_fault_of_ours_ends_the_run_and_not_the_queue(caplog):
    world = World()
    first, second = world.submit("a"), world.submit("b")
    world.works["a"].end.set_exception(AssertionError("ours"))
    await asyncio.wait_for(first.task, 5)
    assert first.reason == "internal error"
    assert "ours" in caplog.text
    assert second.state == "running"


async def test_summaries_are_seen_as_they_come():
    world = World()
    run = world.submit("a")
    world.works["a"].say(v.summary(tried=3, state="running"))
    assert run.summary.tried == 3


async def test_test_runs_end_in_a_tally():
    world = World()
    run = world.submit("a")
    outcomes = (v.outcome_of(), v.outcome_of("failed"), v.outcome_of())
    world.works["a"].end.set_result(outcomes)
    await asyncio.wait_for(run.task, 5)
    assert run.outcomes == outcomes
    assert run.sentence == "1 failed, 2 passed."


async def test_closing_stops_everything_and_waits():
    world = World()
    first, second = world.submit("a"), world.submit("b")
    await asyncio.wait_for(world.runs.close(), 5)
    assert first.state == "finished"
    assert "b" not in world.works
    assert second.state == "queued"


def test_runs_of_the_store_are_older_than_any_of_this_session():
    runs = Runs(lambda _: None)
    for name in ("newest", "older"):
        runs.remember(Run.of_store(v.summary(run=name)))
    assert [run.id for run in runs.all()] == ["newest", "older"]
    runs.remember(Run.of_store(v.summary(run="older")))
    assert len(runs.all()) == 2


def test_an_unknown_run_is_refused():
    with pytest.raises(UserError, match="no run x"):
        Runs(lambda _: None).cancel("x")
