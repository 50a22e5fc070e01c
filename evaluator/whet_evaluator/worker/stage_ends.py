"""How a stage ended, seen from outside its child: one record for each way there is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union


@dataclass(frozen=True)
class Answered:
    answer: Any
    phases: dict[str, float] = field(default_factory=dict)
    """Seconds by phase of the child, and `exit`: from its answer until nothing of it is left."""


@dataclass(frozen=True)
class Raised:
    """Our stage code let an exception through; `trace` is its text."""

    trace: str


@dataclass(frozen=True)
class Caught:
    """`integrity` saw the candidate at a trick and ended the child."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Died:
    how: str
    output: str


@dataclass(frozen=True)
class OutOfTime:
    limit_s: float


@dataclass(frozen=True)
class OverLimit:
    what: str


@dataclass(frozen=True)
class Wedged:
    """Something outlived SIGKILL: the device's driver hangs."""


StageEnd = Union[Answered, Raised, Caught, Died, OutOfTime, OverLimit, Wedged]
