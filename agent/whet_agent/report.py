"""What a run came to, folded from its events. Pure."""

from __future__ import annotations

from typing import Literal

import attrs

from whet_agent.task import Goal
from whet_evaluator.worker.records import Counted, TestOutcome


@attrs.frozen(kw_only=True)
class Speedup:
    """Measured and confirmed on fresh samples: original time over candidate time.

    `low` and `high` bound the 95 % interval of the geometric mean over cases.
    """

    ratio: float
    low: float
    high: float
    hardware: str
    at: float


@attrs.frozen(kw_only=True)
class Cost:
    """Traffic of one text over the recorded launches: *counted*, not measured."""

    counted: Counted | None
    vgprs: int | None
    """Largest over the compiled kernels: *estimated*."""
    spills: int | None
    lds_bytes: int | None
    arch: str | None


@attrs.frozen(kw_only=True)
class Best:
    """The candidate a run offers. `speedup` None means *correct, untimed*: never faster."""

    candidate: str
    text: str
    original_text: str
    label: str
    strategy: str
    speedup: Speedup | None
    cost_before: Cost | None
    cost_after: Cost | None
    tests: tuple[TestOutcome, ...]


@attrs.frozen(kw_only=True)
class RunSummary:
    """One run as lists, lenses and reports show it.

    `state` is `running` while no `Finished` follows the last start or resume (whether a
    process still works on it is the journal's lease to say). `tally` counts judged and
    rejected candidates by outcome in words (`wrong result`, `compile error`, `slower`).
    """

    run: str
    goal: Goal
    root: str
    path: str
    kernel: str
    digest: str
    target: str
    arch: str | None
    state: Literal["running", "finished"]
    stage: str
    tried: int
    iterations: int
    best: Best | None
    tally: dict[str, int]
    spent_usd: float | None
    """None when a price is unknown; `tokens` then still counts."""
    tokens: int
    red: tuple[TestOutcome, ...]
    """Red tests of the baseline, for diagnostics and the offer to fix."""
    started_at: float
    updated_at: float
    reason: str | None
    sentence: str
