"""One case from its replay to its samples: prepare, plan, take, and judge what was seen."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from . import integrity, schedule
from .checks import judge_after, judge_process, judge_speed
from .clock import Clock
from .physics import Compulsory, floor_us
from .plans import Plan, plan
from .records import Case
from .replay import Replay
from .sampling import Engine
from .schedule import AGAIN, CANDIDATE, ORIGINAL, Taken, Watch
from .versions import Versions, hand_over_tuning, launching_own

LATE_IS_NORMAL = 10
"""A few samples, mostly the first, start before a host that was interrupted has queued all."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """How to measure. `may_go_on` hears how many seconds further rounds would take."""

    seed: int
    n_rounds: int
    n_pairs: int
    arch: str
    cache_bytes: int
    own_file: str
    """The candidate's, to tell its patches from those of libraries."""
    on_round: Callable[[int, int], None]
    disturbance: Callable[[], str | None]
    may_go_on: Callable[[float], bool]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A case that can be sampled: how, and what was learnt on the way."""

    plan: Plan
    slowed_by: float
    compulsory: Compulsory
    capture_faults: tuple[str, ...]
    processes: Literal[1, 2]


class Crew(schedule.Sampler, Protocol):
    """The versions of one case, wherever they run."""

    name: str

    def ready(self, order: Order) -> Ready:
        """Compiles, tunes, checks, pilots and calibrates. Called once, first."""

    def after_us(self) -> dict[int, float]:
        """See `sampling.Engine.after_us`."""

    def n_late(self) -> int: ...

    def notes(self) -> list[str]: ...


class Together:
    """Both versions in this process."""

    def __init__(
        self, clock: Clock, replay: Replay, order: Order, versions: Versions | None = None
    ) -> None:
        """`versions` are the modules that `replay` calls, None where it calls others."""
        self.name = replay.name
        self._versions = versions
        runs = {ORIGINAL: replay.original, CANDIDATE: replay.candidate, AGAIN: replay.original}
        original = versions.original if versions is not None else None
        check = integrity.sealed("under the clock", version=original)
        self._engine = Engine(
            clock, replay, runs, seed=order.seed, cache_bytes=order.cache_bytes, check=check
        )
        self.begin_round = self._engine.begin_round
        self.begin_pair = self._engine.begin_pair
        self.sample = self._engine.sample
        self.after_us = self._engine.after_us

    def ready(self, order: Order) -> Ready:
        engine = self._engine
        engine.prepare(self._first_run)
        engine.believe(engine.expect(ORIGINAL), drawn=engine.drawn)
        pilot = engine.pilot()
        chosen = plan([pilot], order.cache_bytes)
        engine.adopt(chosen)
        return Ready(
            plan=chosen,
            slowed_by=engine.calibrate(ORIGINAL),
            compulsory=engine.compulsory(ORIGINAL),
            capture_faults=(pilot.capture_fault,) if pilot.capture_fault else (),
            processes=1,
        )

    @contextmanager
    def _first_run(self, number: int) -> Iterator[None]:
        """Raises `CrossedError` where a version launches the other one's kernels."""
        if self._versions is None:
            yield
            return
        is_candidate = number == CANDIDATE
        if is_candidate:
            hand_over_tuning(self._versions)
        with launching_own(self._versions, is_candidate=is_candidate):
            yield

    def n_late(self) -> int:
        return self._engine.n_late

    def notes(self) -> list[str]:
        return self._engine.notes


def measure(clock: Clock, crew: Crew, order: Order) -> Case:
    """Raises `DiffersError`, `CheatedError`, and whatever the versions raise."""
    ready = crew.ready(order)
    floor = floor_us(
        ready.compulsory, arch=order.arch, is_cold=ready.plan.state == "cold",
        repeats=ready.plan.repeats, cache_bytes=order.cache_bytes,
    )  # fmt: skip
    n_threads = clock.n_python_threads()
    taken = _take(clock, crew, order)
    call_us = statistics.median(b for pairs in taken.rounds for _, b in pairs)
    judge_after(crew.after_us(), ready.plan.repeats * call_us)
    judge_speed(call_us, floor)
    judge_process(clock, order.own_file, n_threads)
    late = f"{crew.n_late()} samples were taken again: the host came late"
    return Case(
        name=crew.name,
        method=ready.plan.method,
        state=ready.plan.state,
        seed=order.seed,
        rounds=_frozen(taken.rounds),
        control=_frozen(taken.control),
        slowed=_frozen(taken.slowed),
        slowed_by=ready.slowed_by,
        processes=ready.processes,
        floor_us=floor,
        retaken=tuple(taken.retaken),
        dropped=_frozen(taken.dropped),
        notes=(
            *crew.notes(),
            *taken.notes,
            *dict.fromkeys(ready.capture_faults),
            *([late] if crew.n_late() > LATE_IS_NORMAL else []),
        ),
    )


def _take(clock: Clock, crew: Crew, order: Order) -> Taken:
    secret = random.SystemRandom()
    watch = Watch(
        on_round=order.on_round,
        disturbance=order.disturbance,
        may_go_on=order.may_go_on,
        now=clock.now,
        draw=secret.randrange,
    )
    gc.collect()
    gc.disable()  # a collection in a sample is host time, and may release device memory
    try:
        return schedule.take(
            crew, watch, seed=order.seed, n_rounds=order.n_rounds, n_pairs=order.n_pairs
        )
    finally:
        gc.enable()


def _frozen(rounds: list[schedule.Pairs]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(map(tuple, rounds))
