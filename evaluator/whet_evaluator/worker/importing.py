"""Imports the unit's module by the name its tests would use, for stages without tests."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from types import ModuleType
from typing import Any

from . import integrity


def import_unit(job: dict[str, Any]) -> ModuleType:
    """The module of `job["unit_file"]`. `overlay.install` must have run. Raises whatever
    the module raises."""
    wanted = os.path.realpath(job["unit_file"])
    for name in _names(job):
        module = sys.modules.get(name) or _try(name, wanted)
        if module is not None and os.path.realpath(getattr(module, "__file__", "")) == wanted:
            return module
    return load_file(wanted, os.path.splitext(os.path.basename(wanted))[0])


def load_file(path: str, name: str) -> ModuleType:
    """Runs the file at `path` as a module called `name`, always anew."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with integrity.around_import(path):
        spec.loader.exec_module(module)
    return module


def trimmed_trace(error: BaseException, unit_file: str) -> str:
    """The error as a user would want it: their own frames, then the message."""
    wanted = os.path.realpath(unit_file)
    frames = [
        f"{os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}"
        for frame in traceback.extract_tb(error.__traceback__)
        if os.path.realpath(frame.filename) == wanted
    ]
    if isinstance(error, SyntaxError):
        frames.append(f"{os.path.basename(error.filename or '')}:{error.lineno}: {error.text}")
    causes = [error]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    messages = [f"{type(cause).__name__}: {cause}" for cause in reversed(causes)]
    lines = [line.rstrip()[:240] for text in (*frames, *messages) for line in text.splitlines()]
    lines = [line for line in lines if line]
    return "\n".join(lines if len(lines) <= 40 else [*lines[:8], "...", *lines[-31:]])


def _try(name: str, wanted: str) -> ModuleType | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or os.path.realpath(spec.origin) != wanted:
        return None
    return importlib.import_module(name)


def _names(job: dict[str, Any]) -> list[str]:
    """Dotted names under which some entry of `sys.path` holds the file; packages first."""
    names = []
    for path in (job["unit_file"], job["unit_source"]):
        real = os.path.realpath(path)
        for entry in sys.path:
            root = os.path.realpath(entry or os.getcwd())
            if real.startswith(root + os.sep):
                relative = os.path.splitext(os.path.relpath(real, root))[0]
                parts = relative.split(os.sep)
                if parts[-1] == "__init__":
                    parts.pop()
                if all(part.isidentifier() for part in parts):
                    names.append(".".join(parts))
    return list(dict.fromkeys(sorted(names, key=lambda name: not _in_package(name, job))))


def _in_package(name: str, job: dict[str, Any]) -> bool:
    """Whether the name reaches exactly up to the outermost folder with an `__init__.py`."""
    depth, folder = 1, os.path.dirname(os.path.realpath(job["unit_source"]))
    while os.path.exists(os.path.join(folder, "__init__.py")):
        depth, folder = depth + 1, os.path.dirname(folder)
    return name.count(".") + 1 == depth
