"""Whether the evidence of a run still holds: its hashes against the files now, and the
fresh evaluation once more.

The stored candidate is judged against the stored original, with the files around them as
they are now. Nothing is written, and the run's journal stays as it is.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath

import attrs

from whet_agent import wiring
from whet_agent.app import App
from whet_agent.judging import fatal_differences
from whet_agent.project import UserError
from whet_agent.rests_on import Check, hash_checks, reached
from whet_agent.settings.loading import Loaded
from whet_agent.source.codebase import load_text
from whet_agent.summary import Best, RunSummary
from whet_agent.task import Task
from whet_agent.verify_checks import baseline_checks, environment_checks, verdict_checks
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, Evaluator, Progress, Shipped
from whet_evaluator.files import load_manifest, shipped
from whet_evaluator.worker.records import (
    CollectError,
    Recorded,
)

OnProgress = Callable[[Progress], None]


@attrs.frozen(kw_only=True)
class Verification:
    """What was looked at and what came of it, the most basic first."""

    run: str
    kernel: str
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        return all(check.status != "changed" for check in self.checks)

    @property
    def sentence(self) -> str:
        """The verdict and every reason against it."""
        if self.holds:
            return f"The evidence of run {self.run} holds."
        why = " ".join(check.sentence for check in self.checks if check.status == "changed")
        return f"The evidence of run {self.run} no longer holds: {why}"


async def verify(
    app: App,
    run: str,
    *,
    root: Path | None = None,
    repeat: bool = True,
    on_progress: OnProgress = lambda _: None,
) -> Verification:
    """Checks the run's evidence. `root` is where the project is now, as `find_root` gives it (None:
    where it was). `repeat` False looks at hashes alone and runs nothing.

    Raises `UserError` when the run offers nothing, or when the world stands in the way.
    """
    summary = app.history.summary(run)
    best, search = summary.best, summary.memo
    if best is None or search is None:
        raise UserError(f"Run {summary.run} offers nothing, so there is nothing to verify.")
    task = attrs.evolve(search.task, overlay={})
    moved: tuple[Check, ...] = ()
    if root is not None and root != Path(task.root):
        task, moved = _moved(task, root, app.loaded)
    now = await asyncio.to_thread(_files_now, app, task)
    checks = moved + await asyncio.to_thread(_hash_checks, task, best, now)
    if repeat:
        async with app.opened(task) as evaluator:
            assert evaluator.facts is not None
            then = search.candidates[best.candidate].confirmed_in
            settings = then.facts.settings if then is not None else {}
            checks += environment_checks(best.evidence, settings, evaluator.facts)
            checks += await _repeated(evaluator, task, best, on_progress)
    return Verification(run=summary.run, kernel=summary.kernel, checks=checks)


# ---- the place -------------------------------------------------------------------------


def find_root(summary: RunSummary, here: Iterable[Path]) -> Path:
    """The run's project: where it was, else the first folder of `here` that holds the kernel's file.

    Raises `UserError` where neither is there.
    """
    # Not `Path.is_dir`: of a folder that another person's home hides, it raises.
    if os.path.isdir(summary.root):  # noqa: PTH112
        return Path(summary.root)
    if not PurePath(summary.path).is_absolute():
        for folder in here:
            if (folder / summary.path).is_file():
                return folder
    raise UserError(
        f"Run {summary.run} was in {summary.root}, which is not there, and this folder's project "
        f"has no {summary.path}: run `whet verify {summary.run}` from the project's new folder."
    )


def _moved(task: Task, root: Path, loaded: Loaded) -> tuple[Task, tuple[Check, ...]]:
    """The task where the project is now. Its Python may have been the old folder's: the settings
    found here say which it is, if they still name the target."""
    said = f"The project was at {task.root}; verifying it here in {root}."
    target = loaded.settings.targets.get(task.target.name, task.target)
    here = dataclasses.replace(target, arch=task.target.arch)
    check = Check(what="project", status="said", sentence=said)
    return attrs.evolve(task, root=str(root), target=here), (check,)


# ---- the files -------------------------------------------------------------------------


def _files_now(app: App, task: Task) -> Shipped:
    place = attrs.evolve(task, overlay={})
    workspace = wiring.workspace(app.loaded)(place)
    try:
        return shipped(load_manifest(workspace))
    except EvaluatorError as error:
        raise UserError(str(error)) from None


def _hash_checks(task: Task, best: Best, now: Shipped) -> tuple[Check, ...]:
    root = Path(task.root)
    try:
        text = load_text(root / task.unit.path)
    except (OSError, ValueError):
        text = None
    hashes = best.evidence.hashes
    named = (*task.references.values(), *([task.benchmark] if task.benchmark else []))
    files = (name.partition("::")[0] for name in named)
    starts = (task.unit.path, *hashes.tests, *hashes.configuration, *files)
    return hash_checks(best.evidence, text, now.sources, now.data_digest, reached(root, starts))


# ---- the evaluation, once more ---------------------------------------------------------


async def _repeated(
    evaluator: Evaluator, task: Task, best: Best, on_progress: OnProgress
) -> tuple[Check, ...]:
    recorded = await evaluator.record(task.unit, task.tests, on_progress, benchmark=task.benchmark)
    wanted = [t.nodeid for t in best.evidence.tests if t.outcome in ("passed", "xpassed")]
    errors = await _collect_errors(evaluator, wanted, recorded)
    checks, nodes = baseline_checks(task, wanted, recorded, errors)
    if not nodes:
        return checks
    candidate = Candidate(
        unit=task.unit, text=best.text, nodes=nodes, launches=recorded.launches,
        seed=zlib.crc32(f"{best.evidence.run}.verify".encode()), timed=task.goal == "optimize",
        differences=fatal_differences(task), references=task.references,
        benchmark=task.benchmark,
    )  # fmt: skip
    verdict = await evaluator.confirm(candidate, on_progress)
    return (*checks, *verdict_checks(best.evidence, recorded, verdict))


async def _collect_errors(
    evaluator: Evaluator, wanted: list[str], recorded: Recorded
) -> tuple[CollectError, ...]:
    """Why pytest no longer collects what a wanted test is in. It is asked for one file at a time:
    of several it collects none if one is gone."""
    outcomes = {test.nodeid: test.outcome for test in recorded.tests}
    absent = [node for node in wanted if outcomes.get(node, "error") == "error"]
    files = dict.fromkeys(
        node.partition("::")[0] for node in absent if node not in recorded.too_slow
    )
    errors = [one for file in files for one in (await evaluator.collect((file,))).errors]
    return tuple({one.path: one for one in errors}.values())
