"""The world of a run, as the one argument that its loop takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from whet_agent.candidates.drafts import Draft, Drafts, Passed, Unfit
from whet_agent.ports import Clock, Model, SystemClock
from whet_agent.search.briefing import Brief
from whet_agent.store.journal import Journal
from whet_agent.task import Task
from whet_evaluator.evaluation import Evaluator, Progress, Workspace
from whet_evaluator.worker.unit_ref import UnitRef


def default_workspace(task: Task) -> Workspace:
    """The project with the unsaved buffers in place of their files."""
    return Workspace(root=Path(task.root), overlay={**task.overlay, task.unit.path: task.unit.text})


def _ignore(work_id: str, progress: Progress) -> None:
    """Nobody watches."""


@attrs.frozen(kw_only=True)
class Ports:
    """The loop's whole world. `model` None: the sweep alone.

    `read_reply(reply, finish_reason, original_text, unit)`, `screen(original, text,
    seen_hashes)` and `sweep(text, unit, arch)` are pure. `on_progress` gets the id of
    the work and how far it is: progress, not events.
    """

    evaluator: Evaluator
    journal: Journal
    brief: Brief
    read_reply: Callable[[str, str, str, UnitRef], Drafts]
    screen: Callable[[UnitRef, str, frozenset[str]], Passed | Unfit]
    sweep: Callable[[str, UnitRef, str | None], tuple[Draft, ...]]
    model: Model | None = None
    clock: Clock = attrs.field(factory=SystemClock)
    workspace: Callable[[Task], Workspace] = default_workspace
    on_progress: Callable[[str, Progress], None] = _ignore
