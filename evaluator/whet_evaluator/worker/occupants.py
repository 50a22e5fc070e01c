"""Who else computes on the device: a timing waits until it is alone there, and says for whom.

Whet's own workers take turns by a lock (`lanes`), which nobody else knows of. So whoever holds
it asks the driver's tool who is on the device. A process that only holds memory, an idle notebook
say, is no reason to wait: the device's own meter decides, read when nothing of ours has run for as
long as it looks back. Who comes later is noticed between rounds (`vitals`).

NVIDIA only. On AMD hardware, where the tool is missing, where the meter does not tell (MIG), and
of processes that cannot be seen from here (another container's), nothing is known: a noisy device
then shows in the controls of the timing alone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping

from .orders import bare_uuid
from .process_tree import descendants
from .spawn import output_of

_LISTED_S = 10.0
"""So long an answer that nobody else is there is good for."""
_IDLE_S = 30.0
"""So long those who were found idle are taken to be."""
_METER_S = 1.5
"""Longer than the second that the meter looks back over at most (`nvidia-smi --help-query-gpu`)."""
_AGAIN_S = 2.0
_BUSY_PERCENT = 5
_TOOL_S = 10.0

Ask = Callable[[str], Awaitable[str]]
"""Answers a question of the driver's tool, with nothing where there is no answer."""


class Occupants:
    """Of one device, as this process sees them."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._good_until = float("-inf")

    async def gone(self, on_wait: Callable[[str], None]) -> None:
        """Returns once nobody else computes. Call when nothing of ours does. `on_wait` hears who is
        waited for, each time that changes."""
        told = ""
        while self._clock() >= self._good_until:
            others = _strangers(await self._ask("--query-compute-apps=pid,process_name"))
            if not others:
                self._good_until = self._clock() + _LISTED_S
                return
            await asyncio.sleep(_AGAIN_S if told else _METER_S)
            percent = await self._busy_percent()
            if percent <= _BUSY_PERCENT:
                self._good_until = self._clock() + _IDLE_S
                return
            if others != told:
                on_wait(f"waiting for the device, {percent} % busy with {others}")
                told = others

    async def _busy_percent(self) -> int:
        """Share of the last moment in which the device ran anything; 0 where it does not tell."""
        said = (await self._ask("--query-gpu=utilization.gpu")).strip()
        return int(said) if said.isdecimal() else 0


def _strangers(listed: str) -> str:
    """Who of the processes listed is not of this one's family, in words."""
    ours = {os.getpid(), *descendants(os.getpid())}
    found = [line.split(", ", 1) for line in listed.splitlines() if ", " in line]
    others = [(pid, name) for pid, name in found if pid.isdecimal() and int(pid) not in ours]
    # The driver lists the dead for a moment more.
    alive = [(pid, name) for pid, name in others if os.path.exists(f"/proc/{pid}")]
    words = [f"process {pid} ({name})" for pid, name in alive]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def nvidia(uuid: str, env: Mapping[str, str], folder: str) -> Ask:
    """Asks `nvidia-smi`, where the environment has it, about the device of that UUID."""
    tool = shutil.which("nvidia-smi", path=env.get("PATH"))

    async def ask(question: str) -> str:
        if tool is None:
            return ""
        argv = (tool, f"--id=GPU-{bare_uuid(uuid)}", question, "--format=csv,noheader,nounits")
        return (await output_of(argv, env, folder, _TOOL_S)).decode(errors="replace")

    return ask
