"""What can be wrong with the store, each with its cure."""

from __future__ import annotations

import sqlite3
from pathlib import Path


class JournalError(Exception):
    """The store cannot be read or written. `str()` is one sentence with the cure."""


class LeaseHeldError(JournalError):
    """Another process works on the run."""


def cure(path: Path, error: sqlite3.Error | OSError, busy_s: float) -> str:
    """One sentence for the user about a store that cannot be used. `busy_s`: how long was
    waited for other processes."""
    said = str(error).lower()
    if "not a database" in said or "malformed" in said:
        return f"The run store {path} is damaged: move it away, and Whet begins a new one."
    if "full" in said or "no space" in said or "disk i/o" in said:
        return (
            f"The run store {path} cannot be written ({error}): free some space, then go on "
            "with `whet resume`."
        )
    if "locked" in said:
        return (
            f"The run store {path} is locked by another process for more than "
            f"{busy_s:g} s: end it, or name another `store` in the settings."
        )
    return (
        f"The run store {path} cannot be used ({error}): check its folder's permissions, or "
        "name another `store` in the settings."
    )
