"""The interpreter's patches of `triton.language`, made once and then repeated.

For every launch, and for every call of a jit helper within one, Triton 3.6 to 3.9 looks
through all of its language for builtins and replaces them, which
is much of what a small kernel costs. What it replaces depends on nothing but the modules that a kernel sees,
so here it is noted the first time and set again later; a helper within a launch finds it
in place. What somebody else has exchanged meanwhile makes it look again.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

_MISSING = object()
_Change = tuple[Any, str, Any, Any]
"""`(object, attribute, value before, value while kernels run)`"""
_Seen = frozenset[str]
"""The modules of the language that a function sees, by name."""


class Patching:
    """In place of the interpreter's `_patch_lang`."""

    def __init__(self, interpreter: Any, language: Any) -> None:
        self._original: Callable[[Any], Any] = interpreter._patch_lang
        self._missing = getattr(interpreter, "_MISSING", _MISSING)
        self._language = language
        self._known: dict[tuple[_Seen, _Seen], list[_Change]] = {}
        self._patched: _Seen = frozenset()
        """What the launch under way, and its helpers so far, have patched."""
        self._undone_by_launch: list[_Change] = []

    def patch(self, fn: Any) -> Any:
        """A scope whose `restore` undoes what running `fn` needs patched.

        A helper's scope is never asked to: Triton forgets it, and the launch's undoes both.
        """
        # Triton looks for `tl` among the kernel's globals; `import triton` alone is as good.
        fn.__globals__.setdefault("__whet_tl__", self._language)
        seen = self._seen(fn)
        if not seen <= self._patched:
            known = self._known.get((self._patched, seen))
            if known is None or not all(_at(owner, name) is old for owner, name, old, _ in known):
                known = self._learned(fn)
                self._known[self._patched, seen] = known
            else:
                for owner, name, _, new in known:
                    setattr(owner, name, new)
            self._undone_by_launch += known
            self._patched |= seen
        return self

    def restore(self) -> None:
        """At the end of a launch."""
        for owner, name, old, _ in reversed(self._undone_by_launch):
            if old is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, old)
        self._undone_by_launch.clear()
        self._patched = frozenset()

    def _seen(self, fn: Any) -> _Seen:
        modules = (value for value in fn.__globals__.values() if inspect.ismodule(value))
        wanted = (self._language, self._language.core)
        return frozenset(module.__name__ for module in modules if module in wanted)

    def _learned(self, fn: Any) -> list[_Change]:
        """Patches by looking; an attribute set twice is one change, from its first value."""
        before: dict[tuple[int, str], tuple[Any, str, Any]] = {}
        for owner, name, old in self._original(fn)._changes:
            value = _MISSING if old is self._missing else old
            before.setdefault((id(owner), name), (owner, name, value))
        return [(owner, name, old, _at(owner, name)) for owner, name, old in before.values()]


def _at(owner: Any, name: str) -> Any:
    return getattr(owner, name, _MISSING)
