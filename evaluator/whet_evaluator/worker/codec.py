"""Frozen dataclasses to JSON and back, for messages and for what a child answers.

Written here because the worker may import nothing; the journal uses cattrs.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, Union


def to_json(value: Any) -> Any:
    """Dataclasses become objects with their class name under `kind`; tuples, lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: to_json(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != "blobs"
        }
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(expected: Any, value: Any) -> Any:
    """The inverse of `to_json` for a dataclass, union, tuple, dict or scalar type.

    Raises `KeyError` or `TypeError` when `value` does not have that form.
    """
    origin = typing.get_origin(expected)
    if origin in (Union, types.UnionType):
        return _from_union(typing.get_args(expected), value)
    if origin is tuple:
        return _from_tuple(typing.get_args(expected), value)
    if origin is dict:
        _, item_type = typing.get_args(expected)
        return {key: from_json(item_type, item) for key, item in value.items()}
    if dataclasses.is_dataclass(expected):
        return _from_object(expected, value)
    return value


def _from_union(members: tuple[Any, ...], value: Any) -> Any:
    if isinstance(value, list):
        return from_json(next(m for m in members if typing.get_origin(m) is tuple), value)
    if not isinstance(value, dict) or "kind" not in value:
        return value
    for member in members:
        if getattr(member, "__name__", None) == value["kind"]:
            return _from_object(member, value)
    raise TypeError(f"{value['kind']!r} is none of {[m.__name__ for m in members]}")


def _from_tuple(members: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(from_json(members[0], item) for item in value)
    return tuple(from_json(m, item) for m, item in zip(members, value, strict=True))


def _from_object(cls: Any, value: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    return cls(**{k: from_json(hints[k], v) for k, v in value.items() if k in known})
