"""Small steps from one state to the next, shared by the fold's parts. Pure."""

from __future__ import annotations

import attrs

from whet_agent.search.state import Search, Trajectory, Tried, Turn, base_id, turn_of


def landed(search: Search, work_id: str) -> Search:
    flight = {key: value for key, value in search.flight.items() if key != work_id}
    return attrs.evolve(search, flight=flight)


def with_candidate(search: Search, tried: Tried) -> Search:
    return attrs.evolve(search, candidates={**search.candidates, tried.id: tried})


def turn_at(search: Search, work_id: str) -> Turn:
    trajectory, number = turn_of(base_id(work_id))
    return search.trajectories[trajectory].turns[number - 1]


def with_turn(search: Search, turn: Turn) -> Search:
    turns = search.trajectories[turn.trajectory].turns
    changed = (*turns[: turn.number - 1], turn, *turns[turn.number :])
    return with_turns(search, turn.trajectory, changed)


def with_turns(search: Search, trajectory: int, turns: tuple[Turn, ...]) -> Search:
    line = attrs.evolve(search.trajectories[trajectory], turns=turns)
    return with_line(search, trajectory, line)


def with_line(search: Search, trajectory: int, line: Trajectory) -> Search:
    lines = search.trajectories
    return attrs.evolve(search, trajectories=(*lines[:trajectory], line, *lines[trajectory + 1 :]))
