"""Whether the evidence of a run still holds: its hashes against the files now, and the
fresh evaluation once more.

The stored candidate is judged against the stored original, with the files around them as
they are now. Nothing is written, and the run's journal stays as it is.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from pathlib import Path

import attrs

from whet_agent import wiring
from whet_agent.app import App
from whet_agent.evidence import Evidence
from whet_agent.judging import fatal_differences
from whet_agent.project import UserError
from whet_agent.rests_on import Check, Status, hash_checks, reached
from whet_agent.search.score import cost
from whet_agent.search.words import failure_case, failure_word
from whet_agent.source.codebase import load_text
from whet_agent.summary import Best
from whet_agent.task import Task
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Candidate, Evaluator, Progress, Shipped
from whet_evaluator.files import load_manifest, shipped
from whet_evaluator.statistics import ZONE, Measured, analyse
from whet_evaluator.worker.launch_records import Counted
from whet_evaluator.worker.records import Correct, Facts, Recorded, Timing, WorkerVerdict

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
    app: App, run: str, *, repeat: bool = True, on_progress: OnProgress = lambda _: None
) -> Verification:
    """Checks the run's evidence. `repeat` False looks at hashes alone and runs nothing.

    Raises `UserError` when the run offers nothing, or when the world stands in the way.
    """
    summary = app.history.summary(run)
    best, search = summary.best, summary.memo
    if best is None or search is None:
        raise UserError(f"Run {summary.run} offers nothing, so there is nothing to verify.")
    task = attrs.evolve(search.task, overlay={})
    now = await asyncio.to_thread(_files_now, app, task)
    checks = await asyncio.to_thread(_hash_checks, task, best, now)
    if repeat:
        async with app.opened(task) as evaluator:
            assert evaluator.facts is not None
            checks += _environment_checks(best.evidence, evaluator.facts)
            checks += await _repeated(evaluator, task, best, on_progress)
    return Verification(run=summary.run, kernel=summary.kernel, checks=checks)


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


# ---- the world -------------------------------------------------------------------------


def _environment_checks(evidence: Evidence, facts: Facts) -> tuple[Check, ...]:
    """Other versions are no failure by themselves: the repetition decides."""
    then = evidence.environment
    device = facts.devices[0].name if facts.devices else None
    pairs = [
        ("Python", then.python, facts.python),
        ("torch", then.torch, facts.torch),
        ("triton", then.triton, facts.triton),
        ("the device", then.device if then.mode == "device" else None, device),
        ("isolation", then.isolation, facts.isolation),
    ]
    return tuple(
        Check(
            what=name, status="said", sentence=f"{name} was {old or 'none'} and is {new or 'none'}."
        )
        for name, old, new in pairs
        if old != new
    )


# ---- the evaluation, once more ---------------------------------------------------------


async def _repeated(
    evaluator: Evaluator, task: Task, best: Best, on_progress: OnProgress
) -> tuple[Check, ...]:
    recorded = await evaluator.record(task.unit, task.tests, on_progress, benchmark=task.benchmark)
    wanted = [t.nodeid for t in best.evidence.tests if t.outcome in ("passed", "xpassed")]
    checks, nodes = _baseline_checks(task, wanted, recorded)
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


def _baseline_checks(
    task: Task, wanted: list[str], recorded: Recorded
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """What of the tests is gone or red on the stored original, and the nodes that remain."""
    found = {test.nodeid: test for test in recorded.tests}
    checks: list[Check] = []
    nodes: list[str] = []
    for node in wanted:
        test = found.get(node)
        if node in recorded.too_slow:
            checks.append(Check(what=node, status="not repeated",
                                sentence=f"{node} is over the interpreter's time budget now."))  # fmt: skip
        elif test is None:
            checks.append(
                Check(
                    what=node, status="changed", sentence=f"The test {node} is not there any more."
                )
            )
        elif task.goal == "optimize" and test.outcome not in ("passed", "xpassed"):
            checks.append(
                Check(what=node, status="changed",
                      sentence=f"The stored original does not pass {node} any more: {test.outcome}.")
            )  # fmt: skip
        else:
            nodes.append(node)
    return tuple(checks), tuple(nodes)


def verdict_checks(
    evidence: Evidence, recorded: Recorded, verdict: WorkerVerdict
) -> tuple[Check, ...]:
    """The fresh verdict beside the stored one. Pure."""
    if not isinstance(verdict, Correct):
        stage, case = failure_case(verdict)
        lines = [line.strip() for line in case.splitlines() if line.strip()]
        why = f": {lines[-1][:300]}" if lines else ""
        said = f"The candidate does not pass again ({failure_word(verdict)} in {stage}{why})."
        return (Check(what="correctness", status="changed", sentence=said),)
    n_passed = sum(test.outcome in ("passed", "xpassed") for test in verdict.tests)
    passed = "1 test" if n_passed == 1 else f"{n_passed} tests"
    again = f"The candidate passes {passed} again, in a fresh process."
    return (
        Check(what="correctness", status="holds", sentence=again),
        *_case_checks(evidence, verdict),
        *_counted_checks(evidence, recorded, verdict),
        *_timing_checks(evidence, verdict),
    )


def _case_checks(evidence: Evidence, verdict: Correct) -> tuple[Check, ...]:
    """A generated case that differs would have ended the evaluation before this."""
    then, now = evidence.verdict.differential, verdict.differential
    if then is None or not then.cases:
        return ()
    if now is None or not now.cases:
        said = "The generated cases could not be repeated here."
        return (Check(what="generated cases", status="not repeated", sentence=said),)
    old, new = (sum(case.status == "equal" for case in found.cases) for found in (then, now))
    said = f"{new} generated cases are equal again (there were {old})."
    return (Check(what="generated cases", status="holds", sentence=said),)


def _counted_checks(evidence: Evidence, recorded: Recorded, verdict: Correct) -> tuple[Check, ...]:
    """Counting is exact, so the figures must be equal."""
    before, after = evidence.cost_before, evidence.cost_after
    found = []
    for word, old, seen in (
        ("original", before.counted if before else None, recorded),
        ("candidate", after.counted if after else None, verdict),
    ):
        if old is None:
            continue
        new = cost(seen.launches, seen.compiled).counted
        if new == old:
            said = f"Counted again of the {word}: the same figures."
            found.append(Check(what=f"counted ({word})", status="holds", sentence=said))
        else:
            said = f"Counted of the {word}: {_difference(old, new)}."
            found.append(Check(what=f"counted ({word})", status="changed", sentence=said))
    return tuple(found)


def _difference(old: Counted, new: Counted | None) -> str:
    if new is None:
        return "no figures now"
    names = [name for name in old.__dataclass_fields__ if getattr(old, name) != getattr(new, name)]
    return ", ".join(
        f"{name.replace('_', ' ')} {getattr(old, name):,} then, {getattr(new, name):,} now"
        for name in names
    )


def _timing_checks(evidence: Evidence, verdict: Correct) -> tuple[Check, ...]:
    then = evidence.measured
    timing = verdict.timing
    now = analyse(timing) if isinstance(timing, Timing) and timing.cases else None
    if then is None and now is None:
        return ()
    status, said = _timing_words(evidence, then, now, verdict)
    return (Check(what="timing", status=status, sentence=said),)


def _timing_words(
    evidence: Evidence, then: Measured | None, now: Measured | None, verdict: Correct
) -> tuple[Status, str]:
    """Other hardware and a noisy device say nothing either way."""
    place = evidence.environment.device or "no device"
    if then is None:
        assert now is not None
        return "said", f"Nothing was timed then; it measures {_interval(now)} now."
    if now is None:
        assert not isinstance(verdict.timing, Timing) or not verdict.timing.cases
        return "not repeated", f"The time measured on {place} was not repeated: no clock here."
    here = verdict.timing.environment.get("device") if isinstance(verdict.timing, Timing) else None
    if here != evidence.environment.device:
        return "not repeated", f"Measured on {place} then; {_interval(now)} on {here} now."
    if not now.control_ok:
        return "not repeated", f"{here} is too noisy now to repeat the measurement."
    return _compared(then, now, here)


def _compared(then: Measured, now: Measured, here: str | None) -> tuple[Status, str]:
    """Intervals that overlap agree, and so do those whose gap nobody would notice: each is of one
    session, and what a session keeps throughout is in neither."""
    both = f"{_interval(then)} then, {_interval(now)} now"
    if now.low <= then.high and then.low <= now.high:
        return "holds", f"Measured again on {here}: {both}."
    if now.low <= then.high * ZONE and then.low <= now.high * ZONE:
        gap = f"the intervals lie less than {ZONE - 1:.0%} apart, as two sessions may"
        return "holds", f"Measured again on {here}: {both}; {gap}."
    return "changed", f"Measured on {here}: {both}, and the intervals do not overlap."


def _interval(measured: Measured) -> str:
    return f"{measured.ratio:.2f}x [{measured.low:.2f}, {measured.high:.2f}]"
