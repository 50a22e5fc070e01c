"""One case from its replay to its samples: prepare, plan, take, and judge what was seen."""

from __future__ import annotations

import gc
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from . import schedule
from .clock import Clock
from .physics import floor_us
from .records import Case
from .replay import Replay
from .sampling import CheatedError, Engine, judge_after, plan
from .schedule import AGAIN, CANDIDATE, ORIGINAL, Taken, Watch

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


def measure(clock: Clock, replay: Replay, order: Order) -> Case:
    """Raises `DiffersError`, `CheatedError`, and whatever the versions raise."""
    runs = {ORIGINAL: replay.original, CANDIDATE: replay.candidate, AGAIN: replay.original}
    engine = Engine(clock, replay, runs, seed=order.seed, cache_bytes=order.cache_bytes)
    engine.prepare()
    engine.believe(engine.expect(ORIGINAL))
    pilot = engine.pilot()
    chosen = plan([pilot], order.cache_bytes)
    engine.adopt(chosen)
    slowed_by = engine.calibrate(ORIGINAL)
    floor = floor_us(
        engine.compulsory(ORIGINAL), arch=order.arch, is_cold=chosen.state == "cold",
        repeats=chosen.repeats, cache_bytes=order.cache_bytes,
    )  # fmt: skip
    n_threads = clock.n_python_threads()
    taken = _take(clock, engine, order)
    call_us = statistics.median(b for pairs in taken.rounds for _, b in pairs)
    judge_after(engine.after_us(), chosen.repeats * call_us)
    judge_speed(call_us, floor)
    judge_process(clock, order.own_file, n_threads)
    notes = [*engine.notes, *taken.notes]
    if pilot.capture_fault is not None:
        notes.append(pilot.capture_fault)
    if engine.n_late > LATE_IS_NORMAL:
        notes.append(f"{engine.n_late} samples were taken again: the host came late")
    return Case(
        name=replay.name,
        method=chosen.method,
        state=chosen.state,
        seed=order.seed,
        rounds=_frozen(taken.rounds),
        control=_frozen(taken.control),
        slowed=_frozen(taken.slowed),
        slowed_by=slowed_by,
        floor_us=floor,
        retaken=tuple(taken.retaken),
        notes=tuple(notes),
    )


def judge_speed(call_us: float, floor: float | None) -> None:
    """Raises `CheatedError` for what cannot have been done in the time."""
    if floor is not None and call_us < floor:
        raise CheatedError(
            "faster than the memory",
            f"a call takes {call_us:.2f} us, but reading and writing what it must takes at least "
            f"{floor:.2f} us on the fastest device of this architecture",
        )


def judge_process(clock: Clock, own_file: str, n_threads: int) -> None:
    """Raises `CheatedError` for replaced functions and for threads that were left behind."""
    patched = clock.patched(own_file)
    if patched is not None:
        raise CheatedError("patched clock or comparison", f"{patched} was replaced")
    more = clock.n_python_threads() - n_threads
    if more > 0:
        raise CheatedError(
            "work after the clock",
            f"{more} more Python thread(s) run after timing than before it",
        )


def _take(clock: Clock, engine: Engine, order: Order) -> Taken:
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
            engine, watch, seed=order.seed, n_rounds=order.n_rounds, n_pairs=order.n_pairs
        )
    finally:
        gc.enable()


def _frozen(rounds: list[schedule.Pairs]) -> tuple[tuple[tuple[float, float], ...], ...]:
    return tuple(map(tuple, rounds))
