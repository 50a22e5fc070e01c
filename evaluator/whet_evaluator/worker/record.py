"""Sees every launch of the unit's kernels, and from which test and launcher it came.

The hook sits on the class of Triton's jit objects, so nothing a module rebinds, imports
by name or keeps in a table escapes it, nor does what the autotuner or a heuristic passes
on. A kernel belongs to the unit when its code comes from the unit's file. Launches that
differ in nothing the compiler or the memory system sees are one record with a count.
"""

from __future__ import annotations

import os
import sys
from collections import Counter as Counter_
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from . import gate, limits, placed, spelling, warmed
from .calls import CallRecorder
from .counting import Counter
from .launch_records import Launch

MAX_LAUNCHES = 500
COMPILING_S = 1.0
"""A first launch waits no longer for what is being compiled beside (`job["compiled"]`)."""
_LOW_PRECISION = {"fp8": "float8 arithmetic"}


class Recorder:
    """One per child. `install` hooks Triton; `begin` names the running test."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._unit_file = os.path.realpath(job["unit_file"]) if job.get("unit_file") else None
        unit = job.get("unit") or {}
        self._launchers = tuple(unit.get("launchers", ()))
        self._detailed = bool(job.get("record"))
        self._interpreted = job["mode"] == "interpret"
        self._nodeid = ""
        self._tuning = 0
        self._compiled: str | None = job.get("compiled")
        self._seen: dict[Any, dict[str, Any]] = {}
        self._kernels: dict[str, list[str]] = {}
        self._n_launches: Counter_[tuple[str, str]] = Counter_()
        self._counter = Counter() if self._detailed and self._interpreted else None
        self.calls = CallRecorder(
            self._unit_file, self._launchers, lambda: self._nodeid,
            describes=bool(job.get("describe_calls", True)),
        )  # fmt: skip

    def install(self) -> None:
        """Hooks launches; with `job["record"]` also counts bytes and records calls."""
        from triton.runtime import jit
        from triton.runtime.autotuner import Autotuner

        if self._interpreted:
            from triton.runtime import interpreter

            if self._counter is not None:
                self._counter.install(interpreter.InterpreterBuilder)
            self._hook(interpreter.InterpretedFunction)
            self._watch_grid(interpreter.InterpreterBuilder)
        else:
            from triton.compiler.compiler import CompiledKernel

            warmed.install(jit.JITFunction, CompiledKernel)
            self._hook(jit.JITFunction)
        self._ignore_tuning(Autotuner)
        if self._detailed:
            self.calls.install()
            self._watch_wrappers(Autotuner)

    def begin(self, nodeid: str) -> None:
        self._nodeid = nodeid
        if self._detailed:
            self.calls.look()

    def kernels_of(self, nodeid: str) -> tuple[str, ...]:
        """Kernels of the unit that the test launched, in order of first launch."""
        return tuple(self._kernels.get(nodeid, ()))

    def n_launches(self, nodeid: str) -> dict[str, int]:
        """How often the test launched each kernel of the unit."""
        return {name: n for (node, name), n in self._n_launches.items() if node == nodeid}

    @property
    def launching(self) -> str | None:
        """The unit's kernel that the interpreter is running, if any."""
        return None if self._pending is None else str(self._pending["kernel"])

    def launches(self) -> list[Launch]:
        return [Launch(**fields) for fields in self._seen.values()]

    # ---- hooks ------------------------------------------------------------------------

    def _hook(self, jit_class: Any) -> None:
        original = jit_class.run
        recorder = self

        def run(jit: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
            if recorder._compiled and recorder._watches(jit):
                gate.wait_for(recorder._compiled, COMPILING_S)
                recorder._compiled = None
            if warmup or not recorder._watches(jit):
                return original(jit, *args, grid=grid, warmup=warmup, **kwargs)
            with (
                recorder._direct(jit, grid, args, kwargs),
                recorder._launch(jit, args, kwargs, grid) as grid_seen,
            ):
                return original(jit, *args, grid=grid_seen, warmup=warmup, **kwargs)

        jit_class.run = run

    def _watch_wrappers(self, autotuner: Any) -> None:
        """What a test launches itself is the outermost object: with its own choice of constants."""
        from triton.runtime.autotuner import Heuristics

        recorder = self
        for wrapper in (autotuner, Heuristics):

            def run(found: Any, *args: Any, _original: Any = wrapper.run, **kwargs: Any) -> Any:
                given = {k: v for k, v in kwargs.items() if k not in {"grid", "warmup"}}
                with recorder._direct(found, kwargs.get("grid"), args, given):
                    return _original(found, *args, **kwargs)

            wrapper.run = run

    def _direct(
        self, kernel: Any, grid: Any, args: Any, kwargs: Any
    ) -> AbstractContextManager[None]:
        watched = self._unit_file is not None and placed.is_kernel_of(kernel, self._unit_file)
        if not self._detailed or not watched or self._tuning or self._entry() is not None:
            return nullcontext()
        return self.calls.direct(kernel, grid, args, kwargs)

    def _watches(self, jit: Any) -> bool:
        code = getattr(getattr(jit, "fn", None), "__code__", None)
        return (
            self._tuning == 0
            and code is not None
            and os.path.realpath(code.co_filename) == self._unit_file
        )

    @contextmanager
    def _launch(self, jit: Any, args: Any, kwargs: Any, grid: Any) -> Iterator[Any]:
        names = list(jit.arg_names)
        bound = {**dict(zip(names, args)), **{k: v for k, v in kwargs.items() if k in names}}
        bound = {**spelling.defaults(jit, names), **bound}
        fields = self._fields(jit, names, bound, kwargs)
        if not self._interpreted:
            fields["grid"] = spelling.grid(grid({**kwargs, **bound}) if callable(grid) else grid)
            self._note(fields)
            yield grid
            return
        for dtype, limit in _LOW_PRECISION.items():
            if any(a.type.startswith(("*" + dtype, dtype)) for a in fields["arguments"]):
                limits.touch(limit)
        self._pending = fields
        fields["grid"] = ()
        known = _key(fields) in self._seen_without_grid()
        if self._counter is None or known:
            yield grid
        else:
            with self._counter.counting():
                yield grid
            fields["counted"] = self._counter.result(fields["grid"])
        self._note(fields)

    def _watch_grid(self, builder: Any) -> None:
        """The interpreter evaluates the grid; its builder is told the numbers."""
        original, recorder = builder.set_grid_dim, self

        def set_grid_dim(self: Any, *dims: int) -> None:
            if recorder._pending is not None:
                recorder._pending["grid"] = spelling.grid(dims)
            original(self, *dims)

        builder.set_grid_dim = set_grid_dim

    _pending: dict[str, Any] | None = None

    def _ignore_tuning(self, autotuner: Any) -> None:
        """Launches of the autotuner's own benchmark are not the test's."""
        original, recorder = autotuner._bench, self

        def bench(self: Any, *args: Any, **kwargs: Any) -> Any:
            recorder._tuning += 1
            try:
                return original(self, *args, **kwargs)
            finally:
                recorder._tuning -= 1

        autotuner._bench = bench

    # ---- what is kept -----------------------------------------------------------------

    def _fields(self, jit: Any, names: list[str], bound: Any, kwargs: Any) -> dict[str, Any]:
        constexprs = spelling.constexprs(jit, names)
        arguments = tuple(
            spelling.argument(name, bound.get(name), constexpr=name in constexprs) for name in names
        )
        options = {
            key: value
            for key, value in kwargs.items()
            if key not in names and isinstance(value, (int, bool, str, type(None)))
        }
        return {
            "kernel": spelling.qualname(jit.fn),
            "arguments": arguments,
            "options": options,
            "entry": self._entry(),
            "nodeid": self._nodeid,
            "count": 1,
            "counted": None,
        }

    def _note(self, fields: dict[str, Any]) -> None:
        if self.calls.is_benchmarking:  # no specialisation that the tests demand
            self._pending = None
            return
        kernels = self._kernels.setdefault(self._nodeid, [])
        if fields["kernel"] not in kernels:
            kernels.append(fields["kernel"])
        self._pending = None
        self._n_launches[(self._nodeid, fields["kernel"])] += 1
        key = (*_key(fields), fields["grid"])
        if key in self._seen:
            self._seen[key]["count"] += 1
        elif len(self._seen) < MAX_LAUNCHES:
            self._seen[key] = fields

    def _seen_without_grid(self) -> set[Any]:
        return {key[:-1] for key in self._seen}

    def _entry(self) -> str | None:
        """The outermost launcher of the unit on the stack."""
        entry, frame = self.calls.entry, sys._getframe(1)
        if entry is not None:
            return entry
        while frame is not None:
            if os.path.realpath(frame.f_code.co_filename) == self._unit_file:
                name = _frame_name(frame)
                entry = next((x for x in self._launchers if _same(x, name)), entry)
            frame = frame.f_back  # type: ignore[assignment]
        return entry


def _key(fields: dict[str, Any]) -> tuple[Any, ...]:
    options = tuple(sorted((k, str(v)) for k, v in fields["options"].items()))
    return fields["kernel"], fields["arguments"], options, fields["entry"]


def _frame_name(frame: Any) -> str:
    """`Softmax.forward`; Python 3.10 knows only the last part."""
    return str(getattr(frame.f_code, "co_qualname", frame.f_code.co_name)).replace(".<locals>", "")


def _same(launcher: str, name: str) -> bool:
    return launcher == name or ("." not in name and launcher.endswith("." + name))
