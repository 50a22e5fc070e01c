"""Loads both versions of the unit's module into one process.

The candidate comes under its own name, the original beside it in the same package. A
module that registers operators with torch while it is imported cannot be loaded twice:
the second registration silently redirects the *first* version's operator. That is
noticed, and then only kernels that a test launches itself can be replayed.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from . import importing


@dataclass
class Versions:
    """Both modules, and why calls cannot be replayed, if they cannot."""

    original: ModuleType
    candidate: ModuleType
    registers: bool = False


def load_versions(job: dict[str, Any]) -> Versions:
    """Imports the candidate, then `job["original"]` as a sibling in its package."""
    registered: list[str] = []
    _watch_registrations(registered)
    candidate = importing.import_unit(job)
    package = candidate.__name__.rpartition(".")[0]
    stem = os.path.splitext(os.path.basename(job["unit_file"]))[0]
    name = f"{package}.{stem}__original" if package else f"{stem}__original"
    original = importing.load_file(job["original"], name)
    share_tuning(original, candidate)
    return Versions(original, candidate, registers=bool(registered))


def share_tuning(original: ModuleType, candidate: ModuleType) -> None:
    """Autotuners with the same choices make the same choice: the original's, which runs first.

    Triton's tuner reads small kernels by a noisy clock. Left alone, each version freezes a
    configuration of its own luck: an original timed against itself once read 0.87x. What a
    candidate might gain from another configuration of the same list is not claimed.
    """
    for name, tuned in _tuners(original).items():
        other = _tuners(candidate).get(name)
        if other is not None and _choices(tuned) == _choices(other):
            other.cache = tuned.cache


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


def _choices(tuner: Any) -> tuple[list[str], list[str]]:
    return [str(config) for config in tuner.configs], [str(key) for key in tuner.keys]


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
