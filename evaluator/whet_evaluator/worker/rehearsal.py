"""What a first stage would do for itself, done once in the zygote for all that follow.

Two things cost every forked child the same again: modules that pytest and its plugins
import only while a session runs, and what Triton sets up with the first kernel that a
process compiles (measured: 0.45 s for a first kernel, 0.07 s for any other). A throw-away
child runs an empty session and tells which modules appeared; the zygote imports those and
compiles one kernel of ours for each backend. No driver is asked and no tensor is touched.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import sysconfig
import tempfile
import warnings
from typing import Any

from . import sharing

_PATIENCE_S = 20.0
_TARGETS = (("cuda", 80, 32), ("hip", "gfx942", 64))
_TEST = "def test_nothing():\n    assert True\n"
_KERNEL = """
import triton
import triton.language as tl


@triton.jit
def scale(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = tl.load(x + at, mask=at < n, other=0.0)
    tl.store(y + at, tl.exp(value) / tl.sum(value, 0), mask=at < n)
"""


def import_late_modules() -> None:
    """Imports what an empty pytest session imports, as far as it is not the user's own."""
    roots = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))
    for name, file in _modules_of_a_session():
        if name in sys.builtin_module_names or (file or "").startswith(roots):
            _import_quietly(name)


def compile_one_kernel() -> None:
    """Compiles a kernel of ours for each backend that this Triton has. Failing costs each
    child the time it was to save, so nothing is raised."""
    if os.environ.get("TRITON_INTERPRET") == "1":
        return
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = os.path.join(folder, "whet_rehearsal.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(_KERNEL)
        for target in _TARGETS:
            with contextlib.suppress(Exception), contextlib.redirect_stderr(io.StringIO()):
                _compile(path, target)


def _compile(path: str, target: tuple[Any, ...]) -> None:
    from . import importing

    compiler: Any = importlib.import_module("triton.compiler")
    targets: Any = importlib.import_module("triton.backends.compiler")
    triton: Any = importlib.import_module("triton")
    kernel = importing.load_file(path, "whet_rehearsal").scale
    del sys.modules["whet_rehearsal"]
    signature = {"x": "*fp32", "y": "*fp32", "n": "i32", "BLOCK": "constexpr"}
    source = compiler.ASTSource(kernel, signature, {"BLOCK": 256}, {})
    triton.compile(source, target=targets.GPUTarget(*target))


def _modules_of_a_session() -> list[tuple[str, str | None]]:
    """Names and files of the modules that a session adds to those loaded here."""
    told = sharing.told(_run_a_session, _PATIENCE_S)
    with contextlib.suppress(ValueError, TypeError):
        return [(name, file) for name, file in told or ()]
    return []  # it crashed or hung: children import for themselves


def _run_a_session() -> list[tuple[str, str | None]]:
    pytest: Any = importlib.import_module("pytest")
    before = set(sys.modules)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "test_nothing.py")
        with open(path, "w", encoding="ascii") as file:
            file.write(_TEST)
        pytest.main([f"--rootdir={folder}", "-p", "no:cacheprovider", "--assert=plain", path])
    added = [name for name in sys.modules if name not in before]
    return [(name, getattr(sys.modules[name], "__file__", None)) for name in added]


def _import_quietly(name: str) -> None:
    with warnings.catch_warnings(), contextlib.suppress(BaseException):
        warnings.simplefilter("ignore")
        importlib.import_module(name)
