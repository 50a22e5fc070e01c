"""Tries from inside a child what a candidate must not be able to do, and says what worked.

Each attack is one that a candidate could make. A level of isolation is claimed only when
this child, which is confined like every other, found nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

LEFT = "attested"
"""The file that an unconfined child leaves in the bait's folder."""

_CONNECT_S = 1.0
_FIRST = 1
"""Process 1 hears no signal from its own pid namespace. Here it is the guardian."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Returns the attacks that succeeded, by what they break, and modules out of sight.

    `bait`: the worker's `pid`, a `port` it listens on, a `folder` of its own to write into,
    a `neighbour`'s scratch, `homes` with the `entries` that may not be seen there.
    """
    bait = job["bait"]
    _try_to_write(bait["folder"])
    attacks: dict[str, Callable[[], bool]] = {
        "network": lambda: _can_connect(bait["port"]),
        "memory": lambda: any(map(_can_read_process, (bait["pid"], os.getppid()))),
        "signals": lambda: any(map(_can_signal, (bait["pid"], os.getppid()))),
        "processes": _sees_others,
        "homes": lambda: any(map(os.path.lexists, bait["entries"])),
        "neighbours": lambda: os.path.lexists(bait["neighbour"]),
    }
    broken = [what for what, succeeds in attacks.items() if succeeds()]
    return {"broken": broken, "unseen": _unseen_modules()[:5]}


def _try_to_write(folder: str) -> None:
    """It may seem to work, in a temporary folder of this child's own: the worker looks."""
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        os.close(os.open(os.path.join(folder, LEFT), os.O_CREAT | os.O_WRONLY, 0o600))


def _can_connect(port: int) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_S).close()
        return True
    return False


def _can_read_process(pid: int) -> bool:
    """By number: where pids are private, it names nobody, or this very process."""
    if pid == os.getpid():
        return False
    for name in ("environ", "mem"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/{name}", "rb", 0) as file:
            if name == "mem" or file.read(1):
                return True
    return False


def _can_signal(pid: int) -> bool:
    if pid in (_FIRST, os.getpid()):
        return False
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGCONT)
        return True
    return False


def _sees_others() -> bool:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return not set(pids) <= {_FIRST, os.getpid()}


def _unseen_modules() -> list[str]:
    """Files of loaded modules that this child does not see: what they import later fails."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    named = [file for file in files if isinstance(file, str) and os.path.isabs(file)]
    return [file for file in named if not os.path.exists(file)]
