"""What the original made of each case, kept so that every later candidate is spared it.

One folder per case, named by a digest of all that its content depends on. Only runs of
the user's own code are kept here; candidates' files never are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 30
_NOT_OF_THE_ORIGINAL = {"id", "name", "turn", "number"}
"""What does not decide what the original makes of a case."""


class Bank:
    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._offered: dict[str, asyncio.Future[None]] = {}

    def is_new(self, place: str) -> bool:
        """True once for every place; whoever hears it runs the case and calls `settle`. What
        the original had no time for at first is not tried again: every candidate is judged by
        the same cases."""
        if place in self._offered:
            return False
        self._offered[place] = asyncio.get_running_loop().create_future()
        return True

    def settle(self, places: Iterable[str], *, ran: bool) -> None:
        """The original has had its turn at these, or (`ran` false) lost it to a cancel."""
        for place in places:
            turn = self._offered.get(place) if ran else self._offered.pop(place, None)
            if turn is not None and not turn.done():
                turn.set_result(None)

    async def wait_settled(self, places: Collection[str]) -> bool:
        """Until nobody is running the original at any of them: a candidate that came second
        would be judged by no case at all. False where some lost their turn meanwhile."""
        turns = [self._offered[place] for place in places if place in self._offered]
        if turns:  # not `gather`: cancelled, it cancels what others wait for, too
            await asyncio.wait(turns)
        return all(place in self._offered for place in places)

    def place(self, basis: str, case: dict[str, Any]) -> str:
        """The folder of a case; `basis` names unit, project and mode. It may not exist yet."""
        told = {key: value for key, value in case.items() if key not in _NOT_OF_THE_ORIGINAL}
        text = json.dumps([basis, told], sort_keys=True)
        return os.path.join(self._folder, hashlib.sha256(text.encode()).hexdigest())

    def keep(self, place: str, kind: str, folder: str) -> None:
        """Moves `folder` into a case's place under the name `kind` (`main`, `wide`)."""
        os.makedirs(place, mode=0o700, exist_ok=True)
        target = os.path.join(place, kind)
        shutil.rmtree(target, ignore_errors=True)
        os.rename(folder, target)

    def trim(self) -> None:
        """Removes the oldest places until the rest fits."""
        rows = []
        with contextlib.suppress(OSError):
            for place in Path(self._folder).iterdir():
                size = sum(f.stat().st_size for f in place.rglob("*") if f.is_file())
                rows.append((place.stat().st_mtime, size, place))
        total = sum(size for _, size, _ in rows)
        for _, size, place in sorted(rows):
            if total <= MAX_BYTES:
                return
            self._offered.pop(str(place), None)
            shutil.rmtree(place, ignore_errors=True)
            total -= size


def has(place: str, kind: str) -> bool:
    return os.path.exists(os.path.join(place, kind, "ended"))


def lend(place: str, target: str) -> dict[str, str | None]:
    """Links what is known of a case into `target`: `{original, wide}`, folders or None."""
    for kind in ("main", "wide"):
        if has(place, kind):
            link(os.path.join(place, kind), os.path.join(target, kind))
    wide = os.path.join(target, "wide")
    return {
        "original": os.path.join(target, "main"),
        "wide": wide if os.path.isdir(wide) else None,
    }


def died(place: str, kind: str) -> bool:
    """Whether the original began the case and never came back."""
    folder = os.path.join(place, kind)
    return os.path.exists(os.path.join(folder, "begun")) and not has(place, kind)


def heads(folder: str) -> dict[str, dict[str, Any]]:
    """By run, what its JSON says, without the outputs' bytes. Empty where unreadable."""
    found = {}
    with contextlib.suppress(OSError, ValueError):
        for file in sorted(Path(folder).glob("*.json")):
            if file.is_file() and not file.is_symlink() and file.stat().st_size < 16 << 20:
                found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return found


def link(source: str, target: str) -> None:
    """The files of one case's folder in another place, without a copy where possible."""
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        a, b = os.path.join(source, name), os.path.join(target, name)
        try:
            os.link(a, b, follow_symlinks=False)
        except OSError:
            shutil.copyfile(a, b, follow_symlinks=False)
