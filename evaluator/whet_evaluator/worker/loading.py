"""Stage *load*: a candidate's kernels are compiled, those first that it is foretold to launch."""

from __future__ import annotations

import os
from typing import Any

from . import answers, gate, records
from .answers import Rejected
from .codec import to_json
from .launch_records import Launch
from .orders import Where
from .request_stages import RequestStages
from .stage_ends import Raised


class Loading:
    """Of one candidate at its place. What does not compile raises `Rejected`."""

    def __init__(self, stages: RequestStages, where: Where) -> None:
        self._stages = stages
        self._where = where
        self._done = os.path.join(where.scratch.output, "compiled")

    @property
    def waiting(self) -> dict[str, Any]:
        """The keys of a job that let first launches on a device wait until `ahead` is over."""
        return {"compiled": self._done} if self._stages.mode == "device" else {}

    async def ahead(
        self, recorded: tuple[Launch, ...], calls: list[Any], also: list[Any]
    ) -> dict[str, Any] | None:
        """Compiles what the candidate is foretold to launch in `calls`; then, for those who wait,
        what in `also`. None where the former does not compile, though what the original launched
        does: the tests will say what is launched."""
        try:
            more = {"calls": calls, "also": also, "compiled": self._done}
            loaded = await self._compiled(recorded, more)
        finally:
            gate.open_gate(self._done)
        if loaded.get("broken") and not _is_decisive(loaded, recorded):
            await self.exactly(recorded)
            return None
        return _unbroken(loaded)

    async def as_launched(
        self, ahead: dict[str, Any] | None, tested: dict[str, Any]
    ) -> dict[str, Any]:
        """The specialisations that its tests launched are the ones its users would run, so these
        must compile. `ahead` has them if they were foretold."""
        launches = answers.launches(tested)
        wanted = answers.specialisations(launches)
        if ahead is not None and answers.specialisations(answers.launches(ahead)) == wanted:
            return ahead
        return await self.exactly(launches)

    async def exactly(self, launches: tuple[Launch, ...]) -> dict[str, Any]:
        """Compiles these."""
        return _unbroken(await self._compiled(launches, {}))

    async def _compiled(self, launches: tuple[Launch, ...], more: dict[str, Any]) -> dict[str, Any]:
        job = {"launches": to_json(launches), "arch": self._stages.arch, **more}
        end = await self._stages.run("load", job, self._where, "compile")
        if isinstance(end, Raised):
            raise Rejected(records.Broken(trace=end.trace))
        return answers.answer("load", end)


def _is_decisive(broken: dict[str, Any], recorded: tuple[Launch, ...]) -> bool:
    """Whether it does not even import, or what is broken is what the original launched."""
    foretold = answers.specialisations(answers.launches(broken))
    return broken["broken"].get("kernel") is None or foretold == answers.specialisations(recorded)


def _unbroken(loaded: dict[str, Any]) -> dict[str, Any]:
    broken = loaded.get("broken")
    if broken:
        raise Rejected(records.Broken(trace=broken["trace"], kernel=broken.get("kernel")))
    return loaded
