"""How many small faults a user's tests notice, and how far generated cases raise that.

Each mutant of the kernel goes through the evaluator like any candidate. What does not
compile is no mutant, and another takes its place. One that nothing tells from the original
may be equal to it: it is named, and nobody is blamed for it. The user's tests are credited
with what they saw alone: a trick is Whet's own finding, even when it shows while they run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal, assert_never

import attrs

from whet_agent.candidates.mutants import N_MUTANTS, Mutant, mutants_of
from whet_evaluator.evaluation import Candidate, Evaluator, Progress
from whet_evaluator.worker import records
from whet_evaluator.worker.unit_ref import UnitRef

SEED = 1
N_AT_ONCE = 2
"""Generated cases have a budget in seconds: more at once would leave each with fewer."""
Caught = Literal["your tests", "generated cases", "a change of behaviour", "nothing"]
"""What told a mutant from the original first. *A change of behaviour* lies outside what the
tests recorded: it would be listed beside a candidate, not held against it."""


@attrs.frozen(kw_only=True)
class JudgedMutant:
    """`detail` is the test or the case that told it apart; of `nothing`, why it was not tried."""

    mutant: Mutant
    caught: Caught
    detail: str = ""


@attrs.frozen(kw_only=True)
class MutationScore:
    """`judged` are those that compile, in the order of `mutants_of`."""

    kernel: str
    judged: tuple[JudgedMutant, ...]

    @property
    def n_by_tests(self) -> int:
        return sum(one.caught == "your tests" for one in self.judged)

    @property
    def n_with_cases(self) -> int:
        return sum(one.caught in ("your tests", "generated cases") for one in self.judged)

    @property
    def survivors(self) -> tuple[JudgedMutant, ...]:
        """Those that stayed green under the user's tests."""
        return tuple(one for one in self.judged if one.caught != "your tests")

    def sentence(self) -> str:
        """`Your tests catch 3 of 8 mutants of k; with generated cases 8 of 8.`"""
        n = len(self.judged)
        if n == 0:
            return f"There is nothing to mutate in {self.kernel}."
        said = f"Your tests catch {self.n_by_tests} of {n} mutants of {self.kernel}"
        return f"{said}; with generated cases {self.n_with_cases} of {n}."

    def as_json(self) -> dict[str, Any]:
        return {
            "kernel": self.kernel,
            "mutants": len(self.judged),
            "caught_by_tests": self.n_by_tests,
            "caught_with_generated_cases": self.n_with_cases,
            "judged": [
                {
                    "kind": one.mutant.kind, "line": one.mutant.line, "before": one.mutant.before,
                    "after": one.mutant.after, "caught_by": one.caught, "detail": one.detail,
                }
                for one in self.judged
            ],
        }  # fmt: skip


async def mutation_score(
    evaluator: Evaluator,
    unit: UnitRef,
    recorded: records.Recorded,
    on_judged: Callable[[JudgedMutant], None],
) -> MutationScore:
    """Judges `N_MUTANTS` mutants of the unit's kernel, several at a time.

    `evaluator` is open, and `recorded` its recording of the unit. Raises `EvaluatorError`.
    """
    nodes = tuple(
        test.nodeid for test in recorded.tests
        if test.outcome == "passed" and unit.kernels[0] in test.kernels
    )  # fmt: skip

    turn = asyncio.Semaphore(N_AT_ONCE)

    async def judge(mutant: Mutant) -> JudgedMutant | None:
        candidate = Candidate(
            unit=unit, text=mutant.text, nodes=nodes, launches=recorded.launches, seed=SEED,
            timed=False,
        )  # fmt: skip
        async with turn:
            verdict = await evaluator.evaluate(candidate, _silent)
        judged = judged_mutant(mutant, verdict)
        if judged is not None:
            on_judged(judged)
        return judged

    left = mutants_of(unit) if nodes else ()
    judged: list[JudgedMutant] = []
    while left and len(judged) < N_MUTANTS:
        n = N_MUTANTS - len(judged)
        batch, left = left[:n], left[n:]
        judged += [one for one in await asyncio.gather(*map(judge, batch)) if one is not None]
    return MutationScore(kernel=unit.kernels[0], judged=tuple(judged))


def judged_mutant(mutant: Mutant, verdict: records.WorkerVerdict) -> JudgedMutant | None:
    """None where the mutant does not compile, which may also end the compiler."""
    told = _told_apart(verdict)
    return None if told is None else JudgedMutant(mutant=mutant, caught=told[0], detail=told[1])


def _told_apart(verdict: records.WorkerVerdict) -> tuple[Caught, str] | None:  # noqa: PLR0911 - a table
    match verdict:
        case records.Broken():
            return None
        case records.Misplaced(detail=detail):
            return "nothing", detail
        case records.Correct(differential=found):
            changes = found.behaviour_changes if found is not None else ()
            return ("a change of behaviour", changes[0]) if changes else ("nothing", "")
        case records.Failed(cases=cases):
            return "your tests", cases[0].nodeid
        case records.Differs(cases=differing):
            return "generated cases", differing[0]
        case records.Cheated(reason=reason, detail=detail):
            return "generated cases", f"{reason}: {detail}"
        case records.Crashed(stage=stage, how=how):
            return _by_stage(stage, f"it crashed: {how}")
        case records.TimedOut(stage=stage, limit_s=limit_s):
            return _by_stage(stage, f"it did not end within {limit_s:.0f} s")
        case records.Exceeded(stage=stage, what=what):
            return _by_stage(stage, f"it went over a limit: {what}")
        case _:
            assert_never(verdict)


def _by_stage(stage: records.Stage, detail: str) -> tuple[Caught, str] | None:
    if stage == "load":
        return None
    return ("your tests" if stage == "tests" else "generated cases"), detail


def _silent(progress: Progress) -> None:
    del progress
