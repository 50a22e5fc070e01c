"""How a case is sampled, from what a pilot measured. Pure.

A sample is long enough that the clock's own cost does not matter: at least 50 us and twenty
times the cost of a pair of events. When the host cannot queue launches as fast as the device
runs them, every version is captured in a device graph; the method is the same for all of a
case. When so many sets of inputs as fit exceed twice the last-level cache, the state is cold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

MIN_SAMPLE_US = 50.0
EVENT_FACTOR = 20.0
MAX_COLD_SETS = 64
MAX_REPEATS = 256
LAUNCH_BOUND = 0.8
"""Launch-bound: the host takes at least this share of the time per call."""
HOST_SPREAD = 2.0
"""The host's time per call varies, most with autograd: the device waits for twice the mean."""
MAX_WAIT_US = 20_000.0
QUEUE_US = 20.0
"""What the host needs for two events, beside the calls between them."""


@dataclass(frozen=True)
class Pilot:
    """What some versions need: microseconds of device and host per call, bytes of a set."""

    per_call_us: float
    host_us: float
    empty_us: float
    set_bytes: int
    free_bytes: int
    capture_fault: str | None
    """Why there is no device graph, or None where there is one or none is needed."""


@dataclass(frozen=True)
class Plan:
    """How samples are taken, the same for every version of a case."""

    method: Literal["events", "graph"]
    state: Literal["cold", "warm"]
    repeats: int
    n_sets: int
    wait_us: float


def plan(pilots: Sequence[Pilot], cache_bytes: int) -> Plan:
    """The least work that makes good samples of the fastest version."""
    per_call = max(0.2, min(pilot.per_call_us for pilot in pilots))
    host = max(pilot.host_us for pilot in pilots)
    least_us = max(MIN_SAMPLE_US, EVENT_FACTOR * max(pilot.empty_us for pilot in pilots))
    set_bytes = max(1, pilots[0].set_bytes)
    affordable = max(2, min(pilot.free_bytes for pilot in pilots) // 3 // set_bytes)
    graph = host > LAUNCH_BOUND * per_call and all(p.capture_fault is None for p in pilots)
    repeats = min(MAX_REPEATS, int(least_us / per_call) + 1)
    if not graph:
        repeats = min(repeats, max(1, int(MAX_WAIT_US / (2 * HOST_SPREAD * max(host, 1.0)))))
    cold_sets = 2 * cache_bytes // set_bytes + 2
    cold = cold_sets <= min(MAX_COLD_SETS, affordable)
    # Two windows, so that no two samples in a row use the same addresses.
    n_sets = min(affordable, max(2 * repeats, cold_sets if cold else 2))
    return Plan(
        "graph" if graph else "events",
        "cold" if cold else "warm",
        min(repeats, n_sets),
        n_sets,
        0.0 if graph else min(MAX_WAIT_US, HOST_SPREAD * host * repeats + QUEUE_US),
    )
