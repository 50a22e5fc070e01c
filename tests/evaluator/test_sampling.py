"""Samples on a scripted device: what is planned, what is checked, which tricks are caught.

The device runs launches on CPU tensors and says what they cost. A graph holds the launches
that were made while it was captured, and replays those: as on a real device, a launcher's
Python runs once, and memory stays where it was.
"""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch

from whet_evaluator.worker.checks import CheatedError, DiffersError, UnsteadyError
from whet_evaluator.worker.clock import Clock, Reading
from whet_evaluator.worker.measure import Order, Together, measure
from whet_evaluator.worker.plans import Pilot, plan
from whet_evaluator.worker.records import Case
from whet_evaluator.worker.replay import Replay

N = 1000
torch.set_num_threads(1)  # as many would wait for each other on a busy machine


class Device(Clock):
    """`launch_us` is what the host needs for a launch."""

    def __init__(self, launch_us: float = 1.0) -> None:
        super().__init__(torch)
        self.empty = on_cpu
        self.launch_us = launch_us
        self.spent_us = 0.0
        self.after_us = self.after_now = 5.0
        self.n_launches = 0
        self.waits: list[float] = []
        self.late_below_us = 0.0
        self.capture_error: str | None = None
        self._capturing: list[Callable[[], object]] | None = None
        self.is_asynchronous = True
        self.memory_bytes = 1 << 30
        self.empty_us = 1.0

    def launch(self, work: Callable[[], object], us: float = 10.0) -> None:
        def run() -> None:
            work()
            self.spent_us += us

        self.n_launches += 1
        if self._capturing is not None:
            self._capturing.append(run)
        else:
            run()

    def synchronize(self) -> None: ...

    def free_bytes(self) -> int:
        return self.memory_bytes

    def busy(self, seconds: float, calls: Callable[[], None]) -> None:
        calls()

    def beside(self, calls: Callable[[], None]) -> None:
        calls()

    def host_us(self, calls: Callable[[], None]) -> float:
        before = self.n_launches
        calls()
        return (self.n_launches - before) * self.launch_us

    def timed(self, calls: Callable[[], None], *, wait_us: float, extra_us: float = 0.0) -> Reading:
        self.waits.append(wait_us)
        before, self.after_now = self.spent_us, self.after_us
        calls()
        us = 2.0 + self.spent_us - before + extra_us
        return Reading(us, late=wait_us < self.late_below_us, after_us=self.after_now)

    def capture(self, calls: Callable[[], None]) -> Any:
        if self.capture_error:
            raise RuntimeError(self.capture_error)
        self._capturing = []
        try:
            calls()
            return Graph(self._capturing)
        finally:
            self._capturing = None


def on_cpu(*size: int, device: Any = None, **more: Any) -> torch.Tensor:
    return torch.empty(*size, **more)


class Graph:
    def __init__(self, launches: list[Callable[[], object]]) -> None:
        self._launches = launches

    def replay(self) -> None:
        for launch in self._launches:
            launch()


Run = Callable[[Any], list[Any]]


def double(device: Device, us: float = 10.0) -> Run:
    """A launcher as users write them: `torch.empty_like`, then one launch."""

    def run(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        out = torch.empty_like(x)
        device.launch(lambda: torch.mul(x, 2, out=out), us)
        return [out]

    return run


def time(
    device: Device, candidate: Run, original: Run | None = None, *, n: int = N, rounds: int = 3
) -> Case:
    def make(seed: int) -> Any:
        return [[torch.randn(n, generator=torch.Generator().manual_seed(seed))], {}]

    replay = Replay("double", 4 * n, make, original or double(device), candidate)
    order = Order(
        seed=3, n_rounds=rounds, n_pairs=4, arch="sm_90", cache_bytes=1 << 20,
        own_file=__file__, on_round=lambda _done, _total: None, disturbance=lambda: None,
        may_go_on=lambda _seconds: False,
    )  # fmt: skip
    return measure(device, Together(device, replay, order), order)


BOTH = pytest.mark.parametrize("launch_us", [1.0, 50.0], ids=["events", "graph"])


@pytest.mark.parametrize(("launch_us", "method"), [(1.0, "events"), (50.0, "graph")])
def test_an_honest_candidate_is_timed(launch_us: float, method: str) -> None:
    device = Device(launch_us)
    case = time(device, double(device, us=5.0))
    assert case.method == method
    assert case.state == "warm"
    assert case.notes == ()
    for pairs in case.rounds:
        for original, candidate in pairs:
            # Two microseconds of events are shared by the calls of a sample of 50 or more.
            assert 10.0 < original <= 10.0 + 2 / 5
            assert 5.0 < candidate <= 5.0 + 2 / 5
    assert all(a == b for pairs in case.control for a, b in pairs)
    slowdowns = {round(b / a, 6) for pairs in case.slowed for a, b in pairs}
    assert slowdowns == {1.05}
    assert case.slowed_by == 0.05


@pytest.mark.parametrize(
    ("case", "wanted"),
    [
        # 50 us at least, twice as many sets as calls: no two samples in a row share one.
        (Pilot(10.0, 1.0, 1.0, 4000, 1 << 30, None), ("events", "warm", 6, 12)),
        (Pilot(10.0, 9.0, 1.0, 4000, 1 << 30, None), ("graph", "warm", 6, 12)),
        (Pilot(10.0, 9.0, 1.0, 4000, 1 << 30, "no graph"), ("events", "warm", 6, 12)),
        # Twenty times what a pair of events costs.
        (Pilot(10.0, 1.0, 10.0, 4000, 1 << 30, None), ("events", "warm", 21, 42)),
        # Sets that exceed a cache of 50 MiB twice.
        (Pilot(40.0, 1.0, 1.0, 8 << 20, 1 << 40, None), ("events", "cold", 2, 14)),
        (Pilot(900.0, 1.0, 1.0, 1 << 30, 1 << 40, None), ("events", "cold", 1, 2)),
        # Memory for four sets only: less than twice the cache.
        (Pilot(40.0, 1.0, 1.0, 8 << 20, 96 << 20, None), ("events", "warm", 2, 4)),
        # A host so slow that no wait could hide more calls.
        (Pilot(1.0, 2000.0, 1.0, 4000, 1 << 30, "no graph"), ("events", "warm", 2, 4)),
        (Pilot(0.01, 9.0, 1.0, 4000, 1 << 30, None), ("graph", "warm", 251, 502)),
    ],
)
def test_plans(case: Pilot, wanted: tuple[str, str, int, int]) -> None:
    chosen = plan([case], 50 << 20)
    assert (chosen.method, chosen.state, chosen.repeats, chosen.n_sets) == wanted


def test_one_plan_suits_all_processes() -> None:
    slow = Pilot(40.0, 1.0, 1.0, 4000, 1 << 30, None)
    fast = dataclasses.replace(slow, per_call_us=5.0, host_us=9.0)
    assert plan([slow, fast], 1 << 20).method == "graph"
    assert plan([slow, fast], 1 << 20).repeats == 11
    unable = dataclasses.replace(slow, capture_fault="no device graph: it waits")
    assert plan([unable, fast], 1 << 20).method == "events"


# ---- tricks ---------------------------------------------------------------------------


def keeping(device: Device, key: Callable[[Any], Any]) -> Run:
    """Computes once for each key and returns what it has from then on."""
    kept: dict[Any, Any] = {}

    def run(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        if key(x) not in kept:
            kept[key(x)] = double(device)(inputs)
        return kept[key(x)]

    return run


@BOTH
@pytest.mark.parametrize(
    "key",
    [
        lambda x: x.data_ptr(), lambda x: (x.data_ptr(), x._version), id, lambda x: (id(x), x._version),
        lambda x: x.shape,
    ],
    ids=["pointer", "pointer and version", "object", "object and version", "shape"],
)  # fmt: skip
def test_results_kept_from_earlier_calls_are_noticed(launch_us: float, key: Any) -> None:
    device = Device(launch_us)
    with pytest.raises(DiffersError, match="output 0 differs"):
        time(device, keeping(device, key))


@BOTH
def test_a_tail_left_to_stale_memory_is_noticed(launch_us: float) -> None:
    device = Device(launch_us)

    def tailless(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        out = torch.empty_like(x)
        device.launch(lambda: torch.mul(x[:-8], 2, out=out[:-8]))
        return [out]

    with pytest.raises(DiffersError, match=r"output 0 differs in 0\.8 %"):
        time(device, tailless)


@BOTH
def test_changed_inputs_are_noticed(launch_us: float) -> None:
    device = Device(launch_us)

    def scribbling(inputs: Any) -> list[Any]:
        x, made = inputs[0][0], double(device)(inputs)
        device.launch(x.zero_)
        return made

    with pytest.raises(DiffersError, match="output 1 differs"):
        time(device, scribbling)


def test_idling_after_the_first_calls_is_noticed() -> None:
    device, calls = Device(), [0]

    def tired(inputs: Any) -> list[Any]:
        calls[0] += 1
        return double(device)(inputs) if calls[0] < 90 else [torch.empty_like(inputs[0][0])]

    with pytest.raises(DiffersError):
        time(device, tired)
    assert calls[0] >= 90


def test_a_tensor_that_computes_when_looked_at_is_noticed() -> None:
    class Lazy(torch.Tensor):
        pass

    device = Device()
    with pytest.raises(DiffersError, match="a Lazy instead of a Tensor"):
        time(device, lambda inputs: [double(device)(inputs)[0].as_subclass(Lazy)])


def test_work_that_outlives_the_clock_is_noticed() -> None:
    device = Device()

    def elsewhere(inputs: Any) -> list[Any]:
        made = double(device, us=1.0)(inputs)
        device.after_now += 9.0  # on a stream that nothing waits for
        return made

    with pytest.raises(CheatedError) as caught:
        time(device, elsewhere)
    assert caught.value.reason == "work after the clock"
    assert "another stream" in caught.value.detail


def test_a_thread_left_behind_is_noticed() -> None:
    device, done = Device(), threading.Event()
    threads: list[threading.Thread] = []

    def threaded(inputs: Any) -> list[Any]:
        if len(device.waits) > 60 and not threads:
            threads.append(threading.Thread(target=done.wait, daemon=True))
            threads[0].start()
        return double(device)(inputs)

    try:
        with pytest.raises(CheatedError, match="work after the clock"):
            time(device, threaded)
    finally:
        done.set()
        threads[0].join()


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    was = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, was)


@pytest.mark.parametrize(
    ("owner", "name", "said"),
    [
        (torch.cuda, "Event", "torch.cuda.Event"),
        (torch.cuda.Event, "elapsed_time", "torch.cuda.Event.elapsed_time"),
        (torch.cuda, "synchronize", "torch.cuda.synchronize"),
        (torch, "isclose", "torch.isclose"),
        (torch, "allclose", "torch.allclose"),
    ],
)
def test_a_replaced_function_is_noticed(owner: Any, name: str, said: str) -> None:
    device = Device()
    with replaced(owner, name, lambda *_, **__: 0.0), pytest.raises(CheatedError) as caught:
        time(device, double(device))
    assert caught.value.reason == "patched clock or comparison"
    assert said in caught.value.detail


def test_swapped_code_of_a_function_is_noticed() -> None:
    device = Device()
    function = torch.cuda.Event.elapsed_time

    code = function.__code__.replace(co_name="swapped", co_filename=__file__)
    with replaced(function, "__code__", code), pytest.raises(CheatedError, match="patched clock"):
        time(device, double(device))
    assert time(device, double(device)).method == "events"


def test_faster_than_the_memory_is_no_speed() -> None:
    """Four megabytes read and as many written take an H200 more than a microsecond."""
    device, n = Device(), 1 << 20
    device.memory_bytes = 64 << 20
    honest = time(device, double(device), n=n, rounds=2)
    assert honest.state == "cold"
    assert honest.floor_us is not None
    assert 1.0 < honest.floor_us < 2.0
    with pytest.raises(CheatedError) as caught:
        time(device, double(device, us=0.1), n=n, rounds=2)
    assert caught.value.reason == "faster than the memory"


def test_what_is_not_read_has_no_floor() -> None:
    device, n = Device(), 1 << 20
    device.memory_bytes = 64 << 20

    def first_half(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        out = torch.empty(8)
        device.launch(lambda: torch.mul(x[: n // 2].view(8, -1).sum(1), 2, out=out))
        return [out]

    case = time(device, first_half, first_half, n=n, rounds=2)
    assert case.floor_us == 0.0


# ---- awkward and honest ---------------------------------------------------------------


def drawn_by_torch() -> int:
    return int(torch.randint(0, 1 << 30, (1,)))


def noisy(device: Device, share: float = 1.0, draw: Callable[[], int] = drawn_by_torch) -> Run:
    """A launcher that draws a seed of its own for each call."""

    def run(inputs: Any) -> list[Any]:
        x, out = inputs[0][0], torch.empty_like(inputs[0][0])
        generator = torch.Generator().manual_seed(draw())
        kept = int(share * len(x))
        drawn = torch.rand(x.shape, generator=generator)
        device.launch(lambda: torch.mul(x[:kept], drawn[:kept], out=out[:kept]))
        return [out]

    return run


@BOTH
def test_numbers_that_a_launcher_draws_itself_are_drawn_alike(launch_us: float) -> None:
    device = Device(launch_us)
    case = time(device, noisy(device), noisy(device))
    (note,) = case.notes
    assert "draws numbers of its own" in note
    with pytest.raises(DiffersError, match=r"output 0 (differs|is of another kind)"):
        time(device, noisy(device, share=0.5), noisy(device))


class Capturing(Device):
    """Says, as torch does, whether a graph is being captured."""

    @property
    def is_capturing(self) -> bool:
        return self._capturing is not None


def test_drawn_numbers_are_looked_at_under_the_clock_too() -> None:
    """A graph that copies, where each call beside the clock draws as it should."""
    device = Capturing(launch_us=50.0)
    honest = noisy(device)

    def copying(inputs: Any) -> list[Any]:
        if not device.is_capturing:
            return honest(inputs)
        x, out = inputs[0][0], torch.empty_like(inputs[0][0])
        device.launch(lambda: out.copy_(x))
        return [out]

    with pytest.raises(DiffersError, match="another kind: size"):
        time(device, copying, noisy(device))


def drawn_by_numpy() -> int:
    return int(np.random.rand() * 1e9)  # noqa: NPY002 - as users' launchers do


@pytest.mark.parametrize("draw", [lambda: random.randrange(1 << 30), drawn_by_numpy])
def test_seeds_of_other_generators_are_set_as_well(draw: Callable[[], int]) -> None:
    device = Device()
    assert len(time(device, noisy(device, draw=draw), noisy(device, draw=draw)).notes) == 1


def test_an_original_that_is_never_the_same_is_no_fault_of_the_candidate() -> None:
    device, secret = Device(), random.SystemRandom()
    unsteady = noisy(device, draw=lambda: secret.randrange(1 << 30))
    with pytest.raises(UnsteadyError, match="do not make equal outputs"):
        time(device, unsteady, unsteady)


def quantised(device: Device, n_off: int, by: int = 1) -> Run:
    def run(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        out = torch.empty_like(x, dtype=torch.int8)

        def work() -> None:
            out.copy_((x * 20).round())
            out[:n_off] += by

        device.launch(work)
        return [out]

    return run


@BOTH
def test_a_quantised_value_half_way_between_two_may_fall_either_way(launch_us: float) -> None:
    device = Device(launch_us)
    assert time(device, quantised(device, 1), quantised(device, 0)).notes == ()
    for n_off, by in ((2, 1), (1, 2)):
        with pytest.raises(DiffersError, match="output 0 differs"):
            time(device, quantised(device, n_off, by), quantised(device, 0))


# ---- a difficult device ---------------------------------------------------------------


def test_a_reading_that_began_too_early_is_taken_again_behind_a_longer_wait() -> None:
    device = Device(launch_us=2.0)
    device.late_below_us = 80.0
    case = time(device, double(device))
    assert case.method == "events"
    assert device.waits[0] < 80.0 <= device.waits[-1]
    assert len(device.waits) > 3 * 2 * (4 + 2 + 1), "late readings count for nothing"
    assert len(case.rounds) == 3


def test_a_launcher_that_waits_for_the_device_is_timed_and_said() -> None:
    device = Device()
    device.late_below_us = float("inf")
    case = time(device, double(device))
    assert len(case.rounds) == 3
    assert sum("launcher waits for the device" in note for note in case.notes) == 1


def test_what_cannot_be_captured_is_timed_by_events_and_said() -> None:
    device = Device(launch_us=50.0)
    device.capture_error = "operation not permitted when stream is capturing"
    case = time(device, double(device))
    assert case.method == "events"
    assert any("no device graph: RuntimeError: operation not" in note for note in case.notes)


@BOTH
def test_inputs_changed_in_place_are_restored(launch_us: float) -> None:
    device = Device(launch_us)

    def in_place(inputs: Any) -> list[Any]:
        x = inputs[0][0]
        device.launch(lambda: x.mul_(3))
        return [x]

    assert time(device, in_place, in_place).notes == ()

    def twice(inputs: Any) -> list[Any]:
        in_place(inputs)
        return in_place(inputs)

    with pytest.raises(DiffersError):
        time(device, twice, in_place)
