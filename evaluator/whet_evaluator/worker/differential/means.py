"""What the suite needs of its worker: children, places, memory of earlier runs, bounds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from ..orders import Where
from ..records import Mode
from ..stage_ends import StageEnd
from .bank import Bank


@dataclass(frozen=True, kw_only=True)
class Means:
    """See the module."""

    run: Callable[..., Awaitable[StageEnd]]
    """`run(job, where, mode, trusted=...)`: one child."""
    place: Callable[[str | None], AbstractAsyncContextManager[Where]]
    """A tree with that text as the unit's; an empty one for None."""
    keep: Callable[[Where], None]
    """What Triton built in a tree that held the original's text, for candidates to reuse."""
    bank: Bank
    mode: Mode
    basis: str
    """Digest of the project's files: equal ones make equal runs of the original."""
    budget_s: float | None
    """None means the mode's own."""
    n_children: int
    """How many of one version's at once."""
    max_cases: int
    max_bytes: int
    """Of outputs that one version may write."""
    shares_budget: bool = False
    """Whether several children have one budget together; else each has it."""
    in_float64: bool = True
    """Whether the original also runs on the interpreter in float64, as an oracle."""
