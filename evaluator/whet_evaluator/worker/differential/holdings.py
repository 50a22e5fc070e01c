"""What a call did to the lists, dicts and objects that its caller passed: a result appended or
put under a key, a counter, a list emptied.

Each thing in them has a place such as `outs[1]` or `self.state['m']`. Objects are looked into
where they are of the project's own classes; a tensor is named by the input that it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

_MAX_DEPTH, _MAX_PLACES, _MAX_TEXT = 6, 2000, 80
_LIBRARIES = ("torch", "triton", "builtins", "functools", "types", "collections", "enum")
PRIVATE = re.compile(r"\._(?!parameters\b|buffers\b|modules\b)")
"""In the place of what a class keeps for itself; `torch.nn.Module` keeps everything so."""
NEW = " (new)"
"""Ends the place of an attribute that was not there before. An object may be given one more."""


class _Place(NamedTuple):
    text: str
    value: Any
    is_attribute: bool


class Holdings:
    """`arguments` by their names, as they are when this is made; `inputs` are the call's tensors."""

    def __init__(self, arguments: dict[str, Any], inputs: Sequence[Any]) -> None:
        self._arguments = arguments
        self._inputs = {id(tensor): number for number, tensor in enumerate(inputs)}
        self._before = self._places()

    def changed(self) -> tuple[dict[str, str], list[tuple[str, Any]]]:
        """By place, what is there now and was not; and the tensors among it that are no inputs and
        that nobody keeps for himself."""
        now = self._places()
        places = _without_inner(
            place + NEW if self._is_new(place, now) else place
            for place in now
            if not self._is_as_it_was(place, now)
        )
        found = {place: now[place.removesuffix(NEW)].text for place in places}
        tensors = [
            (place, now[place].value)
            for place in places
            if place in now and _is_tensor(now[place].value) and not PRIVATE.search(place)
            and id(now[place].value) not in self._inputs
        ]  # fmt: skip
        return found | {place: "gone" for place in self._before if place not in now}, tensors

    def _is_new(self, place: str, now: dict[str, _Place]) -> bool:
        return now[place].is_attribute and place not in self._before

    def _is_as_it_was(self, place: str, now: dict[str, _Place]) -> bool:
        known, found = self._before.get(place), now[place]
        if known is None or known.text != found.text:
            return False
        return not _is_tensor(found.value) or known.value is found.value

    def _places(self) -> dict[str, _Place]:
        found: dict[str, _Place] = {}
        for name, value in self._arguments.items():
            for place, inner, is_attribute in _walk(value, name, ()):
                if len(found) >= _MAX_PLACES:
                    return found
                found[place] = _Place(self._text(inner), inner, is_attribute)
        return found

    def _text(self, value: Any) -> str:
        if _is_tensor(value):
            number = self._inputs.get(id(value))
            shape = "x".join(map(str, value.shape))
            made = f"{str(value.dtype).removeprefix('torch.')}[{shape}]"
            return made if number is None else f"input {number}"
        if value is None or isinstance(value, (bool, int, float, str)):
            return repr(value)[:_MAX_TEXT]
        if isinstance(value, (list, tuple, dict, set)):
            return f"{type(value).__name__} of {len(value)}"
        return type(value).__name__


def _walk(value: Any, place: str, within: tuple[int, ...]) -> Iterator[tuple[str, Any, bool]]:
    yield place, value, False
    if id(value) in within or len(within) == _MAX_DEPTH:
        return
    inside = (*within, id(value))
    for step, item, is_attribute in _parts(value):
        inner = _walk(item, place + step, inside)
        yield (*next(inner)[:2], is_attribute)
        yield from inner


def _parts(value: Any) -> list[tuple[str, Any, bool]]:
    if isinstance(value, (list, tuple)):
        return [(f"[{number}]", item, False) for number, item in enumerate(value)]
    if isinstance(value, dict):
        return [(f"[{key!r}]", v, False) for key, v in value.items() if type(key) in {str, int}]
    if _is_tensor(value) or isinstance(value, type) or _is_of_a_library(value):
        return []
    return [(f".{name}", item, True) for name, item in getattr(value, "__dict__", {}).items()]


def _is_of_a_library(value: Any) -> bool:
    home = str(getattr(type(value), "__module__", "builtins"))
    return home.partition(".")[0] in _LIBRARIES


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "untyped_storage")


def _without_inner(places: Iterable[str]) -> list[str]:
    """Without what lies in an attribute that is new: it is not compared either."""
    kept: list[str] = []
    for place in places:  # what holds comes before what it holds
        if not any(place.startswith((f"{new}.", f"{new}[")) for new in _new(kept)):
            kept.append(place)
    return kept


def _new(places: list[str]) -> list[str]:
    return [place.removesuffix(NEW) for place in places if place.endswith(NEW)]
