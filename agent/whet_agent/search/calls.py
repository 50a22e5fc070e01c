"""The fold's part for model calls: reservations, money, replies, failures. Pure.

A reservation stands from `Asked` until the call ends. A reply replaces it by what was
used; a call that vanished, or failed and may have been billed, keeps it as spent.
"""

from __future__ import annotations

import attrs

from whet_agent.events import Answered, Asked, CallFailed
from whet_agent.search.evolve import landed, with_candidate, with_line, with_turn, with_turns
from whet_agent.search.state import MAX_CALL_FAILURES, Flight, Search, Turn, base_id, turn_of
from whet_agent.search.turns import plan, subject_of_reflection
from whet_agent.task import Task


def asked(search: Search, event: Asked) -> Search:
    flight = Flight(id=event.id, work="ask", reserved_usd=event.reserved_usd or 0.0)
    return attrs.evolve(search, flight={**search.flight, event.id: flight})


def spent_in_full(search: Search, work_id: str) -> Search:
    """A call that vanished may have been paid for: its reservation counts as spent."""
    flight = search.flight.get(work_id)
    reserved = flight.reserved_usd if flight else 0.0
    return attrs.evolve(search, spent_usd=search.spent_usd + reserved)


def answered(search: Search, event: Answered) -> Search:
    paid = attrs.evolve(
        landed(search, event.id),
        spent_usd=search.spent_usd + (_usd(search.task, event) or 0.0),
        tokens=search.tokens + event.prompt_tokens + event.completion_tokens,
    )
    trajectory, number = turn_of(base_id(event.id))
    line = attrs.evolve(paid.trajectories[trajectory], failures=0, retry_after_s=None)
    turn = line.turns[number - 1]
    match event.role:
        case "optimizer" if holds_code(event.text):
            turn = _with_code(turn, event)
        case "optimizer":
            turn = attrs.evolve(turn, optimizer=event.text)
        case "generator":
            turn = attrs.evolve(turn, generator=event.text, finish_reason=event.finish_reason)
        case "reflector":
            turn = attrs.evolve(turn, reflector=event.text)
            paid = _with_reflection(paid, turn)
    after = with_turn(with_line(paid, trajectory, line), turn)
    if event.role == "reflector" and holds_code(event.text):
        following = _with_code(plan(after, trajectory), event)
        return with_turns(after, trajectory, (*line.turns[: number - 1], turn, following))
    return after


def holds_code(reply: str) -> bool:
    """Whether a reply has a whole definition in a fence.

    Models often write the code when they were asked for a plan or a reflection. It is
    paid for, so it is judged, and no second call asks for it.
    """
    is_inside = False
    for line in reply.splitlines():
        if line.lstrip().startswith(("```", "~~~")):
            is_inside = not is_inside
        elif is_inside and line.startswith(("def ", "class ", "@")):
            return True
    return False


def _with_code(turn: Turn, event: Answered) -> Turn:
    """A turn whose code is there: neither Optimizer nor Generator need be asked."""
    return attrs.evolve(
        turn, optimizer=event.text, generator=event.text, finish_reason=event.finish_reason
    )


def _with_reflection(search: Search, turn: Turn) -> Search:
    subject = subject_of_reflection(search, turn)
    if subject is None or turn.reflector is None:
        return search
    return with_candidate(search, attrs.evolve(subject, reflection=turn.reflector))


def call_failed(search: Search, event: CallFailed) -> Search:
    paid = spent_in_full(search, event.id) if event.billed else search
    trajectory, number = turn_of(base_id(event.id))
    line = paid.trajectories[trajectory]
    line = attrs.evolve(line, failures=line.failures + 1, retry_after_s=event.retry_after_s)
    failed = with_line(landed(paid, event.id), trajectory, line)
    if event.fatal:
        return attrs.evolve(failed, model_failure=event.sentence)
    if not event.retryable:
        failed = with_turn(failed, attrs.evolve(line.turns[number - 1], abandoned=True))
    if line.failures >= MAX_CALL_FAILURES:
        return attrs.evolve(failed, model_failure=event.sentence)
    return failed


def _usd(task: Task, event: Answered) -> float | None:
    if event.usd is not None or task.model is None or not prices_known(task):
        return event.usd
    assert task.model.usd_per_million_input is not None
    assert task.model.usd_per_million_output is not None
    return (
        event.prompt_tokens * task.model.usd_per_million_input
        + event.completion_tokens * task.model.usd_per_million_output
    ) / 1e6


def prices_known(task: Task) -> bool:
    model = task.model
    return model is None or (
        model.usd_per_million_input is not None and model.usd_per_million_output is not None
    )
