"""What a candidate is going to launch, told before it runs: its launchers are called with
stand-in tensors, and kernels are noted instead of run.

A candidate that was given other constants launches other specialisations than the original
did. Told early, they are compiled on several cores while pytest starts and the device's
context is made; found out by the tests, one after the other. Nothing is decided by it: what the
tests launched is compiled in any case, from the cache where it was foretold.

It happens in a fork, which may hang, crash or start threads.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from . import interpret, launchers, sharing
from .codec import from_json, to_json
from .differential import inputs
from .launch_records import Launch
from .record import Recorder
from .returned import tensors_in

_PATIENCE_S = 5.0
"""Long for what takes a tenth of a second; a launcher may hang, or a host be busy."""
_ALSO = "also"
"""Where a test is named that a launch belongs to: none does but one of `job["also"]`."""


@dataclass(frozen=True)
class Foretold:
    """`launches` are what the tests will make, `also` what others will beside them."""

    launches: list[Launch]
    also: list[Launch]


def foretold(job: dict[str, Any], module: ModuleType) -> Foretold:
    """What `module`, the candidate, launches in `job["calls"]`, and `job["also"]`; as the original
    did in `job["launches"]` where that could not be told, kernel by kernel."""
    recorded = [from_json(Launch, launch) for launch in job["launches"]]
    told = _in_a_fork(lambda: _told(job, module)) if job.get("calls") else []
    launches = [launch for launch in told if launch.nodeid != _ALSO]
    kernels = {launch.kernel for launch in launches}
    return Foretold(
        launches=[*launches, *(launch for launch in recorded if launch.kernel not in kernels)],
        also=[launch for launch in told if launch.nodeid == _ALSO],
    )


def _told(job: dict[str, Any], module: ModuleType) -> list[Launch]:
    from triton.runtime.autotuner import Autotuner
    from triton.runtime.jit import JITFunction

    JITFunction.run = _not_run
    interpret.choose_first_config(Autotuner)
    # It tells what others wait for, and so must not wait for it itself.
    recorder = Recorder({**job, "mode": "device", "record": False, "compiled": None})
    recorder.install()
    for nodeid, calls in (("", job["calls"]), (_ALSO, job.get("also") or [])):
        recorder.begin(nodeid)
        for one in calls:
            with contextlib.suppress(Exception):
                call(module, one)
    return recorder.launches()


def _not_run(*_: Any, warmup: bool, **__: Any) -> None:
    if warmup:  # what it is asked for is the compiled kernel
        raise RuntimeError("a kernel is wanted before there is a device")


def call(module: ModuleType, recorded: dict[str, Any]) -> None:
    """Calls a launcher with stand-ins. Raises whatever it does when nothing is computed."""
    function = launchers.launcher_of(module, recorded, "cuda")
    given = inputs.build({"call": recorded}, "cuda", filled=False)
    given.restore_integers()
    args, kwargs = given.arguments(function)
    made = [tensor for tensor in tensors_in(function(*args, **kwargs)) if tensor.requires_grad]
    wanted = [tensor for tensor in given.tensors if tensor.requires_grad]
    if recorded.get("backward") and made and wanted:
        import torch

        ones = [torch.ones_like(tensor) for tensor in made]
        torch.autograd.grad(made, wanted, ones, allow_unused=True)


def _in_a_fork(tell: Callable[[], list[Launch]]) -> list[Launch]:
    """What it told in time, else nothing."""
    told = sharing.told(lambda: to_json(tell()), _PATIENCE_S)
    try:
        return [from_json(Launch, launch) for launch in told or ()]
    except (ValueError, TypeError, KeyError):
        return []
