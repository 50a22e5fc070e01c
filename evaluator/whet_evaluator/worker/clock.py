"""The device's clock, and all of torch that timing relies on: the only place that reads one.

Everything is bound when a `Clock` is made, which is before any code of the user is
imported, so replacing `torch.cuda.Event` or `time.perf_counter` changes nothing here;
`patched` says whether somebody tried. Making one does not touch the device: `open` does.

A reading starts behind a busy wait on the device, so that all its launches are queued
before the first one runs. Whether that succeeded is seen, not assumed: if the start event
is over by the time the host has queued everything, the reading was *late* and holds the
host's time too. After the end event the whole device is waited for: what still runs then,
on whatever stream, was work that the clock did not see.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_CALIBRATION_CYCLES = 400_000
_LEAST_US_PER_CALIBRATION = 20.0
"""No device does that many cycles sooner; what does is no device but a stand-in."""
_FILLER_BYTES = 64 << 20
IDLE_S = 0.2
"""Taken for too short a time for a device to lower its clocks."""


@dataclass(frozen=True)
class Reading:
    """`us` between the events; `after_us` that the host then waited for the whole device."""

    us: float
    late: bool
    after_us: float


class Clock:
    def __init__(self, torch: Any) -> None:
        cuda = torch.cuda
        self.torch = torch
        self._event = cuda.Event
        self._record = cuda.Event.record
        self._elapsed = cuda.Event.elapsed_time
        self._wait_event = cuda.Event.synchronize
        self._query = cuda.Event.query
        self._synchronize = cuda.synchronize
        self._memory = cuda.mem_get_info
        self._sleep = getattr(cuda, "_sleep", None)
        self._graph = cuda.CUDAGraph
        self._stream = cuda.Stream
        self._on_stream = cuda.stream
        self._now = time.perf_counter
        self._frames = sys._current_frames
        self.copy_all = getattr(torch, "_foreach_copy_", None) or _copy_one_by_one
        self.empty, self.empty_like, self.total = torch.empty, torch.empty_like, torch.sum
        self.equal, self.isclose, self.isfinite = torch.equal, torch.isclose, torch.isfinite
        self._save, self._load = torch.save, torch.load
        self._bound = _Bound(torch)
        self._us_per_cycle = 0.0
        self._read_at = float("-inf")
        self._filler: Any = None
        self._side: Any = None
        self._pool: Any = None
        self._anchor: Any = None
        self._failed: list[Any] = []
        self.is_asynchronous = False
        """Whether launches are queued at all; on an interpreter they run as they are called."""
        self.empty_us = 0.0
        """What two events with nothing between them read."""

    def open(self) -> None:
        """Touches the device: calibrates the busy wait and measures the events' own cost."""
        cycles = _CALIBRATION_CYCLES
        if self._sleep is None:
            self._filler = self.empty(_FILLER_BYTES, dtype=self.torch.uint8, device="cuda")
            cycles = 20
        for _ in range(3):
            us = self._plain(lambda: self._spin(cycles))
        self.is_asynchronous = us > _LEAST_US_PER_CALIBRATION
        self._us_per_cycle = us / cycles
        self.empty_us = statistics.median(self._plain(lambda: None) for _ in range(20))

    def timed(self, calls: Callable[[], None], *, wait_us: float, extra_us: float = 0.0) -> Reading:
        """Reads what `calls` queues, behind `wait_us` of waiting on the device. `extra_us` of
        busy device come on top, inside the reading: ahead of the calls, since with anything queued
        behind a device graph up to one reading in seven came out 6 to 15 % short (H200)."""
        start, end = self._event(enable_timing=True), self._event(enable_timing=True)
        self._delay(wait_us)
        self._record(start)
        self._delay(extra_us)
        calls()
        self._record(end)
        late = self.is_asynchronous and self._query(start)
        self._wait_event(end)
        ended = self._now()
        self.synchronize()
        self._read_at = self._now()
        after_us = (self._read_at - ended) * 1e6
        return Reading(float(self._elapsed(start, end)) * 1e3, bool(late), after_us)

    def host_us(self, calls: Callable[[], None]) -> float:
        """What queueing `calls` costs the host, the device kept out of it as far as it goes."""
        self.synchronize()
        began = self._now()
        calls()
        elapsed = self._now() - began
        self.synchronize()
        return elapsed * 1e6

    def synchronize(self) -> None:
        """Waits for the whole device."""
        self._synchronize()

    def free_bytes(self) -> int:
        """Of the device's memory."""
        return int(self._memory()[0])

    def now(self) -> float:
        """Seconds of the host's clock."""
        return self._now()

    def warm_up(self, seconds: float, calls: Callable[[], None]) -> None:
        """Repeats `calls` for so long, unless a reading was taken just now: an idle device clocks
        down."""
        if self._now() - self._read_at < IDLE_S:
            return
        end = self._now() + seconds
        while self._now() < end:
            calls()
            self.synchronize()

    def beside(self, calls: Callable[[], None]) -> None:
        """Runs `calls` once on the stream that graphs are captured on, which libraries and
        autograd set up at first use and could not while capturing."""
        self.synchronize()
        with self._on_stream(self._capture_stream()):
            calls()
        self.synchronize()

    def capture(self, calls: Callable[[], None]) -> Any:
        """A device graph of `calls`. Raises whatever torch does if they cannot be captured.

        `torch.cuda.graph` would empty the allocator's cache at every capture, which costs
        more than the samples between two. All graphs share one pool and one stream, so that
        memory which one capture gave back serves the next.
        """
        if self._anchor is None:
            self._pool = self.torch.cuda.graph_pool_handle()
            self._anchor = self._captured(
                lambda: self.empty(1, dtype=self.torch.uint8, device="cuda").fill_(1)
            )  # a pool lives as long as some graph of it
        return self._captured(calls)

    def save(self, tensors: list[list[Any]], path: str) -> None:
        """Writes tensors for another process."""
        self._save(tensors, path)

    def load(self, path: str) -> list[list[Any]]:
        """Reads what `save` wrote, onto the devices the tensors came from."""
        return self._load(path, weights_only=True)  # type: ignore[no-any-return]

    def n_python_threads(self) -> int:
        return len(self._frames())

    def patched(self, own_file: str) -> str | None:
        """What was replaced, by code that is not an installed package's, or None."""
        return self._bound.patched(own_file)

    def _captured(self, calls: Callable[[], object]) -> Any:
        self.synchronize()
        with self._on_stream(self._capture_stream()):
            graph = self._graph()
            graph.capture_begin(pool=self._pool)
            try:
                calls()
            except BaseException:
                self._failed.append(graph)  # torch's allocator may still ask it which stream
                with contextlib.suppress(Exception):
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph

    def _capture_stream(self) -> Any:
        if self._side is None:
            self._side = self._stream()
        return self._side

    def _delay(self, us: float) -> None:
        if us > 0 and self._us_per_cycle > 0 and self.is_asynchronous:
            self._spin(int(us / self._us_per_cycle) + 1)

    def _spin(self, cycles: int) -> None:
        if self._sleep is not None:
            self._sleep(cycles)
            return
        for _ in range(cycles):
            self._filler.fill_(0)

    def _plain(self, calls: Callable[[], None]) -> float:
        start, end = self._event(enable_timing=True), self._event(enable_timing=True)
        self._record(start)
        calls()
        self._record(end)
        self._wait_event(end)
        return float(self._elapsed(start, end)) * 1e3


class _Bound:
    """What the functions were that measuring and comparing rely on."""

    def __init__(self, torch: Any) -> None:
        cuda, tensor = torch.cuda, torch.Tensor
        named: list[tuple[str, Any, str]] = [
            *(("torch.cuda", cuda, name) for name in _CUDA),
            *(("torch.cuda.Event", cuda.Event, name) for name in _EVENT),
            *(("torch", torch, name) for name in _TORCH),
            *(("torch.Tensor", tensor, name) for name in _TENSOR),
            *(("time", time, name) for name in ("perf_counter", "perf_counter_ns", "time")),
        ]
        self._was = [
            (f"{where}.{name}", owner, name, getattr(owner, name), _code(getattr(owner, name)))
            for where, owner, name in named
            if hasattr(owner, name)
        ]

    def patched(self, own_file: str) -> str | None:
        for full_name, owner, name, value, code in self._was:
            now = getattr(owner, name, None)
            changed = now is not value or _code(now) is not code
            if changed and not _is_installed(now, own_file):
                return full_name
        return None


_CUDA = ("Event", "Stream", "CUDAGraph", "synchronize", "_sleep", "stream", "current_stream")
_EVENT = ("record", "elapsed_time", "synchronize", "query")
_TORCH = ("equal", "isclose", "allclose", "isfinite", "empty", "empty_like", "_foreach_copy_")
_TENSOR = ("copy_", "clone", "detach", "double", "view", "fill_", "all", "mean", "abs", "set_")


def _code(value: Any) -> Any:
    return getattr(value, "__code__", None)


def _is_installed(value: Any, own_file: str) -> bool:
    """Whether a library put it there, which many a profiler and compiler does honestly."""
    code = _code(value)
    path = os.path.realpath(code.co_filename) if code is not None else ""
    return f"{os.sep}site-packages{os.sep}" in path and path != os.path.realpath(own_file)


def _copy_one_by_one(into: list[Any], values: list[Any]) -> None:
    for tensor, value in zip(into, values):
        tensor.copy_(value)
