"""Who else computes on the device: a timing waits until it is alone there, and says for whom.

Whet's own workers take turns by a lock (`lanes`), which nobody else knows of. So whoever holds
it asks the driver's tool who is on the device. A process that only holds memory, an idle notebook
say, is no reason to wait: the device's meter decides, read when nothing of ours has run for as long
as it looks back. The meter does not tell who is busy, and on a card with a screen it may be
nobody of those listed: patience has an end, and then the timing's controls decide alone.

NVIDIA only. On AMD hardware, where the tool is missing, where the meter does not tell (MIG), and
of processes that cannot be seen from here (another container's), nothing is known.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping

from .orders import bare_uuid
from .process_tree import family
from .spawn import is_stage, output_of

AGAIN_S = 10.0
"""When to ask again after somebody computed there."""
_PRICE = 0.02
"""An answer that nobody does is good until asking again costs that share of the time, but no longer
than `AGAIN_S`: the tool takes 0.03 s, or a second where the driver is loaded anew each time."""
PATIENCE_S = 600.0
"""How long the same strangers are waited for in all."""
_IDLE_S = 30.0
"""So long one who was found idle is taken to be."""
_METER_S = 1.2
"""Longer than the second that the meter looks back over at most (`nvidia-smi --help-query-gpu`)."""
_READINGS, _BETWEEN_S = 3, 0.3
_BUSY_PERCENT = 5
_TOOL_S = 10.0
_SILENT_S = 600.0
"""How long a tool that did not answer in time is left alone."""
_LONGEST_NAME = 80

Ask = Callable[[str], Awaitable[str | None]]
"""Answers a question of the driver's tool; None where it does not answer."""


class Occupants:
    """Of one device, as this process sees them."""

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._alone_until = float("-inf")
        self._idle_until: dict[int, float] = {}
        self._busy_since: dict[int, float] = {}

    async def present(self) -> str | None:
        """Whoever is there, busy or not, in words; None if nobody is known to be."""
        strangers = _strangers(await self._listed() or "")
        return f"the device is in use by {_in_words(strangers)}" if strangers else None

    async def busy(self) -> str | None:
        """Who computes, in words; None if nobody does, or none that is to be waited for. Call when
        nothing of ours computes."""
        asked = self._clock()
        if asked < self._alone_until:
            return None
        listed = await self._listed()
        now = self._clock()
        if listed is None:
            self._alone_until = now + _SILENT_S
            return None
        strangers = _strangers(listed)
        suspects = [pid for pid in strangers if self._idle_until.get(pid, now) <= now]
        percent = await self._percent() if suspects else 0
        if percent <= _BUSY_PERCENT:
            self._idle_until |= dict.fromkeys(suspects, now + _IDLE_S)
            self._alone_until = now + min(AGAIN_S, (now - asked) / _PRICE)
            self._busy_since.clear()
            return None
        self._busy_since = {pid: self._busy_since.get(pid, now) for pid in strangers}
        if all(now - since >= PATIENCE_S for since in self._busy_since.values()):
            self._alone_until = now + PATIENCE_S
            return None
        return f"{percent} % busy with {_in_words(strangers)}"

    async def _listed(self) -> str | None:
        return await self._ask("--query-compute-apps=pid,process_name")

    async def _percent(self) -> int:
        """Share of the last moment in which the device ran anything, the most of some readings;
        0 where it does not tell."""
        if _number(await self._ask("--query-gpu=utilization.gpu")) is None:
            return 0
        await asyncio.sleep(_METER_S)
        most = 0
        for _ in range(_READINGS):
            await asyncio.sleep(_BETWEEN_S)
            most = max(most, _number(await self._ask("--query-gpu=utilization.gpu")) or 0)
        return most


def nvidia(uuid: str, env: Mapping[str, str], folder: str) -> Ask:
    """Asks `nvidia-smi`, where the environment has it, about the device of that UUID."""
    tool = shutil.which("nvidia-smi", path=env.get("PATH"))

    async def ask(question: str) -> str | None:
        if tool is None:
            return None
        argv = (tool, f"--id=GPU-{bare_uuid(uuid)}", question, "--format=csv,noheader,nounits")
        said = await output_of(argv, env, folder, _TOOL_S)
        return None if said is None else said.decode(errors="replace")

    return ask


def _strangers(listed: str) -> dict[int, str]:
    """Those of the processes listed that live and are nobody's of Whet, by name."""
    ours = family(os.getpid())
    rows = [line.split(", ", 1) for line in listed.splitlines() if ", " in line]
    found = {int(pid): name for pid, name in rows if pid.isdecimal()}
    others = {pid: name for pid, name in found.items() if pid not in ours and _lives(pid)}
    return {pid: name for pid, name in others.items() if not is_stage(pid)}


def _lives(pid: int) -> bool:
    """The driver lists the dead for a moment more, our own among them."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _in_words(strangers: Mapping[int, str]) -> str:
    names = {pid: "".join(c for c in name if c.isprintable()) for pid, name in strangers.items()}
    words = [f"process {pid} ({name[-_LONGEST_NAME:]})" for pid, name in names.items()]
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")


def _number(said: str | None) -> int | None:
    text = (said or "").strip()
    return int(text) if text.isdecimal() else None
