"""What each role is told in one turn: a `Context` out of the state. Pure.

`Brief` holds the pure functions that the search needs of its neighbours (prompts,
source excerpts, knowledge), so that `decide` can price a prompt before it is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from whet_agent.events import Role
from whet_agent.ports import Message
from whet_agent.roles.context import LABELS, Ancestor, Context, Failure, Label, Strategy
from whet_agent.search.state import (
    ORIGINAL,
    Search,
    Tried,
    Turn,
    arch_of,
    is_better,
    is_refuted,
    red_to_fix,
)
from whet_agent.search.turns import lineage, subject_of_reflection
from whet_agent.search.words import failed_line, failure_case, hardware, performance, rejections
from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.records import TestOutcome

MAX_FAILED_LINES = 20
MAX_LAUNCH_LINES = 12


@attrs.frozen(kw_only=True)
class Brief:
    """Pure functions of the search's neighbours. None may do I/O: `decide` calls them.

    `template` gives what the run's events cannot: texts of the unit, knowledge,
    exemplars and tests. `excerpt` cuts the unit out of a whole file's text.
    """

    template: Callable[[Search], Context]
    excerpt: Callable[[str], str]
    messages: Callable[[Role, Context], tuple[Message, ...]]
    parse_strategies: Callable[[str], tuple[Strategy, ...]]


def context(search: Search, turn: Turn, role: Role, brief: Brief) -> Context:
    """Everything `role` is told in `turn`."""
    return attrs.evolve(
        _common(search, turn, brief),
        last_failure=_failure(search, turn, role, brief),
        parent=_parent(search, turn, role, brief),
        problems=turn.problems if role == "generator" else (),
        strategies=_strategies(search, turn, brief) if role == "generator" else (),
    )


def _strategies(search: Search, turn: Turn, brief: Brief) -> tuple[Strategy, ...]:
    """The Optimizer's plans; a debug turn after a reply without code carries them out still."""
    if turn.is_debug and turn.debug_of is not None:
        return ()
    turns = search.trajectories[turn.trajectory].turns[: turn.number]
    fresh = next((one for one in reversed(turns) if not one.is_debug), turn)
    return brief.parse_strategies(fresh.optimizer or "")


def _common(search: Search, turn: Turn, brief: Brief) -> Context:
    policy = search.task.policy
    template = brief.template(search)
    return attrs.evolve(
        template,
        knowledge=template.knowledge if policy.knowledge else "",
        exemplars=template.exemplars if policy.one_shot else (),
        arch=arch_of(search),
        hardware=hardware(search) if search.has_clock else "",
        triton=search.facts.triton if search.facts else None,
        ancestors=tuple(_ancestor(search, tried, brief) for tried in _ancestors(search, turn)),
        failed=_failed(search, turn),
        labels=_labels(search),
        launches=_launches(search),
        profile=_profile(search),
    )


def _ancestors(search: Search, turn: Turn) -> list[Tried]:
    """The best few, ascending, and the original, which is candidate 0, always."""
    line = lineage(search, turn.trajectory)
    others = [tried for tried in line if tried.id != ORIGINAL]
    kept = others[max(0, len(others) - search.task.policy.ancestors) :]
    return [tried for tried in line if tried.id == ORIGINAL or tried in kept]


def _parent(search: Search, turn: Turn, role: Role, brief: Brief) -> Ancestor | None:
    if role == "reflector":
        subject = subject_of_reflection(search, turn)
        if subject is not None and subject.is_correct:
            return _ancestor(search, subject, brief)
    if turn.parent == ORIGINAL:
        return None
    return _ancestor(search, search.candidates[turn.parent], brief)


def _failure(search: Search, turn: Turn, role: Role, brief: Brief) -> Failure | None:
    if role == "reflector":
        subject = subject_of_reflection(search, turn)
        failed = subject if subject is not None and not subject.is_correct else None
    else:
        failed = search.candidates[turn.debug_of] if turn.debug_of else None
    if failed is not None:
        return _failure_of(failed, brief)
    return _red_baseline(search, brief) if search.task.goal == "fix" else None


def _failure_of(tried: Tried, brief: Brief) -> Failure:
    assert tried.verdict is not None
    stage, case = failure_case(tried.verdict)
    return Failure(
        label=tried.label,
        strategy=tried.strategy,
        unit_text=brief.excerpt(tried.text),
        stage=stage,
        case=case,
        reflection=tried.reflection,
    )


def _red_baseline(search: Search, brief: Brief) -> Failure:
    """In `fix` the first failure to explain is the original's own."""
    assert search.recorded is not None
    red = red_to_fix(search)
    return Failure(
        label="original",
        strategy="the code as it is",
        unit_text=brief.excerpt(search.task.unit.text),
        stage="tests",
        case=_red_case(red),
    )


def _red_case(red: tuple[TestOutcome, ...]) -> str:
    first = red[0]
    names = "".join(f"\nalso red: {test.nodeid}" for test in red[1:6])
    return f"{first.nodeid}\n{first.detail[-4000:]}{names}"


def _ancestor(search: Search, tried: Tried, brief: Brief) -> Ancestor:
    return Ancestor(
        candidate=tried.id,
        label=tried.label,
        strategy=tried.strategy,
        unit_text=brief.excerpt(tried.text),
        performance=performance(search, tried.confirmed_score or tried.score),
        reflection=tried.reflection,
    )


def _failed(search: Search, turn: Turn) -> tuple[str, ...]:
    """Strategies of every origin that did not help, the latest last, one line each."""
    tried = [
        failed_line(search, one)
        for one in search.candidates.values()
        if one.verdict is not None
        and one.id not in (ORIGINAL, turn.debug_of)
        and (not is_better(search, one) or is_refuted(search, one))
    ]
    unusable = [f"{one.label}: unusable: {one.reason}" for one in rejections(search)]
    return tuple(dict.fromkeys((unusable + tried)[-MAX_FAILED_LINES:]))


def _labels(search: Search) -> tuple[Label, ...]:
    """Without a clock only a change of traffic can be shown, so work alone is masked."""
    if search.has_clock or search.task.goal == "fix":
        return LABELS
    return tuple(label for label in LABELS if label != "compute")


def _launches(search: Search) -> str:
    if search.recorded is None:
        return ""
    lines = [_launch_line(launch) for launch in search.recorded.launches[:MAX_LAUNCH_LINES]]
    left = len(search.recorded.launches) - len(lines)
    return "\n".join([*lines, *([f"({left} more)"] if left > 0 else [])])


def _launch_line(launch: Launch) -> str:
    arguments = ", ".join(
        f"{one.name}: {one.type}"
        + (f" = {one.value}" if one.value is not None else "")
        + (f" {list(one.shape)} strides {list(one.strides or ())}" if one.shape else "")
        for one in launch.arguments
    )
    counted = ""
    if launch.counted is not None:
        moved = launch.counted.loaded_bytes + launch.counted.stored_bytes
        counted = f", {moved:,} bytes counted ({launch.counted.compulsory_bytes:,} compulsory)"
    return f"{launch.kernel}[{launch.grid}]({arguments}) x{launch.count}{counted}"


def _profile(search: Search) -> str:
    """The original's cost in the words of evidence."""
    if search.recorded is None:
        return ""
    return "\n".join(
        f"{unit.kernel} for {unit.arch} (estimated): vgprs {unit.vgprs}, spills {unit.spills}, "
        f"LDS {unit.lds_bytes} bytes, occupancy {unit.occupancy}, loads by width "
        f"{unit.load_widths}, stores by width {unit.store_widths}, "
        f"matrix instructions {unit.matrix_instructions}"
        for unit in search.recorded.compiled
    )
