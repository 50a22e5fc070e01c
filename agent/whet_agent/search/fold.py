"""`apply`: one event onto a state. Pure, and total over the `Event` union.

An event that is repeated (screening begun again after a kill) changes nothing the
second time, and a lost call keeps its reservation as spent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

import attrs

from whet_agent.events import (
    Answered,
    Asked,
    BaselineRecorded,
    CallFailed,
    CancelRequested,
    Confirmed,
    Created,
    Event,
    Finished,
    Interrupted,
    Judged,
    Opened,
    Proposed,
    Rejected,
    Resumed,
    Screened,
    Started,
    Ticked,
)
from whet_agent.search.calls import answered, asked, call_failed, prices_known, spent_in_full
from whet_agent.search.evolve import landed, turn_at, with_candidate, with_turn, with_turns
from whet_agent.search.score import baseline_score, score
from whet_agent.search.state import (
    ORIGINAL,
    SWEEP,
    Flight,
    Search,
    Surroundings,
    Trajectory,
    Tried,
    base_id,
    is_better,
    leader,
    turn_of,
)
from whet_agent.search.turns import plan
from whet_evaluator.worker.records import Correct


def apply(search: Search | None, event: Event) -> Search:
    """The state after `event`. `None` is the state before a run's first event."""
    if search is None:
        assert isinstance(event, Created), f"a run begins with Created, not {event!r:.80}"
        return _created(event)
    return _apply(_at(search, event), event)


def replay(events: Iterable[Event]) -> Search:
    """The live state at any cut of a journal. Needs at least one event."""
    search: Search | None = None
    for event in events:
        search = apply(search, event)
    assert search is not None, "a journal of no events has no state"
    return search


def _apply(search: Search, event: Event) -> Search:  # noqa: C901, PLR0911, PLR0912 - a table
    match event:
        case Created() | Ticked():
            return search
        case Started():
            return _started(search, event)
        case Opened():
            return _opened(landed(search, event.id), event)
        case BaselineRecorded():
            return _recorded(landed(search, event.id), event)
        case Asked():
            return asked(search, event)
        case Answered():
            return answered(search, event)
        case CallFailed():
            return call_failed(search, event)
        case Proposed():
            return _proposed(search, event)
        case Rejected():
            return _rejected(search, event)
        case Screened():
            return _screened(landed(search, event.id), event)
        case Judged():
            return _judged(landed(search, event.id), event)
        case Confirmed():
            return _confirmed(landed(search, event.id), event)
        case Interrupted():
            return landed(spent_in_full(search, event.id), event.id)
        case CancelRequested():
            return attrs.evolve(search, cancelled=True)
        case Resumed():
            return _resumed(search)
        case Finished():
            return attrs.evolve(search, finished=event)
        case _:
            assert_never(event)


# ---- the run as a whole ----------------------------------------------------------------


def _created(event: Created) -> Search:
    task = event.task
    original = Tried(
        id=ORIGINAL,
        parent=None,
        origin="original",
        label="original",
        strategy="the code as it is",
        text=task.unit.text,
        syntax_hash="",
    )
    return Search(
        run=event.run,
        task=task,
        created_at=event.at,
        now=event.at,
        candidates={ORIGINAL: original},
        trajectories=tuple(Trajectory() for _ in range(max(1, task.policy.trajectories))),
        prices_known=prices_known(task),
    )


def _at(search: Search, event: Event) -> Search:
    """Moves time on. The time between a stop or a kill and `Resumed` was not worked."""
    now = max(search.now, event.at)
    idle = search.finished is not None or isinstance(event, Interrupted | Resumed)
    worked = 0.0 if idle else now - search.now
    return attrs.evolve(search, now=now, active_s=search.active_s + worked)


def _resumed(search: Search) -> Search:
    return attrs.evolve(
        search,
        is_open=False,
        finished=None,
        cancelled=False,
        model_failure=None,
        trajectories=tuple(
            attrs.evolve(one, failures=0, retry_after_s=None) for one in search.trajectories
        ),
    )


def _opened(search: Search, event: Opened) -> Search:
    """Evidence from other hardware, versions or tests does not compare: all is judged again."""
    known = search.surroundings
    found = Surroundings(facts=event.facts, shipped=event.shipped, whet=event.whet)
    search = attrs.evolve(search, is_open=True, facts=event.facts, surroundings=found)
    if known is None or _evidence_base(known) == _evidence_base(found):
        return search
    candidates = {
        name: attrs.evolve(tried, verdict=None, score=None, confirmation=None, confirmed_score=None)
        for name, tried in search.candidates.items()
    }
    return attrs.evolve(search, recorded=None, candidates=candidates)


def _evidence_base(found: Surroundings) -> tuple[object, ...]:
    """Data files are left out: a run's own log may lie among them."""
    facts = found.facts
    versions = (facts.mode, facts.devices, facts.torch, facts.triton, facts.python)
    return (*versions, dict(found.shipped.sources))


def _recorded(search: Search, event: BaselineRecorded) -> Search:
    original = attrs.evolve(
        search.candidates[ORIGINAL],
        score=baseline_score(event.recorded, has_clock=search.has_clock),
    )
    return with_candidate(attrs.evolve(search, recorded=event.recorded), original)


# ---- work in flight --------------------------------------------------------------------


def _started(search: Search, event: Started) -> Search:
    base = base_id(event.id)
    begun = attrs.evolve(
        search,
        flight={**search.flight, event.id: Flight(id=event.id, work=event.work)},
        starts={**search.starts, base: search.starts.get(base, 0) + 1},
    )
    return _with_turn_begun(begun, base) if event.work == "ask" else begun


def _with_turn_begun(search: Search, base: str) -> Search:
    """The first call of a turn begins the turn."""
    trajectory, number = turn_of(base)
    turns = search.trajectories[trajectory].turns
    if number <= len(turns):
        return search
    return with_turns(search, trajectory, (*turns, plan(search, trajectory)))


# ---- candidates ------------------------------------------------------------------------


def _proposed(search: Search, event: Proposed) -> Search:
    if event.candidate in search.candidates:
        return search
    tried = Tried(
        id=event.candidate,
        parent=event.parent,
        origin=event.origin,
        label=event.label,
        strategy=event.strategy,
        text=event.text,
        syntax_hash=event.syntax_hash,
    )
    search = with_candidate(search, tried)
    if event.origin != "model":
        return search
    turn = turn_at(search, event.id)
    return with_turn(search, attrs.evolve(turn, candidates=(*turn.candidates, tried.id)))


def _rejected(search: Search, event: Rejected) -> Search:
    if base_id(event.id) == SWEEP:
        return search
    turn = turn_at(search, event.id)
    if any((old.label, old.reason) == (event.label, event.reason) for old in turn.rejected):
        return search
    return with_turn(search, attrs.evolve(turn, rejected=(*turn.rejected, event)))


def _screened(search: Search, event: Screened) -> Search:
    if base_id(event.id) == SWEEP:
        return attrs.evolve(search, swept=True)
    return with_turn(search, attrs.evolve(turn_at(search, event.id), screened=True))


def _judged(search: Search, event: Judged) -> Search:
    before = leader(search)
    verdict = event.verdict
    tried = attrs.evolve(
        search.candidates[event.candidate],
        verdict=verdict,
        score=score(verdict) if isinstance(verdict, Correct) else None,
    )
    search = with_candidate(search, tried)
    improved = is_better(search, tried) and leader(search) != before
    return attrs.evolve(search, since_best=0 if improved else search.since_best + 1)


def _confirmed(search: Search, event: Confirmed) -> Search:
    verdict = event.verdict
    tried = attrs.evolve(
        search.candidates[event.candidate],
        confirmation=verdict,
        confirmed_score=score(verdict) if isinstance(verdict, Correct) else None,
        confirmed_at=event.at,
        confirmed_in=search.surroundings,
        confirmed_stage_s=event.stage_s,
    )
    return with_candidate(search, tried)
