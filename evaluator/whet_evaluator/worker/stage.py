"""The child: makes itself private and confined, runs one job, writes one answer.

The answer goes out on a private descriptor as JSON lines, each carrying a token of the
order, so that nothing a candidate prints can be taken for it. `progress` lines come
first; the last is `{"answer": ...}`, `{"error": trace}` or `{"caught": ...}`. The answer's
token is a local variable of one frame while user code runs: whoever walks frames in order
to read it is seen (`integrity`). The other token is good for no answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

from . import integrity, isolation
from .phases import Phases
from .supervise import Descriptors

Progress = Callable[[str, int, int], None]
LATE = ("torch._dynamo",)
"""Imports of seconds that only some projects need (custom operators, optimisers, compiled
modules): a zygote does them once a child has told that its project is one of those."""
_RESULT_FD_FROM = 200  # out of the way of code that closes or reuses low numbers


def run_child(order: dict[str, Any], descriptors: Descriptors) -> None:
    """Runs `order["job"]` and exits the process. Called in a fresh fork."""
    token, lesser_token = order.pop("token"), order.pop("lesser_token")
    phases = Phases(order["asked_at"])
    phases.mark("fork")
    result = fcntl.fcntl(descriptors.result, fcntl.F_DUPFD_CLOEXEC, _RESULT_FD_FROM)
    _take_over_output(descriptors)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    _settle(order)
    phases.mark("settle")
    job = {**_with_progress(order["job"], result, lesser_token), "mark": phases.mark}
    integrity.install(job, _caught(result, lesser_token))
    preloaded = set(sys.modules)
    try:
        answer = {"answer": dispatch(job)}
    except BaseException:
        answer = {"error": traceback.format_exc(limit=30)}
    phases.mark("rest")
    late = any(name in sys.modules and name not in preloaded for name in LATE)
    _write_line(result, {"token": token, "phases": phases.seconds, "late": late, **answer})
    _flush_output()
    os._exit(0)


def dispatch(job: dict[str, Any]) -> Any:
    """Runs the function that a job's `stage` names and returns its JSON-ready answer."""
    module, function = {
        "query": ("devices", "query"),
        "collect": ("tests", "collect"),
        "tests": ("tests", "run"),
        "load": ("compile", "run"),
        "time": ("timing", "run"),
        "produce": ("differential.produce", "run"),
        "judge": ("differential.judge", "run"),
        "probe": ("probe", "run"),
        "attest": ("attest", "run"),
    }[job["stage"]]
    run: Callable[[dict[str, Any]], Any] = getattr(
        importlib.import_module(f".{module}", __package__), function
    )
    return run(job)


def _take_over_output(descriptors: Descriptors) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(descriptors.stdout, 1)
    os.dup2(descriptors.stderr, 2)
    for descriptor in {
        null,
        descriptors.order,
        descriptors.result,
        descriptors.stdout,
        descriptors.stderr,
    }:
        if descriptor > 2:
            os.close(descriptor)


def _settle(order: dict[str, Any]) -> None:
    """Own session, environment, limits, confinement and working directory."""
    os.setsid()
    os.umask(0o077)
    os.environ.clear()
    os.environ.update(order["env"])
    tempfile.tempdir = None  # it remembers the zygote's
    sys.dont_write_bytecode = True
    isolation.limit_resources(file_bytes=order["limits"]["disk_bytes"])
    os.chdir("/")  # a folder that a mount covers would still be open to us
    isolation.enter(order)
    os.chdir(order["cwd"])


def _with_progress(job: dict[str, Any], result: int, token: str) -> dict[str, Any]:
    def progress(detail: str, done: int = 0, total: int = 0) -> None:
        line = {"detail": detail, "done": done, "total": total}
        _write_line(result, {"token": token, "progress": line})

    return {**job, "progress": progress}


def _caught(result: int, token: str) -> integrity.Caught:
    """What ends this process for a trick. Bound now: a candidate may replace the functions."""
    write, dumps, leave = os.write, json.dumps, os._exit

    def caught(reason: str, detail: str) -> None:
        line = dumps({"token": token, "caught": {"reason": reason, "detail": detail}})
        write(result, line.encode() + b"\n")
        leave(0)

    return caught


def _write_line(descriptor: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # user code may have closed or replaced them
            stream.flush()
