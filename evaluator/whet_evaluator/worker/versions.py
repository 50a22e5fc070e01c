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
    return Versions(original, candidate, registers=bool(registered))


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
