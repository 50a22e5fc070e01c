"""Where a stage that got ready beside others waits for its turn: a file says that it has come."""

from __future__ import annotations

import os
import time
from typing import Any

READY = "ready, waiting for its turn"
"""Progress that tells so. A candidate that says it for its stage only waits earlier."""
_POLL_S = 0.005


def wait(job: dict[str, Any]) -> None:
    """In the child: until the file `job["gate"]` is there."""
    from .phases import mark_of

    job["progress"](READY, 0, 0)
    while not os.path.exists(job["gate"]):
        time.sleep(_POLL_S)
    mark_of(job)("gate")


def wait_for(path: str, patience_s: float) -> None:
    """Until the file is there, at the longest so many seconds."""
    ends_at = time.monotonic() + patience_s
    while not os.path.exists(path) and time.monotonic() < ends_at:
        time.sleep(_POLL_S)


def open_gate(path: str) -> bool:
    """In the worker. False where somebody put something in its place: the folder is a candidate's
    to write to, and must not lead elsewhere."""
    folder, name = os.path.split(path)
    try:
        inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=inside))
        finally:
            os.close(inside)
    except OSError:
        return False
    return True
