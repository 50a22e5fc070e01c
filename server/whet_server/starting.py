"""LSP's classes, made as cheaply as they can be: most of a server's start goes into them.

attrs writes methods for five hundred classes as text and compiles them at every start. Half of them
nobody asks for; what the rest compiled to is kept between starts, as Python keeps a module's bytecode.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import hashlib
import importlib.util
import marshal
import os
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import attrs
import platformdirs


def import_types_of_lsp() -> None:
    """Without methods that print or compare (`Position`, `Range` and `Location`, which are
    compared, bring their own), and without making each class once more with slots."""
    define, kept = attrs.define, Compiled(_cache())
    maker: Any = sys.modules[attrs.fields.__module__]
    attrs.define = functools.partial(define, repr=False, eq=False, slots=False)
    maker.compile = kept.compile  # before the builtin of that name, for this module alone
    try:
        import pygls.io_  # noqa: F401 - it imports them, for all who come next
    finally:
        attrs.define = define
        del maker.compile
    kept.keep()


class Compiled:
    """What texts compiled to, in a file of the user's own that another Python does not read.

    A file that is missing, cut short or cannot be written costs the time it was to save."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, str, str], CodeType] = _read(path)
        self._is_new = False

    def compile(self, text: str, filename: str, mode: str) -> CodeType:
        """As the builtin does."""
        key = (text, filename, mode)
        if key not in self._known:
            self._known[key] = builtins.compile(*key)
            self._is_new = True
        return self._known[key]

    def keep(self) -> None:
        """Replaces the file at once, so that two servers that start together do not meet."""
        if not self._is_new:
            return
        data = marshal.dumps(self._known)
        mine = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            mine.write_bytes(hashlib.sha256(data).digest() + data)
            mine.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                mine.unlink(missing_ok=True)


def _read(path: Path) -> dict[tuple[str, str, str], CodeType]:
    try:
        content = path.read_bytes()
    except OSError:
        return {}
    digest, data = content[:32], content[32:]
    if hashlib.sha256(data).digest() != digest:
        return {}
    known: dict[tuple[str, str, str], CodeType] = marshal.loads(data)  # noqa: S302 - as any .pyc
    return known


def _cache() -> Path:
    """Bytecode has the number of the Python that made it."""
    number = importlib.util.MAGIC_NUMBER.hex()
    return platformdirs.user_cache_path("whet") / f"lsp-{sys.implementation.cache_tag}-{number}"
