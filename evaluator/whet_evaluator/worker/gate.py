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


def open_gate(path: str) -> None:
    """In the worker."""
    with open(path, "x", encoding="ascii"):
        pass
