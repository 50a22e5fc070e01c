"""Seeing the interpreter's operations as they happen: what `races`, `threads`, `bounds` share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def before(
    builder: Any, name: str, note: Callable[..., None], wanted: Callable[[], bool] = lambda: True
) -> None:
    """Has `note` called with the arguments of each operation `name`, where that is `wanted`,
    before it is carried out."""
    original = getattr(builder, name)

    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        if wanted():
            note(*args, **kwargs)
        return original(self, *args, **kwargs)

    setattr(builder, name, wrapped)
