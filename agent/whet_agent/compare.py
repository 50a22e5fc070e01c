"""Judges an edit that Whet did not make by the same cascade as its own.

The original is another revision's text of the file, or another file; the candidate is the
file as it is now, or the editor's buffer. Tests and everything else are as they are now.
Nothing is written anywhere.
"""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import attrs

from whet_agent import orders
from whet_agent.app import App
from whet_agent.baseline import as_search, require_baseline
from whet_agent.evidence import Evidence, gather
from whet_agent.interfaces import Differences, differences, notes
from whet_agent.judging import fatal_differences
from whet_agent.project import UserError
from whet_agent.rests_on import reached
from whet_agent.revisions import UsageError, Version
from whet_agent.search import words
from whet_agent.search.state import Surroundings, green_nodes, red_tests
from whet_agent.task import Task
from whet_agent.version import __version__
from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, Progress
from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.records import CompileReport, Correct, Recorded, WorkerVerdict
from whet_evaluator.worker.records import Differences as DifferencesKind
from whet_evaluator.worker.unit_ref import UnitRef

OnProgress = Callable[[Progress], None]


@attrs.frozen(kw_only=True)
class Order:
    """What to compare. `text` is the new whole file; `also` are further targets, or
    architectures to compile for."""

    path: Path
    kernel: str | None
    original: Version
    text: str
    tests: tuple[str, ...] = ()
    target: str | None = None
    also: tuple[str, ...] = ()
    overlay: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Judged:
    """The cascade ran on `target`. `evidence` is there exactly when the verdict is `Correct`."""

    target: str
    hardware: str
    verdict: WorkerVerdict
    evidence: Evidence | None
    mended: tuple[str, ...] = ()
    """Tests that the original fails and the new version passes."""
    still_red: tuple[str, ...] = ()
    without_reference: bool = False
    """The original passes none of the tests."""


@attrs.frozen(kw_only=True)
class CompiledOnly:
    """`target` could not be reached (`why` in a sentence), so the new version was only
    compiled for its architecture; `report` None where not even that was possible."""

    target: str
    arch: str | None
    why: str
    report: CompileReport | None


@attrs.frozen(kw_only=True)
class NotJudged:
    """`target` was reached, and the new version could not be judged there: red tests, a lost host."""

    target: str
    why: str
    """A sentence with the cure."""


OnTarget = Judged | CompiledOnly | NotJudged


@attrs.frozen(kw_only=True)
class Comparison:
    """What came of it. `notes` say what is compared otherwise than a reader would expect,
    `on` is empty when both texts are the same."""

    path: str
    kernel: str
    against: str
    original_text: str
    text: str
    notes: tuple[str, ...]
    on: tuple[OnTarget, ...]
    at: float
    commit: str = ""
    """Of `against`, where it is a revision."""


async def compare(
    app: App, order: Order, *, on_progress: OnProgress = lambda _: None
) -> Comparison:
    """Judges `order` on its target, and on every further one as far as it can be reached.

    Raises `UsageError` for a kernel or target that is not there, and `UserError` when the
    world stands in the way on the first target: red or missing tests, no launch, no Python.
    """
    task = _task(app, order, order.target)
    found = differences(task.unit, order.text)
    if found is None:
        raise UsageError(f"There is no kernel {task.kernel} in {order.path.name} as it is now.")
    others = [(name, _also(app, order, name)) for name in order.also]
    comparison = Comparison(
        path=task.unit.path, kernel=task.kernel, against=order.original.name,
        original_text=task.unit.text, text=order.text, on=(),
        notes=notes(found, task.unit, order.text, order.original),
        at=time.time(), commit=order.original.commit,
    )  # fmt: skip
    if order.text == task.unit.text:
        _require_same_below(task, order.original)
        return comparison
    on: list[OnTarget] = []
    async with app.opened(task) as evaluator:
        subject = _Subject(task, order, found, on_progress)
        launches, judged = await subject.judge(evaluator)
        on.append(judged)
        for name, other in others:
            on.append(await subject.judge_elsewhere(app, evaluator, launches, name, other))
    return attrs.evolve(comparison, on=tuple(on), at=time.time())


class _Subject:
    """One edit, to be judged on one target after the other."""

    def __init__(
        self, task: Task, order: Order, found: Differences, on_progress: OnProgress
    ) -> None:
        self._task = task
        self._text = order.text
        self._against = order.original.name
        self._found = found
        self._watch = on_progress
        self._seconds: dict[str, float] = {}
        """Of the last evaluation, by stage."""

    def _on_progress(self, progress: Progress) -> None:
        if progress.seconds:
            self._seconds = dict(progress.seconds)
        else:
            self._watch(progress)

    async def judge(
        self, evaluator: WorkerEvaluator, task: Task | None = None
    ) -> tuple[tuple[Launch, ...], Judged]:
        """With the launches that the new version's users would make.

        Raises `UserError` where the original's tests give nothing to judge by.
        """
        task = task or self._task
        assert evaluator.facts is not None
        here = Surroundings(facts=evaluator.facts, shipped=evaluator.shipped, whet=__version__)
        recorded = await evaluator.record(
            task.unit, task.tests, self._on_progress, benchmark=task.benchmark
        )
        search = as_search(task, here, recorded)
        mended, still_red = await self._mended(evaluator, task, recorded)
        require_baseline(search, self._against, mended)
        green = green_nodes(recorded)
        if mended and green:  # only in calls of tests that it passes is the original a reference
            recorded = await evaluator.record(
                task.unit, green, self._on_progress, benchmark=task.benchmark
            )
        # Without launches nothing recorded is replayed.
        fits = self._found.calls_fit and _can_replay(task, self._found)
        verdict = await evaluator.confirm(
            Candidate(
                unit=task.unit, text=self._text, nodes=(*green, *mended),
                launches=recorded.launches if fits else (),
                seed=zlib.crc32(self._text.encode("utf-8", "replace")),
                timed=fits and bool(green), references=task.references,
                benchmark=task.benchmark,
                differences=_fatal(task, mended, green),
            ),
            self._on_progress,
        )  # fmt: skip
        # Of other calls than the original's, what is counted and estimated is no comparison.
        shown = dataclasses.replace(recorded, launches=(), compiled=()) if mended else recorded
        evidence = self._evidence(task, here, shown, verdict)
        judged = Judged(
            target=task.target.name, hardware=words.hardware(search), verdict=verdict,
            evidence=evidence, mended=mended, still_red=still_red, without_reference=not green,
        )  # fmt: skip
        launches = verdict.launches if isinstance(verdict, Correct) else recorded.launches
        return launches, judged

    async def judge_elsewhere(
        self,
        app: App,
        first: WorkerEvaluator,
        launches: tuple[Launch, ...],
        name: str,
        other: Task | str,
    ) -> OnTarget:
        """On a further target; compiled by the first one's Triton where it is out of reach."""
        if isinstance(other, str):
            why = f"{name} is an architecture and no target, so nothing ran there."
            return await self._compiled(first, launches, name, other, why)
        is_reached = False
        try:
            async with app.opened(other) as evaluator:
                is_reached = True
                return (await self.judge(evaluator, other))[1]
        except UserError as error:
            why = _as_sentence(str(error))
            if is_reached:
                return NotJudged(target=name, why=why)
            return await self._compiled(first, launches, name, other.target.arch, why)

    async def _compiled(
        self,
        evaluator: WorkerEvaluator,
        launches: tuple[Launch, ...],
        name: str,
        arch: str | None,
        why: str,
    ) -> CompiledOnly:
        if arch is None:
            why += f" Its `arch` is not set, so {name} was not compiled for either."
            return CompiledOnly(target=name, arch=None, why=why, report=None)
        try:
            report = await evaluator.compile(self._task.unit, self._text, launches, arch)
        except EvaluatorError as error:
            return CompiledOnly(target=name, arch=arch, why=f"{why} {error}", report=None)
        return CompiledOnly(target=name, arch=arch, why=why, report=report)

    async def _mended(
        self, evaluator: WorkerEvaluator, task: Task, recorded: Recorded
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Of the original's red tests those that the new version passes, and the others."""
        red = {test.nodeid for test in red_tests(recorded)}
        if not red:
            return (), ()
        unit = UnitRef(
            path=task.unit.path, kernels=task.unit.kernels, launchers=task.unit.launchers,
            text=self._text,
        )  # fmt: skip
        ran = await evaluator.run_tests(tuple(sorted(red)), unit, self._on_progress)
        green = {one.nodeid for one in ran.tests if one.outcome in ("passed", "xpassed")}
        of = {node: [one.nodeid for one in ran.tests if _is_of(one.nodeid, node)] for node in red}
        mended = {node for node, made in of.items() if made and green.issuperset(made)}
        names = {name for node in mended for name in of[node]}
        return tuple(sorted(names)), tuple(sorted(red - mended))

    def _evidence(
        self, task: Task, here: Surroundings, recorded: Recorded, verdict: WorkerVerdict
    ) -> Evidence | None:
        if not isinstance(verdict, Correct):
            return None
        return gather(
            task=task, run="", candidate="", text=self._text, label="edit", strategy="",
            surroundings=here, recorded=recorded, verdict=verdict,
            stage_s=self._seconds, at=time.time(),
        )  # fmt: skip


def _is_of(nodeid: str, node: str) -> bool:
    """Whether it is that node, or below what a file that did not import left without parameters."""
    return nodeid == node or nodeid.startswith((f"{node}[", f"{node}::"))


# ---- before anything runs --------------------------------------------------------------


def _task(app: App, order: Order, target: str | None) -> Task:
    """The original as a task. No model has a part in it."""
    try:
        orders.require_target(app.loaded, target)
    except UserError as error:
        raise UsageError(str(error)) from None
    try:
        orders.find_kernel(order.original.text, order.path, order.kernel)
    except UserError as error:
        raise UsageError(f"{order.original.name}: {error}") from None
    task = app.task(
        "optimize", order.path, order.kernel, text=order.original.text, tests=order.tests,
        target=target, overlay=order.overlay,
    )  # fmt: skip
    return attrs.evolve(task, model=None)


def _also(app: App, order: Order, name: str) -> Task | str:
    """A further target, or an architecture's name."""
    if name not in app.loaded.settings.targets and name.startswith(("gfx", "sm_")):
        return name
    return _task(app, order, name)


def _require_same_below(task: Task, original: Version) -> None:
    """Raises `UserError` where the file is the same and what it imports is not: only one file's text
    is exchanged between the versions."""
    below = reached(Path(task.root), (task.unit.path,))
    files = {(Path(task.root) / one).resolve(): one for one in below}
    resolved = (files.get((original.top / name).resolve()) for name in original.differing)
    changed = [one for one in resolved if one is not None]
    if changed:
        raise UserError(
            f"{task.unit.path} is the same as in {original.name}, but what it imports is not: "
            f"{', '.join(changed[:5])}. A comparison exchanges one file alone, so it says nothing of "
            "that change; run the tests, or compare a kernel of the changed file."
        )


def _fatal(task: Task, mended: tuple[str, ...], green: tuple[str, ...]) -> DifferencesKind:
    """An original that fails tests is wrong, but not in the calls of those that it passes."""
    if not mended:
        return fatal_differences(task)
    return "recorded" if green else "listed"


def _can_replay(task: Task, found: Differences) -> bool:
    """Launches of a kernel without launchers are replayed as they were recorded."""
    return bool(task.unit.launchers) or not found.kernel


def _as_sentence(said: str) -> str:
    return said[:1].upper() + said[1:] + ("" if said.endswith((".", "!", "?")) else ".")
