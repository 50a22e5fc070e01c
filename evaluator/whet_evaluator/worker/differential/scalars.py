"""The same call with other plain numbers: a scale, an epsilon, a flag, and what the tests left
at its default.

A number that the tests always pass alike could be written into the kernel unnoticed. A
float of the recorded sign and magnitude lies within the recorded contract; a flag turned
round, a far larger epsilon, another type, another of the texts that the original holds or a
default never passed lie outside it, and so does one less of an integer. Integers that a size, a stride or a
block may be stay as they are.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

from . import encoded
from .dimensions import NOT_A_SIZE
from .encoded import Call, Path

ARGUMENT = 3
"""The length of a path to an argument itself; longer ones lead into lists and objects."""
TINY, PLAIN, ABOVE = 0.01, 0.25, 2.0
"""An epsilon is below the first; the second is a number that shows where one is ignored; the third
is above what may be a fraction."""
MAX_WORDS = 4
OTHER_FLOAT = {"float32": "float16", "float16": "float32", "bfloat16": "float32"}
RARER_FLOAT = {"float32": "float64", "float16": "bfloat16", "bfloat16": "float16"}
OTHER_TYPE = {
    **OTHER_FLOAT, "float64": "float32", "int32": "int64", "int64": "int32",
    "fp32": "fp16", "fp16": "fp32", "bf16": "fp32", "fp64": "fp32",
}  # fmt: skip
"""For a type that is passed as an argument, by torch's name and by Triton's."""
_TYPES = ("dtype", "triton dtype")


def variants(call: Call, words: Sequence[str] = ()) -> Iterator[tuple[str, Call, bool]]:
    """`(change, call, hard)`, those within the contract first. `words` are the texts that the
    original holds: one of them passed as an argument may be exchanged for another."""
    passed = [
        *_passed(call), *_spelt(call, words), *_counted(call), *_above_one(call), *_typed(call)
    ]  # fmt: skip
    for hard in (True, False):
        for path, kind, value, is_hard in passed:
            if is_hard is hard:
                yield _made(call, path, kind, value), _with(call, path, value), hard
    for name, default in call.get("defaults", {}).items():
        (kind, content), *_ = default.items()
        if content is None:  # see `forms`
            continue
        if type(content) is int and NOT_A_SIZE.search(name):
            continue
        others = [_other_default(call, kind, content)]
        if content in words:
            others = _others(words, content)
        for other in others:
            if other is not None:
                made = _marked_otherwise(call, content, other)
                made["kwargs"][name] = {kind: other}
                yield f"{name} {content} (its default) -> {other}", made, False


def _passed(call: Call) -> Iterator[tuple[Path, str, Any, bool]]:
    """Other contents for floats, also within objects, and for flags that are arguments."""
    for path, kind, content in encoded.leaves(call):
        if path[0] == "grid":
            continue
        if kind == "float" and math.isfinite(float(content)):
            number = float(content)
            if number:
                yield path, content, repr(_near(number)), True
            if abs(number) < TINY:
                yield path, content, repr(PLAIN), False
        elif len(path) == ARGUMENT and kind == "value" and isinstance(content, bool):
            yield path, str(content), not content, False


def _spelt(call: Call, words: Sequence[str]) -> Iterator[tuple[Path, str, Any, bool]]:
    for path, kind, content in encoded.leaves(call):
        if len(path) == ARGUMENT and kind == "value" and content in words:
            for word in _others(words, content):
                yield path, content, word, False


def _counted(call: Call) -> Iterator[tuple[Path, str, Any, bool]]:
    """One less of each integer argument that is nothing of any tensor's geometry."""
    if "grid" in call:  # a kernel's own arguments are little else
        return
    for path, number in encoded.integers(call).items():
        named = NOT_A_SIZE.search(encoded.parameter(call, path))
        if len(path) == ARGUMENT and number > 1 and not named and number not in _geometry(call):
            yield path, str(number), number - 1, False


def _above_one(call: Call) -> Iterator[tuple[Path, str, Any, bool]]:
    """A number that was below one may have been no fraction: a slope, a scale."""
    for path, kind, content in encoded.leaves(call):
        if kind == "float" and path[0] != "grid" and TINY <= float(content) <= 1:
            yield path, content, repr(ABOVE), False


def _typed(call: Call) -> Iterator[tuple[Path, str, Any, bool]]:
    """A type to compute or to answer in, which the tests may always have passed alike."""
    for path, kind, content in encoded.leaves(call):
        if kind in _TYPES and len(path) == ARGUMENT and content in OTHER_TYPE:
            yield path, content, OTHER_TYPE[content], False


def _geometry(call: Call) -> set[int]:
    found: set[int] = set()
    for described in encoded.tensors(call).values():
        shape = described["shape"]
        found.update(shape, described["strides"], {math.prod(shape), math.prod(shape[:-1])})
    return found


def _others(words: Sequence[str], content: Any) -> list[Any]:
    return [word for word in words if word != content][:MAX_WORDS]


def _near(number: float) -> float:
    """Of the same sign and magnitude; what may be a fraction stays one."""
    return number * (0.75 if abs(number) <= 1 else 1.25)


def _other_default(call: Call, kind: str, content: Any) -> Any:
    if kind in _TYPES:
        return OTHER_TYPE.get(content)
    if kind == "float":
        number = float(content)
        return None if math.isnan(number) else repr(PLAIN if abs(number) < TINY else _near(number))
    if isinstance(content, bool):
        return not content
    # An integer is told apart where the tensors hold it: a label to ignore, a padding index.
    held = [v for t in encoded.tensors(call).values() for v in t.get("values", ())]
    return next((v for v in held if v != content), _one_less(content))


def _marked_otherwise(call: Call, old: Any, new: Any) -> Call:
    """The call with the elements that held a marker below zero, such as a label to ignore, holding
    the new one: as an index it would lie outside."""
    made = copy.deepcopy(call)
    for described in encoded.tensors(made).values():
        if type(old) is int and old < 0 and "values" in described:
            described["values"] = [new if value == old else value for value in described["values"]]
    return made


def _one_less(content: Any) -> int | None:
    """One for zero; nothing for 1, of which one less may be nothing at all, and for texts."""
    if type(content) is not int or content < 0 or content == 1:
        return None
    return content - 1 if content else 1


def _made(call: Call, path: Path, old: str, new: Any) -> str:
    return f"{encoded.parameter(call, path)} {old} -> {new}"


def _with(call: Call, path: Path, content: Any) -> Call:
    made = copy.deepcopy(call)
    encoded.put(made, path, content)
    return made
