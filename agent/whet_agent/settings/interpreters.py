"""Which Python runs the user's kernels when settings do not say: found, with the reason."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs


def own_kernel_packages() -> bool:
    """Whether torch and triton lie beside Whet, as in its own development environment.

    Looks without importing: this may be asked in the language server.
    """
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "triton"))


@attrs.frozen(kw_only=True)
class FoundPython:
    """`reason` completes "using this Python because ..." for `whet doctor`."""

    path: str
    reason: str


def find_python(
    root: Path,
    environ: Mapping[str, str],
    *,
    which: Callable[[str], str | None] = shutil.which,
    has_kernel_packages: Callable[[], bool] = own_kernel_packages,
) -> FoundPython:
    """The project's `.venv`, else the active virtual or conda environment, else Whet's own
    where it can run kernels, else PATH.

    Whether it has torch and triton is the handshake's to say. Nothing is started.
    """
    places = (
        (root / ".venv", "it is the project's .venv"),
        (root / "venv", "it is the project's venv"),
        (_folder(environ, "VIRTUAL_ENV"), "VIRTUAL_ENV is active"),
        (_folder(environ, "CONDA_PREFIX"), "the conda environment is active"),
    )
    for folder, reason in places:
        python = _python_in(folder) if folder is not None else None
        if python is not None:
            return FoundPython(path=str(python), reason=reason)
    if has_kernel_packages():
        return FoundPython(path=sys.executable, reason="it is Whet's own and has torch and triton")
    for name in ("python3", "python"):
        found = which(name)
        if found is not None:
            return FoundPython(path=found, reason=f"it is {name} on PATH")
    return FoundPython(path="python3", reason="nothing better was found; set `python`")


def _folder(environ: Mapping[str, str], variable: str) -> Path | None:
    value = environ.get(variable)
    return Path(value) if value else None


def _python_in(folder: Path) -> Path | None:
    for relative in ("bin/python", "bin/python3", "Scripts/python.exe"):
        python = folder / relative
        if python.is_file():
            return python  # not resolved: the link's place is what makes it a venv
    return None
