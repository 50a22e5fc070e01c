"""Takes samples of versions on one device, by the clock it is given.

Device graphs are captured anew for each round, in an order drawn for it: which version gets
which memory is chance, so an address that happens to be fast is noise that the interval
sees, not a bias that it does not. Inputs rotate (`rotation`). In the *cold* state twice as
much memory as the last-level cache holds is read before each sample, and each call has
inputs of its own.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from .checks import UnsteadyError, apart, differs, left_behind
from .clock import Clock
from .integrity import Check, unwatched
from .physics import Compulsory, compulsory
from .plans import HOST_SPREAD, LAUNCH_BOUND, MAX_WAIT_US, QUEUE_US, Pilot, Plan
from .replay import Replay
from .rotation import MAX_DRAWINGS, Rotation, flat
from .sampled_version import Run, SampledVersion
from .schedule import Turn

MAX_LATE = 6
SLOWED_BY = 0.05
WARM_UP_S = 0.05


class Engine:
    """Samples `runs`, versions by number, of which this process may have all or some."""

    def __init__(
        self,
        clock: Clock,
        replay: Replay,
        runs: dict[int, Run],
        *,
        seed: int,
        cache_bytes: int,
        most_drawings: int = MAX_DRAWINGS,
        check: Check = unwatched,
    ) -> None:
        """`check` ends the process where a version has tampered with what reads the clock."""
        self._clock = clock
        self._versions = {number: SampledVersion(run) for number, run in runs.items()}
        self._rotation = Rotation(clock, replay, seed, most_drawings)
        self._cache_bytes = cache_bytes
        self._secret = random.SystemRandom()
        self._plan = Plan("events", "warm", 1, 2, 0.0)
        self._window: list[int] = []
        self._expected: list[list[Any]] = []
        self._made_like: list[Any] = []
        self._flushed: Any = None
        self._wait_us = 0.0
        self._extra_us = 0.0
        self._tolerates_late = False
        self._untouched = check
        self.drawn: tuple[int, ...] = ()
        """Numbers of the tensors that hang on draws of a version's own, such as a seed."""
        self.n_late = 0
        self.notes: list[str] = []

    # ---- before the clock -------------------------------------------------------------

    def prepare(
        self, around: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()
    ) -> None:
        """Compiles and tunes every version, outside of any reading; each first run is made within
        what `around` gives for the version's number."""
        self._rotation.grow(2)
        for number, version in self._versions.items():
            self._rotation.refresh([0], 0)
            try:
                with around(number):
                    self._made_like = [t.detach() for t in version.run(self._rotation.sets[0])]
            finally:
                self._untouched()
        self._clock.synchronize()
        if self._clock.is_asynchronous:
            first = next(iter(self._versions.values()))
            self._clock.warm_up(WARM_UP_S, lambda: self._once(first))

    def _once(self, version: SampledVersion) -> None:
        self._rotation.refresh([0], 0)
        version.run(self._rotation.sets[0])

    def expect(self, version: int) -> list[list[Any]]:
        """What that version makes of each drawing: all that a call leaves behind."""
        expected = []
        for drawing in range(self._rotation.n_drawings):
            left = self._seeded(self._versions[version], drawing, seed=drawing)
            expected.append([t.detach().clone() for t in left])
        again = self._seeded(self._versions[version], 0, seed=self._rotation.n_drawings)
        self.drawn = apart(self._clock, again, expected[0])
        if self.drawn:
            again = self._seeded(self._versions[version], 0, seed=0)
            if apart(self._clock, again, expected[0]):
                raise UnsteadyError("equal inputs and seeds do not make equal outputs")
        self._clock.synchronize()
        return expected

    def _seeded(self, version: SampledVersion, drawing: int, *, seed: int) -> list[Any]:
        """What one call beside the clock leaves behind, generators seeded before it."""
        self._rotation.refresh([0], drawing)
        self._poison(None)
        self._clock.torch.manual_seed(seed)
        random.seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        inputs = self._rotation.sets[0]
        return left_behind(version.run(inputs), inputs)

    def believe(self, expected: list[list[Any]], *, drawn: Sequence[int]) -> None:
        """Takes `expected` as what checked samples must have left behind; the tensors numbered
        `drawn` roughly, and to the value in a call beside the clock."""
        self._expected, self.drawn = expected, tuple(drawn)
        if drawn:
            self.notes.append(
                "the launcher draws numbers of its own: under the clock their kind was compared, "
                "their values beside it"
            )

    def pilot(self) -> Pilot:
        """Measures roughly what a call of each version takes."""
        rotation, free = self._rotation, self._clock.free_bytes()
        most = 8 if self._clock.is_asynchronous else 2
        n = max(2, min(most, free // 4 // max(1, rotation.set_bytes)))
        rotation.grow(n)
        self._window = rotation.window(n)
        host = max(self._host_us(version) for version in self._versions.values())
        wait = min(MAX_WAIT_US, HOST_SPREAD * host * n + QUEUE_US)
        events = min(self._rough_us(v.run, n, wait) for v in self._versions.values())
        fault, per_call = None, events
        if host > LAUNCH_BOUND * events:
            fault = self.capture_fault()
            if fault is None:
                per_call = min(self._rough_graph_us(v, n) for v in self._versions.values())
        return Pilot(per_call, host, self._clock.empty_us, rotation.set_bytes, free, fault)

    def compulsory(self, version: int) -> Compulsory:
        """What every call must move, as that version shows."""
        return compulsory(
            self._clock,
            self._rotation,
            self._versions[version].run,
            self._secret.randrange(1 << 30),
        )

    def adopt(self, chosen: Plan) -> None:
        """Gets ready to sample as `chosen` says."""
        self._plan = chosen
        self._rotation.grow(chosen.n_sets)
        if chosen.state == "cold":
            n_bytes = 2 * self._cache_bytes
            self._flushed = self._clock.empty(
                n_bytes // 4, dtype=self._clock.torch.float32, device="cuda"
            ).fill_(0)
        self._wait_us = chosen.wait_us

    def calibrate(self, version: int) -> float:
        """Sets the delay of the slowed control, a share of that version's sample. Returns
        the share."""
        self.begin_round(0)
        self.begin_pair()
        total = statistics.median(
            self.sample(Turn(version, i)) * self._plan.repeats for i in range(5)
        )
        self._extra_us = SLOWED_BY * total
        return SLOWED_BY

    # ---- under the clock --------------------------------------------------------------

    def begin_round(self, seed: int) -> None:
        """See `schedule.Sampler`."""
        if self._plan.method == "events":
            return
        self._window = self._rotation.window(self._plan.repeats)
        numbers = list(self._versions)
        random.Random(seed).shuffle(numbers)
        for version in self._versions.values():
            version.graph, version.kept = None, []
        waits = []
        for number in numbers:
            version = self._versions[number]
            self._capture(version)
            waits.append(self._replay_us(version))
        self._untouched()  # a sample replays: no version's own code runs in it
        self._wait_us = max(self._wait_us, min(500.0, HOST_SPREAD * max(waits) + QUEUE_US))

    def begin_pair(self) -> None:
        """See `schedule.Sampler`."""
        if self._plan.method == "events":
            self._window = self._rotation.window(self._plan.repeats)

    def sample(self, turn: Turn) -> float:
        """See `schedule.Sampler`."""
        version = self._versions[turn.version]
        extra = self._extra_us if turn.slowed else 0.0
        for attempt in range(MAX_LATE):
            if self._plan.method == "events":
                version.kept, version.position = [], self._draw_position()
            self._ready(version, turn)
            self._untouched_by_calls()
            reading = self._clock.timed(self._calls(version), wait_us=self._wait_us, extra_us=extra)
            self._untouched_by_calls()
            if not reading.late or self._tolerates_late:
                break
            self._lengthen(is_last=attempt == MAX_LATE - 1)
        if not turn.slowed:
            version.after_us.append(reading.after_us)
        if turn.check:
            self._check(version, turn)
        return reading.us / self._plan.repeats

    def after_us(self) -> dict[int, float]:
        """By version, the median wait for the device after the clock had stopped."""
        return {
            number: statistics.median(version.after_us)
            for number, version in self._versions.items()
            if version.after_us
        }

    def _calls(self, version: SampledVersion) -> Callable[[], None]:
        return version.calls([self._rotation.sets[number] for number in self._window])

    def _ready(self, version: SampledVersion, turn: Turn) -> None:
        """New values in the inputs, no right answers in free memory, a cold cache."""
        self._rotation.refresh(self._window, turn.drawing)
        self._poison(None if version.graph is None else version.kept)
        if self._flushed is not None:
            self._clock.total(self._flushed)

    def _poison(self, kept: list[Any] | None) -> None:
        """The outputs of a graph, or as much free memory as two calls take."""
        twice = (*self._made_like, *self._made_like)
        own = [self._clock.empty_like(t) for t in twice] if kept is None else kept
        mine = self._rotation.pointers(self._window)
        for tensor in own:
            storage = tensor.untyped_storage()
            if storage.nbytes() and storage.data_ptr() not in mine:
                poison(flat(self._clock, tensor))

    def _untouched_by_calls(self) -> None:
        if self._plan.method == "events":
            self._untouched()

    def _draw_position(self) -> int:
        return self._secret.randrange(len(self._window))

    def _lengthen(self, *, is_last: bool) -> None:
        """The device had nothing to wait for: the reading holds the host's time too."""
        self.n_late += 1
        if is_last or self._wait_us >= MAX_WAIT_US:
            self._tolerates_late = True
            self.notes.append(
                "the launcher waits for the device, so samples hold the host's time too"
            )
        self._wait_us = min(MAX_WAIT_US, 1.5 * self._wait_us + QUEUE_US)

    # ---- graphs -----------------------------------------------------------------------

    def _capture(self, version: SampledVersion) -> None:
        version.position = self._draw_position()
        version.graph = None
        calls = self._calls(version)
        version.graph = self._clock.capture(calls)

    def capture_fault(self) -> str | None:
        """One sentence on why a version cannot be captured, or None. After `pilot`."""
        try:
            for version in self._versions.values():
                self._rotation.refresh(self._window, 0)
                self._clock.beside(self._calls(version))
                self._capture(version)
        except Exception as error:
            for version in self._versions.values():
                version.graph, version.kept = None, []
            self._clock.synchronize()
            lines = str(error).strip().splitlines() or [""]
            return f"no device graph: {type(error).__name__}: {lines[0][:160]}"
        return None

    def _rough_graph_us(self, version: SampledVersion, n: int) -> float:
        wait = min(500.0, HOST_SPREAD * self._replay_us(version) + QUEUE_US)
        return self._rough(version.graph.replay, n, wait)

    def _rough_us(self, run: Run, n: int, wait_us: float) -> float:
        return self._rough(self._calls(SampledVersion(run, position=-1)), n, wait_us)

    def _rough(self, calls: Callable[[], None], n: int, wait_us: float) -> float:
        readings = []
        for drawing in range(5):
            self._rotation.refresh(self._window, drawing)
            readings.append(self._clock.timed(calls, wait_us=wait_us).us)
        return statistics.median(readings) / n

    def _host_us(self, version: SampledVersion) -> float:
        calls = self._calls(SampledVersion(version.run, position=-1))
        readings = []
        for drawing in range(3):
            self._rotation.refresh(self._window, drawing)
            readings.append(self._clock.host_us(calls))
        return min(readings) / len(self._window)

    def _replay_us(self, version: SampledVersion) -> float:
        """The second time: the first launch of a graph also sends it to the device."""
        for drawing in range(2):
            self._rotation.refresh(self._window, drawing)
            us = self._clock.host_us(version.graph.replay)
        return us

    # ---- after the clock --------------------------------------------------------------

    def _check(self, version: SampledVersion, turn: Turn) -> None:
        """Compares what one call of the sample left behind with what it must have."""
        rotation, position = self._rotation, version.position
        drawing = rotation.drawing_of(position, turn.drawing)
        wanted = self._expected[drawing]
        left = left_behind(version.kept, rotation.sets[self._window[position]])
        differs(self._clock, left, wanted, roughly=self.drawn)
        if self.drawn:
            differs(self._clock, self._seeded(version, drawing, seed=drawing), wanted)
            self._untouched()


def poison(storage: Any) -> None:
    """All bits set: NaN for floats, so that what a version leaves out does not look done."""
    storage.fill_(-1 if storage.dtype.is_signed else 255)
