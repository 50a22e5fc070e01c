"""One trajectory's policy: which parent, debug or fresh, and what a turn does next. Pure.

A turn asks the Optimizer for a strategy (fresh turns only), the Generator for code,
has the reply screened and every candidate judged, and asks the Reflector what it
meant. When a turn brought nothing correct, up to `max_perf_debug_num` debug turns in a
row repair its last failure - counted at any time, also before the first success, so
that no trajectory is trapped; then a fresh strategy starts from a good parent.
"""

from __future__ import annotations

from random import Random

from whet_agent.events import Role
from whet_agent.search.state import (
    ORIGINAL,
    Search,
    Tried,
    Turn,
    ascending,
    is_better,
    is_refuted,
)
from whet_evaluator.worker.records import (
    Broken,
    Cheated,
    Correct,
    Crashed,
    Differs,
    Exceeded,
    Failed,
    Misplaced,
    TimedOut,
    WorkerVerdict,
)

BEST_PARENT_PROBABILITY = 0.7


def plan(search: Search, trajectory: int) -> Turn:
    """The next turn of a trajectory. Depends on its own lineage alone, so that one
    trajectory's timing never changes another's choices."""
    turns = search.trajectories[trajectory].turns
    number = len(turns) + 1
    last = turns[-1] if turns else None
    if last is not None and _may_debug(search, turns):
        return Turn(
            trajectory=trajectory,
            number=number,
            parent=last.parent,
            is_debug=True,
            debug_of=failure_of(search, last),
            problems=tuple(rejected.reason for rejected in last.rejected),
        )
    return Turn(
        trajectory=trajectory,
        number=number,
        parent=_parent(search, trajectory, number),
        is_debug=False,
        debug_of=None,
    )


def current(search: Search, trajectory: int) -> Turn | None:
    """The turn a trajectory is in or would begin now; None when its iterations are used."""
    line = search.trajectories[trajectory]
    if line.turns and not is_over(search, line.turns[-1]):
        return line.turns[-1]
    if len(line.turns) >= search.task.policy.iterations:
        return None
    return plan(search, trajectory)


def lineage(search: Search, trajectory: int) -> list[Tried]:
    """Correct candidates a trajectory builds on, ascending: the original, the sweep's
    and its own."""
    own = f"t{trajectory}."
    return ascending(
        tried
        for tried in search.candidates.values()
        if tried.id == ORIGINAL
        or (
            tried.is_correct
            and not is_refuted(search, tried)
            and (tried.origin == "sweep" or tried.id.startswith(own))
        )
    )


def failure_of(search: Search, turn: Turn) -> str | None:
    """The candidate of a turn that failed latest in the cascade; None if none did."""
    failed = [
        search.candidates[name]
        for name in turn.candidates
        if search.candidates[name].verdict is not None and not search.candidates[name].is_correct
    ]
    return max(failed, key=_depth).id if failed else None


def brought_nothing(search: Search, turn: Turn) -> bool:
    """Whether no candidate of a turn was correct."""
    return not any(search.candidates[name].is_correct for name in turn.candidates)


def next_role(search: Search, turn: Turn) -> Role | None:
    """The model call a turn needs next; None while it waits or when it is over."""
    policy = search.task.policy
    if turn.abandoned:
        return None
    plans = policy.optimizer and not turn.is_debug and search.task.goal == "optimize"
    if plans and turn.optimizer is None:
        return "optimizer"
    if turn.generator is None:
        return "generator"
    if policy.reflection and turn.reflector is None and _is_worth_reflecting(search, turn):
        return "reflector"
    return None


def is_judged(search: Search, turn: Turn) -> bool:
    """Whether all that came of the reply was evaluated."""
    return turn.screened and all(
        search.candidates[name].verdict is not None for name in turn.candidates
    )


def is_over(search: Search, turn: Turn) -> bool:
    """Whether the trajectory may go on to its next turn."""
    if turn.abandoned:
        return True
    return is_judged(search, turn) and next_role(search, turn) is None


def subject_of_reflection(search: Search, turn: Turn) -> Tried | None:
    """What the Reflector is asked about: the failure, else the best of the turn."""
    failed = failure_of(search, turn)
    if brought_nothing(search, turn):
        return search.candidates[failed] if failed else None
    correct = ascending(
        search.candidates[name] for name in turn.candidates if search.candidates[name].is_correct
    )
    return correct[-1] if correct else None


def _is_worth_reflecting(search: Search, turn: Turn) -> bool:
    """Nothing reads the last turn's reflection, so it is not paid for."""
    if turn.number >= search.task.policy.iterations:
        return False
    return is_judged(search, turn) and subject_of_reflection(search, turn) is not None


def _may_debug(search: Search, turns: tuple[Turn, ...]) -> bool:
    last = turns[-1]
    if last.abandoned or not brought_nothing(search, last):
        return False
    if failure_of(search, last) is None and not last.rejected:
        return False
    in_a_row = 0
    for turn in reversed(turns):
        if not turn.is_debug:
            break
        in_a_row += 1
    return in_a_row < search.task.policy.max_perf_debug_num


def _parent(search: Search, trajectory: int, number: int) -> str:
    if search.task.goal == "fix":
        return ORIGINAL
    line = lineage(search, trajectory)
    # Estimated facts break ties in the ranking, but are no reason to leave the original.
    best = [tried for tried in line if tried.id == ORIGINAL or is_better(search, tried)][-1]
    others = [tried for tried in line if tried.label != best.label]
    dice = Random(f"{trajectory}.{number}")  # noqa: S311 - repeatable by design
    if not others or dice.random() < BEST_PARENT_PROBABILITY:
        return best.id
    return others[-1].id


def _depth(tried: Tried) -> int:
    """How far down the cascade a failure came: later ones are nearer to being right."""
    assert tried.verdict is not None
    return _DEPTHS.get(type(tried.verdict), 0)


_DEPTHS: dict[type[WorkerVerdict], int] = {
    Misplaced: 0,
    Broken: 1,
    Exceeded: 2,
    Crashed: 2,
    TimedOut: 2,
    Failed: 3,
    Cheated: 3,
    Differs: 4,
    Correct: 5,
}
