"""Records calls at the outermost entry into the unit, so that they can be replayed.

Each launcher's `__code__` is swapped for a trampoline once its module is imported. The
function object stays the same, so a call through `from m import f`, a dispatch table or
an attribute is seen alike; rebinding the module's name would miss the first two.
Only the outermost call counts: a launcher calling another is one call. What counts as a
launcher beside the unit's own: functions of other modules that use its kernels, functions
that the unit's functions return (closures), and a kernel that a test launches itself.
An `autograd.Function` is one call, `apply`; its backward belongs to it.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from . import arguments, integrity, launchers, overlay, placed
from .arguments import encode, left_at_default
from .rebuilding import Rebuilt, reached
from .trampolines import copied, trampoline

__all__ = ["CallRecorder", "Rebuilt"]

MAX_CALLS = 200
_PAIRED = "_whet_call"
"""The attribute of an autograd context that leads from a backward to its forward's call."""


class CallRecorder:
    """One per child. `nodeid` names the running test."""

    def __init__(
        self, unit_file: str | None, launchers: tuple[str, ...], nodeid: Callable[[], str], *,
        describes: bool = True,
    ) -> None:  # fmt: skip
        self._unit_file = unit_file
        self._launchers = launchers
        self._nodeid = nodeid
        self._describes = describes
        self.is_benchmarking = False
        self._depth = 0
        self._grad = True
        self._open: _Record | None = None
        self._last: _Record | None = None
        self._unit: types.ModuleType | None = None
        self._swapped: set[int] = set()
        self._seen: dict[str, _Record] = {}

    def install(self) -> None:
        """Swaps the launchers' code as soon as their module has been imported."""
        self._watch_apply()
        overlay.after_unit_import(self._swap_unit)
        overlay.after_import(self._swap_outside)

    def look(self) -> None:
        """Finds a unit that pytest imported by its own loader: a test file, a `conftest.py`."""
        if self._unit is None and self._unit_file is not None:
            for module in list(sys.modules.values()):
                file = getattr(module, "__dict__", {}).get("__file__")
                if isinstance(file, str) and os.path.realpath(file) == self._unit_file:
                    self._swap_unit(module)
                    return

    def json(self) -> list[dict[str, Any]]:
        """`[{launcher, args, kwargs, nodeid, count}]`, in order of first call."""
        return [record.call for record in self._seen.values()]

    @property
    def entry(self) -> str | None:
        """The launcher outside the unit's file whose call is open, if one is."""
        call = self._open.call if self._open is not None else {}
        return launchers.entry_of(call) if "module" in call else None

    def _watch_apply(self) -> None:
        """Inside a forward torch has switched gradients off: whether they were asked for is
        only seen from outside, when `apply` is called."""
        import torch

        function, recorder = torch.autograd.Function, self
        original = function.__dict__["apply"].__func__

        def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
            outer, recorder._grad = recorder._grad, torch.is_grad_enabled()
            try:
                return original(cls, *args, **kwargs)
            finally:
                recorder._grad = outer

        function.apply = classmethod(apply)

    # ---- what is swapped --------------------------------------------------------------

    def _swap_unit(self, module: types.ModuleType) -> None:
        arguments.belongs_to_unit(module.__name__)
        self._unit = module
        self._swap_all(module, placed.with_factories(self._launchers, module), {})
        for path, function in placed.closures(module, self._launchers):
            self._swap(path, function, 0, {"entry": placed.qualname(function)})

    def _swap_outside(self, module: types.ModuleType) -> None:
        if self._unit is not None and self._unit_file is not None and module is not self._unit:
            users = placed.users_of_kernels(module, self._unit_file)
            self._swap_all(module, users, {"module": module.__name__})

    def _swap_all(
        self, module: types.ModuleType, names: Sequence[str], more: dict[str, Any]
    ) -> None:
        file = os.path.realpath(module.__file__ or "")
        for launcher in names:
            holder, _, last = launcher.rpartition(".")
            owner = reached(module, holder)
            if not holder:
                self._swap(launcher, placed.function(vars(module).get(last), file), 0, more)
            elif not isinstance(owner, type):
                continue
            elif placed.is_autograd(owner):
                self._swap_autograd(holder, owner, file, more)
            else:
                held = vars(owner).get(last)
                n_bound = 1 if isinstance(held, classmethod) else 0
                self._swap(launcher, placed.function(held, file), n_bound, more)

    def _swap_autograd(self, name: str, owner: type, file: str, more: dict[str, Any]) -> None:
        """An `autograd.Function` is called by `apply`, which adds the context."""
        n_context = 0 if "setup_context" in vars(owner) else 1
        forward = placed.function(vars(owner).get("forward"), file)
        self._swap(f"{name}.apply", forward, n_context, more)
        for last in ("setup_context", "backward"):
            function = placed.function(vars(owner).get(last), file)
            if function is not None and id(function) not in self._swapped:
                self._swapped.add(id(function))
                original = copied(function)
                hook = (
                    self._pairing(original) if last == "setup_context" else self._paired(original)
                )
                function.__code__ = trampoline(function.__code__, hook)

    def _swap(
        self,
        launcher: str,
        function: types.FunctionType | None,
        n_context: int,
        more: dict[str, Any],
    ) -> None:
        """Calls of `function` become calls of `launcher`, less the first `n_context`
        arguments (an autograd context, a class), which the caller does not pass."""
        if function is None or id(function) in self._swapped:
            return
        self._swapped.add(id(function))
        original = copied(function)
        signature = inspect.signature(function)
        is_autograd = launcher.endswith(".apply")
        names = list(signature.parameters)[n_context:]

        def hook(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                if is_autograd and n_context:
                    _mark(args[0], self._open)
                return original(*args, **kwargs)
            call = {"launcher": launcher, **more, "names": names}
            if not is_autograd:
                call["defaults"] = left_at_default(signature, args, kwargs)
            described = self._described(call, args[n_context:], kwargs)
            described["grad"] = self._grad if is_autograd else _grad_mode()
            with self._recorded(described, launcher) as record:
                if is_autograd and n_context:
                    _mark(args[0], record)
                result = original(*args, **kwargs)
            return self._curried(record, result)

        function.__code__ = trampoline(function.__code__, hook)
        function.__signature__ = signature  # type: ignore[attr-defined]

    def _pairing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def hook(ctx: Any, *args: Any, **kwargs: Any) -> Any:
            _mark(ctx, self._open or self._last)
            return original(ctx, *args, **kwargs)

        return hook

    def _paired(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A backward: its launches belong to the forward's call, as do its own calls."""

        def hook(ctx: Any, *args: Any, **kwargs: Any) -> Any:
            record = getattr(ctx, _PAIRED, None)
            if isinstance(record, _Record):
                record.call["backward"] = True
            self._depth += 1
            try:
                return original(ctx, *args, **kwargs)
            finally:
                self._depth -= 1

        return hook

    def _curried(self, record: _Record, result: Any) -> Any:
        """A function that a launcher of the unit made and returned is one itself."""
        if not isinstance(result, types.FunctionType) or "<locals>" not in result.__qualname__:
            return result
        if placed.function(result, self._unit_file or "") is result:
            self._seen.pop(record.key, None)
            call = record.call
            more = {k: call[k] for k in ("module",) if k in call}
            factory = {"args": call["args"], "kwargs": call["kwargs"]}
            entry = placed.qualname(result)
            self._swap(call["launcher"], result, 0, {**more, "entry": entry, "factory": factory})
        return result

    # ---- what is kept -----------------------------------------------------------------

    @contextmanager
    def direct(self, kernel: Any, grid: Any, args: Any, kwargs: Any) -> Iterator[None]:
        """A kernel of the unit that a test launches itself is a call of its own."""
        if self._depth or self._unit is None:
            yield
            return
        name, names, constants = placed.kernel(self._unit, kernel)
        bound = {**dict(zip(names, args)), **kwargs}
        given = {**placed.configured(kernel, bound), **bound}
        call = {
            "launcher": name,
            "grid": launchers.describe_grid(grid, given, constants),
            "names": names,
        }
        with self._recorded(self._described(call, args, kwargs), None):
            yield

    @contextmanager
    def benchmarking(self) -> Iterator[None]:
        """Calls made meanwhile are those that the user wants timed."""
        self.is_benchmarking = True
        try:
            yield
        finally:
            self.is_benchmarking = False

    @contextmanager
    def _recorded(self, call: dict[str, Any], launcher: str | None) -> Iterator[_Record]:
        """Notes the call unless it raises: that would be nothing to replay."""
        record = self._open = _Record(call)
        self._depth += 1
        try:
            with integrity.around_call(launcher) if launcher else nullcontext():
                yield record
        finally:
            self._depth -= 1
            self._open = None
        self._note(record)

    def _described(self, call: dict[str, Any], args: Any, kwargs: Any) -> dict[str, Any]:
        """Before the call, which may change its arguments. Looking at them takes longer than
        many a call, so a candidate's, which nobody replays, are let be."""
        if not self._describes:
            return {**call, "args": [], "kwargs": {}}
        storages: dict[int, int] = {}
        return {
            **call,
            "args": [encode(a, storages) for a in args],
            "kwargs": {k: encode(v, storages) for k, v in kwargs.items()},
        }

    def _note(self, record: _Record) -> None:
        key = record.key
        known = self._seen.get(key)
        if known is not None:
            known.call["count"] += 1
            record.call = known.call
        elif len(self._seen) < MAX_CALLS:
            record.call |= {"nodeid": self._nodeid(), "count": 1}
            self._seen[key] = record
        if self.is_benchmarking:
            record.call["benchmark"] = True
        self._last = record


class _Record:
    """A call under way; `call` is the one that is kept, also when it was seen before."""

    def __init__(self, call: dict[str, Any]) -> None:
        self.call = call
        self.key = json.dumps(_without_facts(call), sort_keys=True)


def _mark(context: Any, record: _Record | None) -> None:
    if record is not None and hasattr(context, "__dict__"):
        setattr(context, _PAIRED, record)


def _grad_mode() -> bool:
    torch = sys.modules.get("torch")
    return torch is None or bool(torch.is_grad_enabled())


def _without_facts(value: Any) -> Any:
    """The call without what differs each time random floats are drawn."""
    if isinstance(value, dict):
        return {k: _without_facts(v) for k, v in value.items() if k != "floats"}
    return [_without_facts(item) for item in value] if isinstance(value, list) else value
