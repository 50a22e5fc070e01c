"""What a run came to, folded from its events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import attrs

from whet_agent.events import Event
from whet_agent.evidence import Evidence, of_candidate
from whet_agent.search import words
from whet_agent.search.fold import apply
from whet_agent.search.state import Search, Tried, arch_of, confirmed_best, red_tests
from whet_agent.task import Goal
from whet_evaluator.worker.records import TestOutcome


@attrs.frozen(kw_only=True)
class Best:
    """The candidate a run offers, as whole files, and what speaks for it.

    `evidence.speedup` None means *correct, untimed*: never faster.
    """

    candidate: str
    text: str
    original_text: str
    evidence: Evidence


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
    memo: Search | None = attrs.field(default=None, repr=False, eq=False)
    """The state behind the summary, so that one more event is one more step."""


def summarise(events: Iterable[Event]) -> RunSummary:
    """The summary after all of `events`, of which there must be at least one."""
    search: Search | None = None
    for event in events:
        search = apply(search, event)
    assert search is not None, "a run has at least its Created event"
    return view(search)


def step(summary: RunSummary | None, event: Event) -> RunSummary:
    """The summary after one more event. `None` is the summary before the first."""
    return view(apply(summary.memo if summary else None, event), before=summary)


def view(search: Search, *, before: RunSummary | None = None) -> RunSummary:
    """A state as lists, lenses and reports show it. `before` is an earlier one of the run."""
    task, finished = search.task, search.finished
    rejected = words.rejections(search)
    tally = words.tally(search, rejected)
    best = confirmed_best(search)
    return RunSummary(
        run=search.run,
        goal=task.goal,
        root=task.root,
        path=task.unit.path,
        kernel=task.kernel,
        digest=task.digest,
        target=task.target.name,
        arch=arch_of(search),
        state="finished" if finished else "running",
        stage="" if finished else _stage(search),
        tried=sum(tally.values()),
        iterations=sum(len(line.turns) for line in search.trajectories),
        best=_best(search, best, before) if best else None,
        tally=tally,
        spent_usd=search.spent_usd if search.prices_known else None,
        tokens=search.tokens,
        red=red_tests(search.recorded) if search.recorded else (),
        started_at=search.created_at,
        updated_at=search.now,
        reason=finished.reason if finished else None,
        sentence=finished.sentence if finished else "",
        memo=search,
    )


def _best(search: Search, tried: Tried, before: RunSummary | None) -> Best:
    """Made once for each confirmation: its statistics are not worth doing at every event."""
    if before is not None and before.best is not None and before.memo is not None:
        old = before.memo.candidates.get(before.best.candidate)
        if old is not None and old.id == tried.id and old.confirmation is tried.confirmation:
            return before.best
    return Best(
        candidate=tried.id,
        text=tried.text,
        original_text=search.task.unit.text,
        evidence=of_candidate(search, tried),
    )


def _stage(search: Search) -> str:
    """What the run does now, in a few words."""
    kinds = [flight.work for flight in search.flight.values()]
    turns = sum(len(line.turns) for line in search.trajectories)
    total = search.task.policy.iterations * len(search.trajectories)
    if "open" in kinds or not search.is_open:
        return "opening the target"
    if "record" in kinds or search.recorded is None:
        return "recording the baseline"
    if turns == 0 and "confirm" not in kinds:
        return _sweep_stage(search)
    roles = [flight.id.rpartition(".")[2].partition("~")[0] for flight in search.flight.values()]
    doing = ", ".join(dict.fromkeys(_DOING[role] for role in roles if role in _DOING))
    prefix = f"turn {turns} of {total}" if turns else "sweep"
    return f"{prefix}: {doing}" if doing else prefix


def _sweep_stage(search: Search) -> str:
    swept = [tried for tried in search.candidates.values() if tried.origin == "sweep"]
    judged = sum(tried.verdict is not None for tried in swept)
    return f"sweep: {judged} of {len(swept)} variants judged"


_DOING = {
    "optimizer": "planning",
    "generator": "writing",
    "reflector": "reflecting",
    "screen": "reading the reply",
    "judge": "testing",
    "confirm": "confirming",
}
