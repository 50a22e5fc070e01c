"""Stage *time*: raw samples of the original and the candidate, and where they were taken.

No statistics here and no verdict: samples travel to the host, which judges them. What
could not be replayed is named, and so is a candidate whose outputs differ under the
clock from what the original makes of the same inputs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from . import gate, importing, integrity, overlay, replay, surroundings, vitals
from .checks import CheatedError, DiffersError
from .clock import Clock
from .codec import to_json
from .measure import Crew, Order, Together, measure
from .partner import Apart, Partner
from .phases import mark_of
from .records import Case
from .versions import CrossedError, Versions, has_tuners, load_versions, parted

DEADLINE_SHARE = 0.5


def run(job: dict[str, Any]) -> dict[str, Any]:
    """`{cases, environment, not_timed, differs, cheated}`; `differs` has a sentence for each
    case whose timed outputs were wrong, `cheated` is `{reason, detail}` or None.
    `job["original"]` is a file with the original's text."""
    import torch

    clock = Clock(torch)  # before anything of the user is imported
    partner = Partner(job, clock)  # before the device is touched
    try:
        return _Stage(job, torch, clock, partner).run()
    finally:
        partner.close()


class _Stage:
    """What a timing stage has found so far."""

    def __init__(self, job: dict[str, Any], torch: Any, clock: Clock, partner: Partner) -> None:
        self._job = job
        self._partner = partner
        self._torch = torch
        self._clock = clock
        self._began = clock.now()
        self._vitals = vitals.Vitals(lambda: None)
        self._described: surroundings.Described | None = None
        self._environment: dict[str, str] = {}
        self._timed: list[Case] = []
        self._differs: list[str] = []
        self._not_timed: list[str] = []
        self._cheated: CheatedError | None = None
        self._untouched: integrity.Check = integrity.unwatched

    def run(self) -> dict[str, Any]:
        mark = mark_of(self._job)
        mark("imports")
        overlay.install(self._job)
        mark("overlay")
        try:
            versions = load_versions(self._job)
            if versions.registers:
                self._partner.ask("load")
        except Exception as error:
            trace = importing.trimmed_trace(error, self._job["unit_file"])
            reason = f"the versions could not be loaded side by side: {trace.splitlines()[-1]}"
            self._not_timed.append(reason)
            return self._answer()
        mark("versions")
        # One for the whole stage: the rehearsal runs the candidate as well.
        original = None if versions.registers else versions.original
        self._untouched = integrity.sealed("before the clock or under it", version=original)
        self._clock.open()
        mark("device")
        found = replay.cases(self._job, versions, "cuda")
        self._not_timed += found.not_timed
        not_replayed = list(self._not_timed)
        mark("replays")
        if self._job.get("gate"):
            self._rehearse(found.replays, versions)
            self._untouched()
            gate.wait(self._job)
            self._began = self._clock.now()
            self._clock.open()  # what it calibrates may have been disturbed
        self._vitals = vitals.Vitals(vitals.reader(surroundings.uuid(self._torch)))
        self._described = surroundings.Described(self._torch)
        try:
            self._time_all(found.replays, versions)
        except CrossedError:
            self._not_timed = not_replayed
            self._time_apart(versions)
        self._note_environment()
        mark("samples")
        return self._answer()

    def _time_all(self, cases: list[replay.Replay], versions: Versions) -> None:
        for number, case in enumerate(cases):
            self._time(case, number, len(cases), versions)
            self._untouched()
            if self._cheated is not None:
                break

    def _time_apart(self, versions: Versions) -> None:
        """Once more from the first case on, the original in the other process."""
        self._timed, self._differs = [], []
        self._untouched()
        self._untouched = integrity.unwatched  # what it guards is let go of here
        try:
            self._partner.ask("load")
            alone = parted(versions)
            self._untouched = integrity.sealed("under the clock")
        except Exception as error:
            trace = importing.trimmed_trace(error, self._job["unit_file"])
            self._not_timed.append(f"no process holds one version alone: {trace.splitlines()[-1]}")
            return
        self._time_all(replay.cases(self._job, alone, "cuda").replays, alone)

    def _rehearse(self, cases: list[replay.Replay], versions: Versions) -> None:
        """Runs every version, and takes a few samples of the smallest case to throw them away,
        while others use the device: what only a first call costs, compiling and the driver's
        loading of each operation, is over then. A tuner must not choose in such company."""
        if versions.registers or has_tuners(versions):
            return
        for case in cases:
            with contextlib.suppress(Exception):  # it is said when it counts
                if case is cases[-1]:
                    order = self._order(0, n_rounds=1, n_pairs=1, on_round=_unheard, n_left=1)
                    measure(self._clock, Together(self._clock, case, order), order)
                case.original(case.make(0))
                case.candidate(case.make(0))
        self._clock.synchronize()
        self._torch.cuda.empty_cache()
        mark_of(self._job)("rehearsal")

    def _time(self, case: replay.Replay, number: int, n_cases: int, versions: Versions) -> None:
        """Times one of `n_cases`; what goes wrong is noted, not raised."""

        def on_round(done: int, total: int) -> None:
            self._note_environment()  # whose tool must have ended before the clock counts
            self._job["progress"](case.name, done, total)

        n_rounds, n_pairs = int(self._job["rounds"]), int(self._job["pairs"])
        order = self._order(
            number, n_rounds=n_rounds, n_pairs=n_pairs, on_round=on_round, n_left=n_cases - number
        )
        try:
            crew = self._crew(case, order, versions)
            self._timed.append(measure(self._clock, crew, order))
        except CrossedError:
            raise
        except DiffersError as difference:
            self._differs.append(f"{case.name}: {difference}")
        except CheatedError as cheat:
            self._cheated = CheatedError(cheat.reason, f"{case.name}: {cheat.detail}")
        except Exception as error:
            reason = importing.trimmed_trace(error, self._job["unit_file"]).splitlines()[-1]
            self._not_timed.append(f"{case.name}: {reason}")
        self._torch.cuda.empty_cache()

    def _note_environment(self) -> None:
        if self._described is not None:
            self._environment, self._described = self._described.facts(), None

    def _order(
        self, number: int, *, n_rounds: int, n_pairs: int, n_left: int,
        on_round: Callable[[int, int], None],
    ) -> Order:  # fmt: skip
        return Order(
            seed=int(self._job["seed"]) + 1000 * number, n_rounds=n_rounds, n_pairs=n_pairs,
            arch=surroundings.device_arch(self._torch),
            cache_bytes=surroundings.cache_bytes(self._torch),
            own_file=self._job["unit_file"], on_round=on_round,
            disturbance=self._vitals.disturbance,
            may_go_on=lambda seconds: self._may_go_on(seconds, n_left),
        )  # fmt: skip

    def _crew(self, case: replay.Replay, order: Order, versions: Versions) -> Crew:
        if versions.registers:
            folder = self._job["output_dir"]
            return Apart(self._clock, case, order, self._partner, versions.candidate, folder)
        return Together(self._clock, case, order, versions)

    def _may_go_on(self, seconds: float, n_left: int) -> bool:
        """Further rounds may take this case's share of half the stage's time."""
        left = DEADLINE_SHARE * float(self._job["deadline_s"]) - (self._clock.now() - self._began)
        return seconds < left / max(1, n_left)

    def _answer(self) -> dict[str, Any]:
        environment = dict(self._environment)
        if environment:
            now = surroundings.clocks(self._torch)
            environment |= {f"{name} after": value for name, value in now.items()}
            environment |= self._vitals.summary()
        cheated = self._cheated
        return {
            "cases": to_json(self._timed),
            "environment": environment,
            "not_timed": self._not_timed,
            "differs": self._differs,
            "cheated": cheated and {"reason": cheated.reason, "detail": cheated.detail},
        }


def _unheard(_done: int, _total: int) -> None:
    """Progress that nobody is told of."""
