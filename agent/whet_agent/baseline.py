"""What the original's own tests must give before an edit can be judged by them. Pure."""

from __future__ import annotations

import dataclasses

import attrs

from whet_agent.events import BaselineRecorded, Created, Opened
from whet_agent.project import UserError
from whet_agent.search import closing
from whet_agent.search.fold import replay
from whet_agent.search.state import Search, Surroundings, green_nodes, red_tests
from whet_agent.task import Task
from whet_evaluator.worker.records import Recorded


def as_search(task: Task, here: Surroundings, recorded: Recorded) -> Search:
    """The state of a run at this point, which knows how to speak of a baseline."""
    return replay([
        Created(run="", task=task, at=0.0),
        Opened(id="open", facts=here.facts, at=0.0, shipped=here.shipped, whet=here.whet),
        BaselineRecorded(id="record", recorded=recorded, at=0.0),
    ])  # fmt: skip


def require_baseline(search: Search, against: str, mended: tuple[str, ...]) -> None:
    """Raises `UserError` when the original's tests give nothing to judge an edit by."""
    recorded = search.recorded
    assert recorded is not None
    red, green = red_tests(recorded), green_nodes(recorded)
    if mended or (green and recorded.launches):
        return
    if red and not green:
        why = f" ({red[0].gist[:200]})" if red[0].gist else ""
        raise UserError(
            f"{search.task.unit.path} of {against} passes no test, and the new version mends "
            f"none: {red[0].nodeid}{why}. Make the tests pass with one of them first."
            + closing.not_sent(search)
        )
    others = tuple(test for test in recorded.tests if test not in red)
    calm = attrs.evolve(search, recorded=dataclasses.replace(recorded, tests=others))
    unfit = closing.unfit_baseline(calm)
    assert unfit is not None
    raise UserError(unfit.sentence)
