"""The original in a process of its own, for modules of which one process can hold only one.

The process is forked before the device is touched and before anything of the user is
imported, and waits. If the candidate turns out to register operators while it is imported, or
a version to launch the other's kernels, the partner loads the original, and from then on the
two take turns on the device, sample by
sample: each waits for the device to be idle before it answers, and the other only then
begins. The candidate never runs in the partner, which is also where outputs are computed that
the candidate's are compared with. Otherwise the partner ends without having done anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
from collections.abc import Iterator
from types import ModuleType
from typing import IO, Any

from . import importing, integrity, overlay, replay
from .clock import Clock
from .measure import Order, Ready
from .physics import Compulsory
from .plans import Pilot, Plan, plan
from .sampling import Engine
from .schedule import AGAIN, CANDIDATE, ORIGINAL, Turn
from .versions import Versions, adopt_tuned, load_original, tuned

DRAWINGS = 2
"""Fewer than in one process: what the original makes of each travels by file."""


class PartnerError(Exception):
    """The original could not be loaded or run there; `str()` is its trace."""


class Partner:
    """This side of the pipes. `load` must come first, `close` last."""

    def __init__(self, job: dict[str, Any], clock: Clock) -> None:
        to_read, self._requests = os.pipe()
        self._answers, to_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._requests)
            os.close(self._answers)
            _serve(job, clock, to_read, to_write)
        os.close(to_read)
        os.close(to_write)
        self._heard: IO[bytes] = os.fdopen(self._answers, "rb")

    def ask(self, what: str, **more: Any) -> Any:
        """Raises `PartnerError` for what went wrong there."""
        try:
            line = json.dumps({"what": what, "with": more}).encode() + b"\n"
            while line:
                line = line[os.write(self._requests, line) :]
            heard = self._heard.readline()
        except BrokenPipeError:
            heard = b""
        if not heard:
            raise PartnerError("the original's process ended unexpectedly")
        answer = json.loads(heard)
        if "error" in answer:
            raise PartnerError(answer["error"])
        return answer["ok"]

    def close(self) -> None:
        """Ends the partner. May be called twice."""
        if self.pid:
            os.close(self._requests)
            self._heard.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, 0)
            self.pid = 0


class Apart:
    """A `measure.Crew`: the candidate here, the original there."""

    def __init__(
        self, clock: Clock, case: replay.Replay, order: Order, partner: Partner,
        candidate: ModuleType, folder: str,
    ) -> None:  # fmt: skip
        self.name = case.name
        self._candidate = candidate
        self._theirs: dict[str, Any] = {}
        self._clock = clock
        self._partner = partner
        self._expected = os.path.join(folder, "expected.pt")
        runs = {CANDIDATE: case.candidate}
        self._engine = Engine(
            clock, case, runs, seed=order.seed, cache_bytes=order.cache_bytes,
            most_drawings=DRAWINGS, check=integrity.sealed("under the clock"),
        )  # fmt: skip

    def ready(self, order: Order) -> Ready:
        """See `measure.Crew`."""
        theirs = self._partner.ask(
            "begin", name=self.name, seed=order.seed, cache_bytes=order.cache_bytes,
            expected=self._expected,
        )  # fmt: skip
        adopt_tuned(self._candidate, theirs["tuned"])
        engine = self._engine
        engine.prepare()
        expected = self._clock.load(self._expected)
        engine.believe(expected, drawn=theirs["drawn"])
        os.unlink(self._expected)
        pilots = [Pilot(**theirs["pilot"]), engine.pilot()]
        chosen = plan(pilots, order.cache_bytes)
        if chosen.method == "graph":  # which one of them alone may not have thought of
            faults = [self._partner.ask("capture_fault"), engine.capture_fault()]
            pilots = [
                dataclasses.replace(pilot, capture_fault=fault)
                for pilot, fault in zip(pilots, faults)
            ]
            chosen = plan(pilots, order.cache_bytes)
        adopted = self._partner.ask("adopt", plan=dataclasses.asdict(chosen))
        engine.adopt(chosen)
        return Ready(
            plan=chosen,
            slowed_by=adopted["slowed_by"],
            compulsory=Compulsory(**adopted["compulsory"]),
            capture_faults=tuple(p.capture_fault for p in pilots if p.capture_fault),
            processes=2,
        )

    def begin_round(self, seed: int) -> None:
        """See `schedule.Sampler`."""
        self._partner.ask("begin_round", seed=seed)
        self._engine.begin_round(seed)
        self._clock.synchronize()

    def begin_pair(self) -> None:
        """See `schedule.Sampler`."""
        self._partner.ask("begin_pair")
        self._engine.begin_pair()

    def sample(self, turn: Turn) -> float:
        """See `schedule.Sampler`."""
        if turn.version == CANDIDATE:
            us = self._engine.sample(turn)
            self._clock.synchronize()
            return us
        return float(self._partner.ask("sample", **dataclasses.asdict(turn)))

    def after_us(self) -> dict[int, float]:
        """See `measure.Crew`."""
        self._theirs = self._partner.ask("end")
        theirs = {int(k): v for k, v in self._theirs["after_us"].items()}
        return {**theirs, **self._engine.after_us()}

    def n_late(self) -> int:
        return self._engine.n_late + int(self._theirs.get("n_late", 0))

    def notes(self) -> list[str]:
        return list(dict.fromkeys([*self._theirs.get("notes", ()), *self._engine.notes]))


class _Original:
    """That side: the original's engine for the case at hand. Methods answer with JSON."""

    def __init__(self, job: dict[str, Any], clock: Clock) -> None:
        self._job = job
        self._clock = clock
        self._cases: dict[str, replay.Replay] = {}
        self._engine: Any = None
        self._versions: Versions | None = None

    def load(self) -> list[str]:
        overlay.install(self._job)
        self._versions = load_original(self._job)
        self._clock.open()
        found = replay.cases(self._job, self._versions, "cuda")
        self._cases = {case.name: case for case in found.replays}
        return list(self._cases)

    def begin(self, *, name: str, seed: int, cache_bytes: int, expected: str) -> Any:
        assert self._versions is not None, "load() comes first"
        self._release()
        case = self._cases[name]
        runs = {ORIGINAL: case.original, AGAIN: case.original}
        self._engine = Engine(
            self._clock, case, runs, seed=seed, cache_bytes=cache_bytes, most_drawings=DRAWINGS
        )
        self._engine.prepare()
        self._clock.save(self._engine.expect(ORIGINAL), expected)
        return {
            "pilot": dataclasses.asdict(self._engine.pilot()),
            "tuned": tuned(self._versions.original),
            "drawn": self._engine.drawn,
        }

    def capture_fault(self) -> str | None:
        found: str | None = self._engine.capture_fault()
        return found

    def adopt(self, *, plan: dict[str, Any]) -> Any:
        self._engine.adopt(Plan(**plan))
        found = {
            "slowed_by": self._engine.calibrate(ORIGINAL),
            "compulsory": dataclasses.asdict(self._engine.compulsory(ORIGINAL)),
        }
        self._clock.synchronize()
        return found

    def begin_round(self, *, seed: int) -> None:
        self._engine.begin_round(seed)
        self._clock.synchronize()

    def begin_pair(self) -> None:
        self._engine.begin_pair()

    def sample(self, **turn: Any) -> float:
        us = self._engine.sample(Turn(**turn))
        self._clock.synchronize()
        return float(us)

    def end(self) -> Any:
        engine = self._engine
        found = {"after_us": engine.after_us(), "n_late": engine.n_late, "notes": engine.notes}
        self._release()
        return found

    def _release(self) -> None:
        """Gives the memory of the last case back: the candidate's process needs it too."""
        self._engine = None
        self._clock.torch.cuda.empty_cache()


def _serve(job: dict[str, Any], clock: Clock, requests: int, answers: int) -> None:
    """Answers until the other side is gone; the process ends with it."""
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        original = _Original(job, clock)
        for request in _lines(requests):
            answer = _answered(original, request, job["unit_file"])
            data = json.dumps(answer).encode() + b"\n"
            while data:
                data = data[os.write(answers, data) :]
        code = 0
    finally:
        os._exit(code)


def _lines(descriptor: int) -> Iterator[dict[str, Any]]:
    with os.fdopen(descriptor, "rb") as file:
        for line in file:
            yield json.loads(line)


def _answered(original: _Original, request: dict[str, Any], unit_file: str) -> dict[str, Any]:
    try:
        return {"ok": getattr(original, request["what"])(**request["with"])}
    except Exception as error:
        return {"error": importing.trimmed_trace(error, unit_file).splitlines()[-1]}
