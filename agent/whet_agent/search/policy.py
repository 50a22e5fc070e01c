"""The policy: what to start now, or why to stop. Pure; `fold.apply` is its other half.

`decide(search, brief)` reads a state and returns the work to start at once (none: wait
for what is in flight) or `Stop`. A run goes: open, record the baseline, sweep launch
parameters (free), then trajectories of model turns side by side without a barrier.
Whenever a candidate takes the lead it is confirmed in a fresh process, beside the next
turns, so that every stop can offer a best that was borne out.

Budget: a model call is started only if what is spent, what is reserved and its own worst
case together stay within `max_usd`. The reservation becomes part of the state by
`Asked` before the request leaves, so neither parallel calls nor a kill can pass it.
"""

from __future__ import annotations

import itertools

from whet_agent.events import Reason
from whet_agent.ports import Message
from whet_agent.search import closing, turns
from whet_agent.search.briefing import Brief, context
from whet_agent.search.closing import Stop
from whet_agent.search.fold import apply, replay
from whet_agent.search.starts import (
    Start,
    StartAsk,
    StartConfirm,
    StartJudge,
    StartOpen,
    StartRecord,
    StartScreen,
    StartSweep,
)
from whet_agent.search.state import (
    ORIGINAL,
    SWEEP,
    Search,
    Turn,
    base_id,
    leader,
    must_pass,
)
from whet_agent.task import ModelChoice

__all__ = ["Brief", "Search", "Stop", "apply", "decide", "replay"]

MAX_JUDGES = 4
"""Candidates at the evaluator at once: it overlaps their loading and compiling itself."""
FIRST_BACKOFF_S = 1.0
MAX_BACKOFF_S = 60.0


def decide(  # noqa: PLR0911 - the phases of a run, one line each
    search: Search, brief: Brief
) -> tuple[Start, ...] | Stop:
    """Work to start now (empty: wait), or the end of the run with the best kept."""
    if search.cancelled:
        return closing.stop(search, "cancelled")
    if not search.is_open:
        return () if _flies(search, "open") else (StartOpen(id=_attempt(search, "open")),)
    if search.recorded is None:
        return () if _flies(search, "record") else (StartRecord(id=_attempt(search, "record")),)
    if (unfit := closing.unfit_baseline(search)) is not None:
        return unfit
    if (reason := closing.hurried(search)) is not None:
        return _last_confirmation(search, reason)
    starts = _everything(search, brief)
    if starts or search.flight:
        return starts
    return closing.stop(search, closing.natural_end(search))


def _everything(search: Search, brief: Brief) -> tuple[Start, ...]:
    """All that may begin now, while the run goes on."""
    if _wants_sweep(search):
        return () if _flies(search, SWEEP) else (StartSweep(id=_attempt(search, SWEEP)),)
    judges = _judges(search)
    if _is_sweeping(search):
        return judges
    asks = _asks(search, brief) if search.model_failure is None else ()
    return (*judges, *_screens(search), *_confirmation(search), *asks)


def _wants_sweep(search: Search) -> bool:
    return search.task.goal == "optimize" and search.task.policy.sweep and not search.swept


def _is_sweeping(search: Search) -> bool:
    """The free gains come first: they are the model's starting point."""
    return any(
        tried.origin == "sweep" and tried.verdict is None for tried in search.candidates.values()
    )


# ---- evaluation ------------------------------------------------------------------------


def _judges(search: Search) -> tuple[Start, ...]:
    room = MAX_JUDGES - sum(flight.work == "judge" for flight in search.flight.values())
    waiting = [
        tried
        for tried in search.candidates.values()
        if tried.id != ORIGINAL
        and tried.verdict is None
        and not _flies(search, f"{tried.id}.judge")
    ]
    return tuple(
        StartJudge(
            id=_attempt(search, f"{tried.id}.judge"), candidate=tried, nodes=must_pass(search)
        )
        for tried in waiting[: max(0, room)]
    )


def _confirmation(search: Search) -> tuple[Start, ...]:
    """The leader, if no fresh evaluation has borne it out yet."""
    best = leader(search)
    if best is None or best.confirmation is not None:
        return ()
    if _flies(search, f"{best.id}.confirm"):
        return ()
    return (
        StartConfirm(
            id=_attempt(search, f"{best.id}.confirm"), candidate=best, nodes=must_pass(search)
        ),
    )


def _last_confirmation(search: Search, reason: Reason) -> tuple[Start, ...] | Stop:
    """What is in flight is given up, but the leader is confirmed before the end."""
    best = leader(search)
    if best is None or best.confirmation is not None:
        return closing.stop(search, reason)
    return _confirmation(search)


def _screens(search: Search) -> tuple[Start, ...]:
    """One reply at a time, so that the next sees what this one proposed as tried."""
    if any(flight.work == "screen" for flight in search.flight.values()):
        return ()
    unread = (
        (turn, turn.generator)
        for line in search.trajectories
        for turn in line.turns[-1:]
        if turn.generator is not None and not turn.screened
    )
    return tuple(
        StartScreen(
            id=_attempt(search, f"{turn.id}.screen"),
            turn=turn.id,
            reply=reply,
            finish_reason=turn.finish_reason,
            parent=turn.parent,
        )
        for turn, reply in itertools.islice(unread, 1)
    )


# ---- the model -------------------------------------------------------------------------


def _asks(search: Search, brief: Brief) -> tuple[Start, ...]:
    """One call for each trajectory that needs one and can pay for it.

    Calls that begin together share the budget: each sees those before it as reserved.
    """
    if search.task.model is None:
        return ()
    if search.task.goal == "fix" and leader(search) is not None:
        return ()  # its confirmation may be the end: no money for what comes after
    committed = search.spent_usd + search.reserved_usd
    starts: list[Start] = []
    for trajectory in range(len(search.trajectories)):
        ask = _ask(search, brief, trajectory)
        if ask is None or not _can_pay(search, committed, ask.reserved_usd):
            continue
        committed += ask.reserved_usd or 0.0
        starts.append(ask)
    return tuple(starts)


def _ask(search: Search, brief: Brief, trajectory: int) -> StartAsk | None:
    turn = turns.current(search, trajectory)
    role = turns.next_role(search, turn) if turn is not None else None
    if turn is None or role is None or _flies(search, f"{turn.id}.{role}"):
        return None
    told = context(search, turn, role, brief)
    messages = brief.messages(role, told)
    bound = tokens_bound(messages)
    return StartAsk(
        id=_attempt(search, f"{turn.id}.{role}"),
        role=role,
        context=told,
        messages=messages,
        prompt_tokens_bound=bound,
        reserved_usd=worst_case_usd(
            search.task.model, bound, search.task.policy.max_completion_tokens
        ),
        delay_s=_delay_s(search, turn),
    )


def tokens_bound(messages: tuple[Message, ...]) -> int:
    """No tokeniser makes more tokens than there are bytes; 16 a message for its frame."""
    return sum(len(message.content.encode()) + 16 for message in messages)


def worst_case_usd(
    model: ModelChoice | None, prompt_tokens: int, completion_tokens: int
) -> float | None:
    """What a call may cost at most, None if a price is unknown."""
    if model is None or model.usd_per_million_input is None:
        return None
    if model.usd_per_million_output is None:
        return None
    return (
        prompt_tokens * model.usd_per_million_input
        + completion_tokens * model.usd_per_million_output
    ) / 1e6


def _can_pay(search: Search, committed_usd: float, reserved_usd: float | None) -> bool:
    max_usd = search.task.policy.max_usd
    if max_usd is None:
        return True
    return reserved_usd is not None and committed_usd + reserved_usd <= max_usd


def _delay_s(search: Search, turn: Turn) -> float:
    line = search.trajectories[turn.trajectory]
    if line.failures == 0:
        return 0.0
    backoff = min(MAX_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** (line.failures - 1))
    return max(backoff, line.retry_after_s or 0.0)


# ---- names -----------------------------------------------------------------------------


def _flies(search: Search, base: str) -> bool:
    return any(base_id(work_id) == base for work_id in search.flight)


def _attempt(search: Search, base: str) -> str:
    begun = search.starts.get(base, 0)
    return base if begun == 0 else f"{base}~{begun + 1}"
