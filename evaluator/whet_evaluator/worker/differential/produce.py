"""Stage *produce*: one version runs the cases; its outputs go to files for others to judge.

The process imports one version only. Each case is run several times, by name:

- `first`: fresh tensors, uninitialised memory holding one pattern;
- `again`: equal values in fresh tensors at other addresses, the other pattern, and on the
  interpreter the other order of combining;
- `other`, `back`: the tensors of `first` with other values, then with the first ones, which
  autotuned kernels meet as if for the first time (see `tuners`);
- `ulp`: floating-point inputs moved by one unit in the last place;
- `float64`, `nudged`: on the interpreter with wide registers (see `widen`);
- `reference`: the function that the user trusts, in place of the launcher.

A case that kills the process has no `ended` file; the caller starts again behind it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import combining, importing, interpret, launchers, overlay
from ..proof import Proof
from ..record import Recorder
from . import inputs, outputs, tuners
from .aftermath import overwritten
from .bounds import Bounds
from .cases import PROVEN
from .dry import Dry
from .execution import Execution, Made, Prepared
from .hints import Hints
from .poison import Poison
from .races import Races
from .threads import Threads
from .widen import widened

_CLOCKS = {"interpret": time.process_time, "device": time.monotonic}
"""What the budget is counted in. On the interpreter the CPU's own seconds: how busy the other
cores are must not decide how much is asked."""
_PATTERN = {"first": 0, "again": 1, "other": 0, "back": 1}


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Runs `job["cases"]`, each `{case, runs, dump, must}`, until `job["budget_s"]` of `_CLOCKS`
    are spent and no more must be run, or `job["max_bytes"]` are written.

    Case k's files go to `job["folder"]/k`. Returns `{done, configs}`: how many cases were run,
    and by launcher how many configurations an autotuned kernel had at most.
    """
    producer, clock = Producer(job), _CLOCKS[job["mode"]]
    began = clock()
    total = len(job["cases"])
    done = 0
    configs: dict[str, int] = {}
    for number, item in enumerate(job["cases"]):
        spent = clock() - began > float(job["budget_s"])
        full = bool(number) and producer.n_bytes > int(job["max_bytes"])
        if full:
            break
        if spent and not item["must"]:
            continue
        job["progress"](item["case"]["name"], number, total)
        producer.produce(item, os.path.join(job["folder"], str(number)))
        done += 1
        launcher = item["case"]["call"]["launcher"]
        configs[launcher] = max(tuners.n_configs(), configs.get(launcher, 0))
    return {"done": done, "configs": configs}


class Producer:
    """The imported version, and what watches it."""

    def __init__(self, job: dict[str, Any]) -> None:
        overlay.install(job)
        self._interpreted = job["mode"] == "interpret"
        self._dry = Dry()
        if self._interpreted:
            interpret.install(job)
            self._dry.install(importlib.import_module("triton.runtime.interpreter"))
        tuners.install()
        import torch

        self._torch = torch
        self._job = job
        self._poison = Poison(torch)
        self._poison.install()
        self._recorder = Recorder({**job, "record": False})
        self._recorder.install()
        self._proof = Proof(torch, job["unit_file"])
        self._proof.install(_launchable(interpreted=self._interpreted))
        self._races, self._bounds = Races(lambda: self._recorder.launching), Bounds()
        self._threads, self._hints = Threads(lambda: self._recorder.launching), Hints()
        self._dry_runs: dict[str, outputs.Run] = {}
        if self._interpreted:
            from triton.runtime import interpreter

            self._races.install(interpreter.InterpreterBuilder)
            self._threads.install(interpreter.InterpreterBuilder)
            self._bounds.install(interpreter)
            self._hints.install(interpreter.TensorHandle)
        self._module: ModuleType = importing.import_unit(job)
        self._references: dict[str, Callable[..., Any]] = {}
        self._earlier: Made | None = None
        """What the case's run `first` returned, until `again` has run."""
        self.n_bytes = 0

    def produce(self, item: dict[str, Any], folder: str) -> None:
        """All runs of one case. What the version raises is part of what it did."""
        os.makedirs(folder, exist_ok=True)
        Path(folder, "begun").touch()
        case, dump = item["case"], item.get("dump")
        kept: Prepared | None = None
        self._earlier = None
        tuners.turn(int(case.get("turn", 0)))
        for name in item["runs"]:
            self._poison.begin(None)
            if case.get("dry"):
                self.n_bytes += outputs.write(folder, name, self._dry_run(case))
                continue
            try:
                prepared = self._prepared(name, case, kept)
            except Exception as error:
                _reraise_device_fault(f"{error}")
                made = outputs.Run(raised=f"{outputs.NOT_REBUILT}: {error}"[:300])
            else:
                kept = prepared if name == "first" else kept
                made = self._execute(name, case, prepared, dump)
                _reraise_device_fault(made.raised or "")
            self.n_bytes += outputs.write(folder, name, made)
        Path(folder, "ended").touch()

    def _prepared(self, name: str, case: dict[str, Any], kept: Prepared | None) -> Prepared:
        if name in {"other", "back"} and kept is not None:
            kept.refill({**case, "seed": case["seed"] + (1 if name == "other" else 0)})
            return kept
        prepared = Prepared(self._torch, case, self._device, shifted=name == "again")
        if name == "ulp":
            prepared.nudge()
        return prepared

    def _dry_run(self, case: dict[str, Any]) -> outputs.Run:
        """Each run of a dry case is the first one: nothing about it is drawn."""
        if self._dry_runs.get(case["id"]) is None:
            made = inputs.build(case, self._device, filled=False)
            self._bounds.begin(made.extents(), self._poison.extents)
            raised = self._dry.call(lambda: self._function("first", case), made)
            self._dry_runs[case["id"]] = outputs.Run(raised=raised, strayed=self._bounds.end())
        return self._dry_runs[case["id"]]

    @property
    def _device(self) -> str:
        return "cuda"

    def _execute(
        self, name: str, case: dict[str, Any], prepared: Prepared, dump: list[int] | None
    ) -> outputs.Run:
        self._torch.manual_seed(case["seed"])
        nodeid = f"{case['id']}:{name}"
        self._recorder.begin(nodeid)
        self._poison.begin(_PATTERN.get(name))
        # Twice, since a version may do in a second call what it does not in a first.
        watched = name in {"first", "again"} and case["group"] in PROVEN
        execution = Execution(self._torch, prepared, dump, self._proof if watched else None)
        began, n_tunings = time.monotonic(), tuners.n_tunings()
        self._bounds.begin(prepared.extents(), self._poison.extents)
        if name == "first":
            self._races.begin()
            self._threads.begin()
            self._hints.begin()
        with self._manner(name, case):
            made = execution.of(lambda: self._function(name, case))
        overwrites = False
        if name == "first":
            self._earlier = made
        elif self._earlier is not None:
            overwrites = overwritten(self._earlier.live, self._earlier.outputs, made.live)
            self._earlier = None
        run = outputs.Run(
            raised=made.raised, structure=made.structure, plain=made.plain,
            outputs=made.outputs, changed=made.changed,
            zones_intact=made.zones_intact and self._poison.intact(),
            launches=dict(self._recorder.n_launches(nodeid)),
            seconds=time.monotonic() - began, origins=made.origins, race=self._races.end() or self._threads.end(),
            strayed=self._bounds.end(), misled=self._hints.end(), settings=made.settings, overwrites=overwrites,
            tuned=tuners.n_tunings() > n_tunings, together=made.together,
            reordered=combining.was_reordered(), is_work_left=made.is_work_left,
            held=made.held,
        )  # fmt: skip
        if name == "first" and self._races.may_go_otherwise:
            return dataclasses.replace(run, race=run.race or self._race_in_turns(case))
        return run

    def _race_in_turns(self, case: dict[str, Any]) -> str:
        """What shows where programs draw tickets in turns; only accesses are looked at."""
        self._torch.manual_seed(case["seed"])
        self._recorder.begin(f"{case['id']}:in turns")
        self._poison.begin(0)
        prepared = Prepared(self._torch, case, self._device, shifted=False)
        self._races.begin(in_turns=True)
        made = Execution(self._torch, prepared, None).of(lambda: self._function("first", case))
        race = self._races.end()
        return "" if made.raised else race

    def _manner(self, name: str, case: dict[str, Any]) -> contextlib.AbstractContextManager[None]:
        if name == "back":
            return tuners.tuned()
        if name == "again":
            return combining.in_another_order()
        if name not in {"float64", "nudged"}:
            return contextlib.nullcontext()
        return widened(nudged=name == "nudged", alike="equal" in case["values"].values())

    def _function(self, name: str, case: dict[str, Any]) -> Callable[..., Any]:
        call = case["call"]
        if name == "reference":
            return wide_first(self._torch, self._reference(call["launcher"]))
        return launchers.launcher_of(self._module, call, self._device)

    def _reference(self, launcher: str) -> Callable[..., Any]:
        named = self._job["references"][launcher]
        if named not in self._references:
            path, _, function = named.partition("::")
            file = os.path.join(self._job["scratch"], path)
            stem = os.path.splitext(os.path.basename(path))[0]
            module = importing.load_file(file, f"{stem}__reference")
            self._references[named] = found(module, function)
        return self._references[named]


def found(module: ModuleType, name: str) -> Callable[..., Any]:
    """The module's callable of that dotted name. Raises `TypeError`."""
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    if not callable(value):
        raise TypeError(f"no function {name} in {module.__name__}")
    return value  # type: ignore[no-any-return]


def _reraise_device_fault(message: str) -> None:
    """After a fault on the device nothing else runs in the process: it ends here, in the case
    that brought it about, and the rest gets a process of its own."""
    if _DEVICE_FAULT.search(message):
        raise RuntimeError(message)


_DEVICE_FAULT = re.compile(
    r"(CUDA|HIP) error|illegal memory access|device-side assert|unspecified launch failure|"
    r"misaligned address"
)


def wide_first(torch: Any, reference: Callable[..., Any]) -> Callable[..., Any]:
    """`reference` with floating-point tensors as float64, or as they are where it refuses."""

    def widened_value(value: Any) -> Any:
        if isinstance(value, (list, tuple)) and type(value) in {list, tuple}:
            return type(value)(widened_value(item) for item in value)
        if isinstance(value, dict):
            return {key: widened_value(item) for key, item in value.items()}
        if isinstance(value, torch.Tensor) and value.dtype.is_floating_point:
            return value.double()
        return value

    @functools.wraps(reference)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return reference(*widened_value(args), **widened_value(kwargs))
        except (TypeError, ValueError, RuntimeError, AssertionError):
            return reference(*args, **kwargs)

    return call


def _launchable(*, interpreted: bool) -> Any:
    """Triton's class of functions that are launched."""
    if interpreted:
        from triton.runtime import interpreter

        return interpreter.InterpretedFunction
    from triton.runtime import jit

    return jit.JITFunction
