"""Loads the versions of the unit's module, side by side where one process can hold both.

The candidate comes under its own name, the original beside it in the same package. A
module that registers operators with torch while it is imported cannot be loaded twice:
the second registration silently redirects the *first* version's operator. That is noticed
when the candidate has been imported, before the original is: then the original is loaded
in another process, under the name that the candidate has in this one. Tables of the project's
own, where the second launcher takes the first one's place, show in what is launched.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from . import importing, integrity


@dataclass
class Versions:
    """The modules to replay calls with. `registers`: only one of them can be in this process,
    and both fields name that one."""

    original: ModuleType
    candidate: ModuleType
    registers: bool = False


def load_versions(job: dict[str, Any]) -> Versions:
    """Imports the candidate, then `job["original"]` as a sibling in its package, unless the
    first registered something."""
    registered: list[str] = []
    _watch_registrations(registered)
    candidate = importing.import_unit(job)
    if registered:
        return Versions(candidate, candidate, registers=True)
    package = candidate.__name__.rpartition(".")[0]
    stem = os.path.splitext(os.path.basename(job["unit_file"]))[0]
    name = f"{package}.{stem}__original" if package else f"{stem}__original"
    try:
        original = importing.load_file(job["original"], name)
    except Exception:  # a table that takes no second entry, say: then not side by side
        sys.modules.pop(name, None)
        with contextlib.suppress(Exception):
            _execute(candidate)
        return Versions(candidate, candidate, registers=True)
    return Versions(original, candidate)


def parted(versions: Versions) -> Versions:
    """Forgets the original, for which another process must be found, and executes the candidate
    once more: what it enters in tables stands there for it again."""
    sys.modules.pop(versions.original.__name__, None)
    _execute(versions.candidate)
    return Versions(versions.candidate, versions.candidate, registers=True)


def _execute(module: ModuleType) -> None:
    spec = module.__spec__
    if spec is not None and spec.loader is not None:
        with integrity.around_import(spec.origin or ""):
            spec.loader.exec_module(module)


class CrossedError(Exception):
    """A version launched the other's kernel: a table of the project led it there."""


@contextlib.contextmanager
def launching_own(versions: Versions, *, is_candidate: bool) -> Iterator[None]:
    """Raises `CrossedError` at the end for a launch of the other version's kernels meanwhile, also
    where that failed: they may take other arguments. Not for use under the clock: each launch is looked at."""
    other = versions.original if is_candidate else versions.candidate
    seen: list[Any] = []
    kept = [(kind, kind.run) for kind in _launchable()]
    for kind, run in kept:
        kind.run = _noting(run, seen)
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    finally:
        for kind, run in kept:
            kind.run = run
    if any(around is vars(other) for around in seen):
        raise CrossedError("a version launched a kernel of the other one") from failed
    if failed is not None:
        raise failed


def _noting(run: Any, seen: list[Any]) -> Any:
    def noted(kernel: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(getattr(getattr(kernel, "fn", None), "__globals__", None))
        return run(kernel, *args, **kwargs)

    return noted


def _launchable() -> list[Any]:
    """Triton's classes of functions that are launched, as far as they are imported."""
    found = (("triton.runtime.jit", "JITFunction"),
             ("triton.runtime.interpreter", "InterpretedFunction"))  # fmt: skip
    return [getattr(sys.modules[m], name) for m, name in found if m in sys.modules]


def load_original(job: dict[str, Any]) -> Versions:
    """For a process of its own: imports `job["original"]` wherever the unit is imported, so
    that nothing in that process ever runs the candidate's text."""
    sys.meta_path.insert(0, _OriginalFinder(job["unit_file"], job["original"]))
    wanted = os.path.realpath(job["original"])
    for name in importing._names(job):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if os.path.realpath(getattr(module, "__file__", None) or "") == wanted:
            return Versions(module, module, registers=True)
    module = importing.load_file(wanted, os.path.splitext(os.path.basename(job["unit_file"]))[0])
    return Versions(module, module, registers=True)


class _OriginalFinder:
    """Where others find the unit's file, the original's is loaded, under the same name."""

    def __init__(self, unit_file: str, original: str) -> None:
        self._unit_file = os.path.realpath(unit_file)
        self._original = original
        self._asking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if self._asking:  # the overlay's finder asks all others too
            return None
        self._asking = True
        try:
            for finder in sys.meta_path:
                found = finder.find_spec(name, path, target) if finder is not self else None
                if found is not None:
                    return self._replaced(name, found)
        finally:
            self._asking = False
        return None

    def _replaced(self, name: str, found: ModuleSpec) -> ModuleSpec | None:
        if not found.origin or os.path.realpath(found.origin) != self._unit_file:
            return found
        inside = found.submodule_search_locations
        return importlib.util.spec_from_file_location(
            name, self._original, submodule_search_locations=inside
        )


def hand_over_tuning(versions: Versions) -> None:
    """Autotuners with the same choices make the same choice: the original's, which runs first.
    The candidate takes its own configuration of that place in the list: what it does to its own
    changes nothing for the original.

    Triton's tuner reads small kernels by a noisy clock. Left alone, each version freezes a
    configuration of its own luck: an original timed against itself once read 0.87x. What a
    candidate might gain from another configuration of the same list is not claimed.
    """
    for name, tuned in _tuners(versions.original).items():
        other = _tuners(versions.candidate).get(name)
        if other is not None and _choices(tuned) == _choices(other):
            for key, kept in tuned.cache.items():
                place = next((n for n, one in enumerate(tuned.configs) if one is kept), None)
                if place is not None:
                    other.cache[key] = other.configs[place]


def has_tuners(versions: Versions) -> bool:
    """Whether either version chooses a configuration by the device's clock."""
    return bool(_tuners(versions.original) or _tuners(versions.candidate))


def tuned(module: ModuleType) -> dict[str, Any]:
    """What the module's autotuners have chosen so far, as JSON for another process."""
    return {
        name: {
            "choices": _choices(tuner),
            "chosen": [
                [repr(key), tuner.configs.index(kept)]
                for key, kept in tuner.cache.items()
                if kept in tuner.configs
            ],
        }
        for name, tuner in _tuners(module).items()
    }


def adopt_tuned(module: ModuleType, found: dict[str, Any]) -> None:
    """`hand_over_tuning` from another process: what it had `tuned`."""
    for name, tuner in _tuners(module).items():
        theirs = found.get(name)
        if theirs is not None and theirs["choices"] == _choices(tuner):
            for key, index in theirs["chosen"]:
                with contextlib.suppress(ValueError):  # a key of more than plain values
                    tuner.cache[ast.literal_eval(key)] = tuner.configs[index]


def _tuners(module: ModuleType) -> dict[str, Any]:
    """Triton's `Autotuner` objects by name, also under heuristics and other wrappers."""
    found = {}
    for name, wrapped in vars(module).items():
        inner = wrapped
        while inner is not None:
            if isinstance(getattr(inner, "configs", None), list) and hasattr(inner, "cache"):
                found[name] = inner
                break
            inner = getattr(inner, "fn", None)
    return found


def _choices(tuner: Any) -> list[list[str]]:
    return [[str(config) for config in tuner.configs], [str(key) for key in tuner.keys]]


def _watch_registrations(registered: list[str]) -> None:
    """Notes every `torch.library.Library` made by a module of the user from now on."""
    import torch

    library = torch.library.Library
    original = library.__init__

    def init(self: Any, namespace: str, *args: Any, **kwargs: Any) -> None:
        frame = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_name == "<module>" and "/torch/" not in frame.f_code.co_filename:
                registered.append(namespace)
                break
            frame = frame.f_back  # type: ignore[assignment]
        original(self, namespace, *args, **kwargs)

    library.__init__ = init
