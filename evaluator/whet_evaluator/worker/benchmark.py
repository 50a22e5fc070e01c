"""The user's benchmark function: called once, so that its calls can be timed.

It takes no arguments, makes representative inputs and calls launchers of the unit. Whatever
it measures itself is not listened to; what it calls takes precedence over the tests' calls.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from . import importing
from .record import Recorder

INTERPRETER_S = 30.0
"""Without a device nothing is timed: representative inputs may be too large to wait for."""


class _TooSlow(BaseException):
    """Not an `Exception`, so that the user's function cannot take it for its own."""


def run(job: dict[str, Any], recorder: Recorder) -> dict[str, str | None]:
    """Calls `job["benchmark"]`, `file.py::function`. Returns `{error, too_slow}`.

    `error` is a sentence without its end: what went wrong with the user's function.
    """
    named = job["benchmark"]
    found: dict[str, str | None] = {"error": None, "too_slow": None}
    path, _, name = named.partition("::")
    file = os.path.join(job["scratch"], path)
    if not os.path.isfile(file):
        return {**found, "error": f"lies in {path}, which is not there"}
    recorder.begin(named)
    try:
        with recorder.calls.benchmarking():
            _call(job, path, name)
    except _TooSlow:
        found["too_slow"] = named
    except Exception as error:
        found["error"] = "raised " + importing.trimmed_trace(error, file).splitlines()[-1]
    return found


def _call(job: dict[str, Any], path: str, name: str) -> None:
    places = {"unit_file": os.path.join(job["scratch"], path),
              "unit_source": os.path.join(job["root"], path)}  # fmt: skip
    module = importing.import_unit({**job, **places})
    function: Any = module
    for part in name.split("."):
        function = getattr(function, part)
    if job["mode"] != "interpret":
        function()
        return
    signal.signal(signal.SIGALRM, _raise_too_slow)
    signal.setitimer(signal.ITIMER_REAL, INTERPRETER_S)
    try:
        function()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _raise_too_slow(*_: Any) -> None:
    raise _TooSlow
