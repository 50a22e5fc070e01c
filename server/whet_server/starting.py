"""LSP's classes, made when they are first used: most of a server's start would go into them.

attrs writes and compiles methods for five hundred classes whenever lsprotocol is imported, and an
editor asks for few of them. Until it does, a class has a constructor that makes it first, and
so has the list of its fields, by which attrs and cattrs know a class of theirs.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any

import attrs

_TYPES = "lsprotocol.types"
_LOCK = threading.RLock()


def import_types_of_lsp() -> None:
    """Without methods that print or compare (`Position`, `Range` and `Location`, which are
    compared, bring their own), and without making each class once more with slots."""
    library: Any = attrs
    define = library.define

    def later(plain: type | None = None, **options: Any) -> Any:
        if plain is None or plain.__module__ != _TYPES:
            return define(plain, **options)
        return _Later(plain, define).stand_in()

    library.define = later
    try:
        import pygls.io_  # noqa: F401 - it imports them, for all who come next
    finally:
        library.define = define
    # It would look at every class, and so make it, to resolve what `make` does one by one.
    hooks: Any = importlib.import_module("lsprotocol._hooks")
    hooks._resolved_forward_references = True  # noqa: SLF001 - it has no other switch


class _Later:
    """Makes a plain class one of attrs', once, when it is asked for."""

    def __init__(self, plain: type, define: Callable[..., Any]) -> None:
        self._plain: Any = plain
        self._define = define
        self._is_made = False

    def stand_in(self) -> type:
        """The class, which is made by its constructor or by whoever looks at its fields."""
        later, plain = self, self._plain

        def make_first(self: Any, *args: Any, **kwargs: Any) -> None:
            later.make()
            plain.__init__(self, *args, **kwargs)

        plain.__init__ = make_first
        plain.__attrs_attrs__ = self
        made: type = plain
        return made

    def __get__(self, _: Any, owner: Any) -> Any:
        self.make()
        return owner.__attrs_attrs__

    def make(self) -> None:
        """Others wait until it is whole."""
        with _LOCK:
            if self._is_made:
                return
            self._is_made = True
            del self._plain.__init__, self._plain.__attrs_attrs__
            self._define(self._plain, repr=False, eq=False, slots=False)
            attrs.resolve_types(self._plain, dict(sys.modules[_TYPES].ALL_TYPES_MAP), {})
