"""Everything that happens in a run, as one closed union: the journal's alphabet.

A run's state is a fold over these (`search.fold.apply`), so resume, report, progress and
tests all read the same story. Adding a member is a new `SCHEMA`; a field may be added to
one if it has a default, and nothing else may change. Times are seconds since the epoch, money is US dollars.
"""

from __future__ import annotations

from typing import Literal, Union

import attrs

from whet_agent.task import Task
from whet_evaluator.evaluation import Shipped
from whet_evaluator.worker.records import Facts, Recorded, WorkerVerdict

SCHEMA = 1

Role = Literal["optimizer", "generator", "reflector"]
WorkKind = Literal["open", "record", "sweep", "ask", "screen", "judge", "confirm"]


@attrs.frozen(kw_only=True)
class Created:
    """First event of every run."""

    run: str
    task: Task
    at: float


@attrs.frozen(kw_only=True)
class Started:
    """Work item `id` was begun. Ids derive from trajectory and turn, never from a clock."""

    id: str
    work: WorkKind
    at: float


@attrs.frozen(kw_only=True)
class Opened:
    """The target answered. `shipped` are the files that surround every candidate from here
    on, `whet` the version that judges them (empty in journals older than evidence)."""

    id: str
    facts: Facts
    at: float
    shipped: Shipped = attrs.field(factory=Shipped)
    whet: str = ""


@attrs.frozen(kw_only=True)
class BaselineRecorded:
    id: str
    recorded: Recorded
    at: float


@attrs.frozen(kw_only=True)
class Asked:
    """Stored before the request leaves. `reserved_usd` is the worst case, None if unpriced."""

    id: str
    role: Role
    reserved_usd: float | None
    prompt_tokens_bound: int
    at: float


@attrs.frozen(kw_only=True)
class Answered:
    """Replaces the reservation by what was used."""

    id: str
    role: Role
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    at: float


@attrs.frozen(kw_only=True)
class CallFailed:
    """A model call ended without a reply.

    Its reservation counts as spent unless `billed` is False: then the endpoint refused
    it before any token. `fatal` ends the run (refused key, unknown model, exhausted
    quota). A `retryable` call is tried again, not before `retry_after_s` if named.
    """

    id: str
    role: Role
    sentence: str
    fatal: bool
    at: float
    retryable: bool = False
    retry_after_s: float | None = None
    billed: bool = True


@attrs.frozen(kw_only=True)
class Proposed:
    """A candidate exists. `text` is the whole file. `origin` is `sweep`, `model` or `original`."""

    id: str
    candidate: str
    parent: str | None
    origin: Literal["sweep", "model", "original"]
    label: str
    strategy: str
    text: str
    syntax_hash: str
    at: float


@attrs.frozen(kw_only=True)
class Rejected:
    """Screened out on the host before any evaluation: `reason` feeds the next turn."""

    id: str
    reason: str
    label: str
    at: float


@attrs.frozen(kw_only=True)
class Screened:
    """The reply or sweep of work `id` was read to its end.

    All that came of it are the `Proposed` and `Rejected` with this id before; without
    this mark a resumed run would take half a reply for the whole.
    """

    id: str
    at: float


@attrs.frozen(kw_only=True)
class Judged:
    id: str
    candidate: str
    verdict: WorkerVerdict
    stage_s: dict[str, float]
    at: float
    key: str = ""
    """What the verdict depends on (`store.verdicts`); empty where it may not be used again."""
    known_from: str | None = None
    """The run that this verdict was taken from instead of judging the same candidate again."""


@attrs.frozen(kw_only=True)
class Confirmed:
    """The winner again, on fresh samples: the only source of a shown speedup."""

    id: str
    candidate: str
    verdict: WorkerVerdict
    at: float
    stage_s: dict[str, float] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Interrupted:
    """Work in flight was lost (process killed, link cut); written on resume."""

    id: str
    at: float


@attrs.frozen(kw_only=True)
class Ticked:
    at: float


@attrs.frozen(kw_only=True)
class CancelRequested:
    at: float


@attrs.frozen(kw_only=True)
class Resumed:
    at: float


Reason = Literal[
    "iterations", "money", "time", "patience", "early stop", "cancelled", "sweep done",
    "fixed", "red baseline", "already green", "no tests", "no launch recorded", "model failed",
    "evaluator failed", "nothing to try",
]  # fmt: skip


@attrs.frozen(kw_only=True)
class Finished:
    """Last event, unless the run is resumed. `sentence` is for the user, cure included."""

    reason: Reason
    sentence: str
    best: str | None
    at: float


Event = Union[  # noqa: UP007 - nineteen bars read worse
    Created, Started, Opened, BaselineRecorded, Asked, Answered, CallFailed, Proposed,
    Rejected, Screened, Judged, Confirmed, Interrupted, Ticked, CancelRequested, Resumed, Finished,
]  # fmt: skip
