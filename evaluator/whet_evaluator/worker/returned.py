"""What a launcher returned, taken apart: tuples, dicts and the small classes that hold results."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

from .rebuilding import Rebuilt


def tensors_in(value: Any) -> list[Any]:
    """The tensors in it, in order."""
    if hasattr(value, "untyped_storage"):
        return [value]
    return [tensor for _, item in parts(value) or () for tensor in tensors_in(item)]


def structure_of(value: Any, plain: list[Any]) -> str:
    """`(Tensor, [int])`, `Stats(mean: Tensor)`; numbers and texts are added to `plain`."""
    found = parts(value)
    if found is not None:
        inner = ", ".join(
            f"{name}: {structure_of(item, plain)}" if name else structure_of(item, plain)
            for name, item in found
        )
        opening, closing = _brackets(value)
        return f"{opening}{inner}{closing}"
    if isinstance(value, (bool, int, str)):
        plain.append(value)
    elif isinstance(value, float):
        plain.append(repr(value))
    return type(value).__name__


def parts(value: Any) -> list[tuple[str, Any]] | None:
    """`(name, content)` of what holds others; None for everything else."""
    if isinstance(value, (list, tuple)):
        names = getattr(value, "_fields", None) or [""] * len(value)
        return list(zip(map(str, names), value))
    if isinstance(value, dict):
        return [(str(key), item) for key, item in value.items()]
    if isinstance(value, Rebuilt):
        return [("", value.state)]
    names = _fields(value)
    return None if names is None else [(name, getattr(value, name, None)) for name in names]


def _fields(value: Any) -> list[str] | None:
    """Of an instance of a dataclass or of attrs, or of a plain namespace."""
    if isinstance(value, type):
        return None
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value)]
    if isinstance(value, types.SimpleNamespace):
        return sorted(vars(value))
    attributes = getattr(type(value), "__attrs_attrs__", None)
    return None if attributes is None else [attribute.name for attribute in attributes]


def _brackets(value: Any) -> tuple[str, str]:
    if isinstance(value, list):
        return "[", "]"
    if type(value) is dict:
        return "{", "}"
    is_plain = isinstance(value, tuple) and not _is_named(value)
    return ("" if is_plain else type(value).__name__) + "(", ")"


def _is_named(value: tuple[Any, ...]) -> bool:
    """A named tuple, or one of C's, such as what `torch.max` returns."""
    return hasattr(value, "_fields") or hasattr(type(value), "n_sequence_fields")
