"""Events to JSON and back: a tagged union, exact in both directions.

Every union of records is written with its class name under `_type`, so reading never
guesses by fields. Unknown fields are ignored: a later version may add some.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from cattrs.preconf.json import JsonConverter, make_converter
from cattrs.strategies import configure_tagged_union

from whet_agent.events import Event
from whet_evaluator.worker.records import Timing, Untimed, WorkerVerdict


def dump_event(event: Event) -> str:
    """JSON of ASCII characters alone, so that no text of a user's program can break it."""
    return json.dumps(_converter().unstructure(event, unstructure_as=Event))


def parse_event(text: str) -> Event:
    """The inverse of `dump_event`. Raises `ValueError` when `text` is not an event."""
    try:
        event: Event = _converter().structure(json.loads(text), Event)  # type: ignore[arg-type]
    except Exception as error:  # cattrs raises groups, KeyError, TypeError, ...
        raise ValueError(f"not an event of this journal: {error}") from error
    return event


def to_plain(event: Event) -> dict[str, Any]:
    """The event as JSON-ready values."""
    plain: dict[str, Any] = _converter().unstructure(event, unstructure_as=Event)
    return plain


@lru_cache(maxsize=1)
def _converter() -> JsonConverter:
    converter = make_converter()
    configure_tagged_union(Timing | Untimed, converter)
    configure_tagged_union(WorkerVerdict, converter)
    configure_tagged_union(Event, converter)
    return converter
