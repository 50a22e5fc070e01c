"""Takes paired samples of two versions on one device: the only place with a clock.

A sample is long enough that the clock's own cost does not matter: at least 50 us and
twenty times the measured cost of a pair of events. It starts behind a short busy wait on
the device, so that all its launches are queued before the first one runs. When the host
cannot queue launches as fast as the device runs them, both versions are captured in a
device graph instead; the method is the same for both and recorded.

Inputs rotate. When all sets together exceed twice the last-level cache, every use of a
set finds the cache filled by others: *cold*. Otherwise the state is *warm*, and said so.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .replay import Replay, outputs

MIN_SAMPLE_US = 50.0
EVENT_FACTOR = 20.0
MAX_SETS = 64
MAX_SETS_IN_PLACE = 32
MAX_REPEATS = 256
LAUNCH_BOUND = 0.8
"""Launch-bound: the host takes at least this share of the time per call."""
HOST_SPREAD = 2.0
"""The host's time per call varies, most with autograd: the device waits for twice the mean."""
MAX_WAIT_US = 10_000.0
QUEUE_US = 20.0
"""What the host needs for two events, beside the calls between them."""
Run = Callable[[Any], "list[Any]"]


class DiffersError(Exception):
    """The versions' outputs differ on the timed inputs; `str()` says by how much."""


@dataclass
class Samples:
    """`rounds[r][p]` is `(original_us, candidate_us)`; see `records.Case`."""

    method: str
    state: str
    rounds: list[list[tuple[float, float]]]
    control: list[list[tuple[float, float]]]


def take(
    torch: Any,
    replay: Replay,
    *,
    seed: int,
    n_rounds: int,
    n_pairs: int,
    cache_bytes: int,
    on_round: Callable[[int], None],
) -> Samples:
    """Warm-up, pilot, rounds, then the original against itself. Raises `DiffersError`."""
    bench = _Bench(torch, replay, seed, cache_bytes)
    bench.prepare()
    order = random.Random(seed)
    rounds = []
    for number in range(n_rounds):
        on_round(number)
        checked = order.randrange(n_pairs)
        rounds.append([bench.pair(order, 0, 1, check=p == checked) for p in range(n_pairs)])
    control = [[bench.pair(order, 0, 2) for _ in range(n_pairs)] for _ in range(n_rounds)]
    return Samples(bench.method, bench.state, rounds, control)


class _Bench:
    """Versions 0 and 2 are the original (2 for the control), 1 is the candidate."""

    def __init__(self, torch: Any, replay: Replay, seed: int, cache_bytes: int) -> None:
        self._torch = torch
        self._runs: Sequence[Run] = (replay.original, replay.candidate, replay.original)
        self._replay = replay
        self._seed = seed
        self._cache_bytes = cache_bytes
        self._at = 0
        self._latest: tuple[int, list[Any]] = (0, [])
        self._graphs: list[Any] = []
        self._captured: list[list[Any]] = []
        self._made_like: list[Any] = []
        self._sets: list[Any] = []
        self._repeats = 1
        self._wait_us = 0.0
        self._in_place = False
        self.method = "events"
        self.state = "warm"

    # ---- before the clock -------------------------------------------------------------

    def prepare(self) -> None:
        """Compiles, tunes, finds out what is changed in place, and chooses the method."""
        for run in self._runs:
            run(self._replay.make(self._seed))
        self._torch.cuda.synchronize()
        inputs = self._replay.make(self._seed)
        before = [tensor.detach().clone() for tensor in outputs(_values(inputs))]
        self._runs[0](inputs)
        after = outputs(_values(inputs))
        same = [_equal(self._torch, a, b) for a, b in zip(before, after)]
        self._in_place = not all(same)
        self._make_sets(sum(tensor.nbytes for tensor in before))
        self._expect()
        self._pilot()

    def _make_sets(self, set_bytes: int) -> None:
        """Rotating sets of inputs: over twice the cache if that takes no more than 64."""
        free, _ = self._torch.cuda.mem_get_info()
        wanted = 2 * self._cache_bytes // max(1, set_bytes) + 2
        affordable = max(2, int(free // 8 // max(1, 2 * set_bytes)))
        n_sets = min(wanted, MAX_SETS, affordable)
        if n_sets == wanted and not self._in_place:
            self.state = "cold"
        n_sets = n_sets if self.state == "cold" else min(n_sets, 8)
        if self._in_place:
            n_sets = min(MAX_SETS_IN_PLACE, affordable)
        self._sets = [self._replay.make(self._seed + i) for i in range(n_sets)]
        self._pristine = [
            [t.detach().clone() for t in outputs(_values(s))] if self._in_place else []
            for s in self._sets
        ]

    def _expect(self) -> None:
        """What the original makes of each set, before anything is timed."""
        self._expected = []
        for inputs in self._sets:
            made = self._runs[0](inputs)
            self._made_like = [t.detach().clone() for t in made]
            self._expected.append([t.detach().clone() for t in self._visible(made, inputs)])
        self._restore()

    def _visible(self, made: list[Any], inputs: Any) -> list[Any]:
        """All that a call leaves behind: what it returned and what it changed."""
        return [*made, *(outputs(_values(inputs)) if self._in_place else [])]

    def _restore(self) -> None:
        for inputs, pristine in zip(self._sets, self._pristine):
            for tensor, value in zip(outputs(_values(inputs)), pristine):
                tensor.detach().copy_(value)

    def _pilot(self) -> None:
        """Chooses repeats for a sample and the method, equal for both versions."""
        empty = [self._timed(lambda: None) for _ in range(20)]
        least_us = max(MIN_SAMPLE_US, EVENT_FACTOR * statistics.median(empty))
        host_us = max(self._host_us(v) for v in (0, 1))
        self._repeats = 8 if not self._in_place else min(8, len(self._sets))
        self._wait_us = host_us * self._repeats
        per_call = min(statistics.median(self._sample(v) for _ in range(5)) for v in (0, 1))
        if host_us > LAUNCH_BOUND * per_call:
            self.method = "graph"
        limit = len(self._sets) if self._in_place else MAX_REPEATS
        self._repeats = max(1, min(limit, int(least_us / max(per_call, 0.2)) + 1))
        if self.state == "cold" and self.method == "graph":
            self._repeats = max(self._repeats, len(self._sets))
        self._wait_us = min(MAX_WAIT_US, HOST_SPREAD * host_us * self._repeats)
        if self.method == "graph" and not self._capture():
            self.method = "events"
        if self._graphs:
            self._wait_us = self._replay_us()

    def _host_us(self, version: int) -> float:
        """What one call costs the host, the device kept out of it."""
        self._torch.cuda.synchronize()
        started = time.perf_counter()
        for inputs in self._sets[:8]:
            self._runs[version](inputs)
        elapsed = time.perf_counter() - started
        self._torch.cuda.synchronize()
        self._restore()
        return elapsed / len(self._sets[:8]) * 1e6

    def _replay_us(self) -> float:
        """What launching a graph costs the host. Unhidden, it would be part of every sample:
        a larger part of a fast version's than of a slow one's, and it varies."""
        longest = 0.0
        for graph in self._graphs * 3:
            self._torch.cuda.synchronize()
            started = time.perf_counter()
            graph.replay()
            longest = max(longest, (time.perf_counter() - started) * 1e6)
        self._torch.cuda.synchronize()
        self._restore()
        return min(500.0, longest)

    def _capture(self) -> bool:
        """A graph per version with one sample's calls. False if one cannot be captured."""
        self._graphs, self._captured = [], []
        try:
            for run in self._runs[:2]:
                graph = self._torch.cuda.CUDAGraph()
                with self._torch.cuda.graph(graph):
                    for i in range(self._repeats):
                        last = run(self._sets[i % len(self._sets)])
                self._graphs.append(graph)
                self._captured.append(last)
        except Exception:
            self._torch.cuda.synchronize()
            self._graphs = []
            self._restore()
            return False
        self._graphs.append(self._graphs[0])
        self._captured.append(self._captured[0])
        return True

    # ---- under the clock --------------------------------------------------------------

    def pair(
        self, order: random.Random, first: int, second: int, *, check: bool = False
    ) -> tuple[float, float]:
        """One sample of each, in random order; microseconds a call. `check` compares what
        each leaves behind, after its clock has stopped: which pair is not foreseeable."""
        taken = {}
        for version in order.sample((first, second), 2):
            taken[version] = self._sample(version)
            if check:
                self._check()
        return taken[first], taken[second]

    def _sample(self, version: int) -> float:
        if self._in_place:
            self._restore()
        self._poison(version)
        if self._graphs:
            total = self._timed(self._graphs[version].replay)
            self._latest = (self._repeats - 1) % len(self._sets), self._captured[version]
            return total / self._repeats
        run, made, start = self._runs[version], [], self._at
        window = [self._sets[(start + i) % len(self._sets)] for i in range(self._repeats)]

        def calls() -> None:
            nonlocal made
            for inputs in window:
                made = run(inputs)

        total = self._timed(calls)
        self._at = (start + self._repeats) % len(self._sets)
        self._latest = (start + self._repeats - 1) % len(self._sets), made
        return total / self._repeats

    def _poison(self, version: int) -> None:
        """Memory that a launcher gets for its outputs must not hold right answers already:
        `torch.empty` returns what was freed last, and a skipped tail would look computed."""
        inputs = {t.untyped_storage().data_ptr() for s in self._sets for t in outputs(_values(s))}
        if self._graphs:
            own = self._captured[version]
        else:
            self._latest = (0, [])  # frees the outputs of the sample before
            own = [self._torch.empty_like(t) for t in (*self._made_like, *self._made_like)]
        for tensor in own:
            if tensor.untyped_storage().data_ptr() not in inputs:
                self._torch.empty(0, dtype=self._torch.uint8, device=tensor.device).set_(
                    tensor.untyped_storage()
                ).fill_(0xFF)

    def _timed(self, calls: Callable[[], None]) -> float:
        """Microseconds of the device between two events around what `calls` queues."""
        cuda = self._torch.cuda
        start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        if self._wait_us:
            # In cycles, at about 2 GHz; a little too long is harmless.
            cuda._sleep(int((self._wait_us + QUEUE_US) * 2000))
        start.record()
        calls()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e3

    # ---- after the clock --------------------------------------------------------------

    def _check(self) -> None:
        """Compares what the last timed sample left behind with the original's outputs."""
        number, made = self._latest
        visible = self._visible(made, self._sets[number])
        for i, (got, want) in enumerate(zip(visible, self._expected[number])):
            _compare(self._torch, i, got, want)


def _values(inputs: Any) -> Any:
    return list(inputs.values()) if isinstance(inputs, dict) else inputs


def _equal(torch: Any, a: Any, b: Any) -> bool:
    return a.shape == b.shape and bool(
        torch.equal(a.contiguous().view(torch.uint8), b.detach().contiguous().view(torch.uint8))
    )


def _compare(torch: Any, number: int, got: Any, want: Any) -> None:
    """Loose on purpose: rounding is the tests' business, a skipped computation is ours."""
    if got.shape != want.shape or got.dtype != want.dtype:
        raise DiffersError(
            f"output {number} is {got.dtype}{list(got.shape)} instead of "
            f"{want.dtype}{list(want.shape)}"
        )
    if not want.numel():
        return
    exact = not want.dtype.is_floating_point
    a, b = got.detach().double(), want.double()
    coarse = want.dtype.is_floating_point and want.dtype.itemsize <= 2
    tolerance = 0.0 if exact else (0.05 if coarse else 0.01)
    finite = torch.isfinite(b)
    scale = float(b[finite].abs().mean()) if bool(finite.any()) else 0.0
    close = torch.isclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    if not bool(close.all()):
        share = 100.0 * float((~close).double().mean())
        raise DiffersError(f"output {number} differs in {share:.3g} % of its elements")
