"""The generated cases end to end: a real worker, real kernels of every kind, the interpreter."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import pytest_asyncio

from whet_evaluator.evaluation import Candidate, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import Correct, Differs
from whet_evaluator.worker.unit_ref import UnitRef

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROJECT = Path(__file__).parent / "projects" / "kinds"
LAUNCHERS = (
    "scale_in_place", "histogram", "total", "dropout", "gather_rows", "peaks", "biased",
    "double_in_place", "masked_bits", "Square.apply",
)  # fmt: skip
TEXT = (PROJECT / "kinds.py").read_text()
UNIT = UnitRef(
    path="kinds.py", kernels=(), text=TEXT,
    launchers=(*LAUNCHERS[:-1], "Square.forward", "Square.backward"),
)  # fmt: skip
SEED = 7

BUGS = {
    "in place": ("* factor, mask=mask", "* factor, mask=offsets < n - 1"),
    "atomics on integers": ("out_ptr + bins, 1,", "out_ptr + bins, 1 + (bins == 3),"),
    "atomics on floats": ("out_ptr, tl.sum(values, axis=0)", "out_ptr, tl.max(values, axis=0)"),
    "random numbers": ("tl.rand(seed, offsets)", "tl.rand(seed + 1, offsets)"),
    "index tensors": ("source = tl.load(index_ptr + row)", "source = tl.load(index_ptr)"),
    "several outputs": ("tl.argmax(x, axis=0)", "tl.argmin(x, axis=0)"),
    "optional arguments": ("        x += tl.load(bias_ptr", "        x -= tl.load(bias_ptr"),
    "autotuned, in place": ("mask=mask) * 2, mask", "mask=mask) * 3, mask"),
    "integers": (">> 1) & 7", ">> 1) & 1"),
    "gradients": ("2 * x * grad", "x * grad"),
}
"""By kind of kernel: an edit that breaks the launcher of that kind, and no other."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def judge(worker):
    """Judges an edit of the unit by the generated cases alone."""
    limits = Limits(differential_cases=13, differential_s=120.0)
    await worker.open(Workspace(root=PROJECT, limits=limits))
    recorded = await worker.record(UNIT, ("test_kinds.py",), lambda progress: None)
    assert [test.outcome for test in recorded.tests] == ["passed"]

    async def judged(*edits, **wanted):
        text = TEXT
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        candidate = Candidate(
            unit=UNIT, text=text, nodes=(), launches=recorded.launches, seed=SEED, **wanted
        )
        return await worker.evaluate(candidate, lambda progress: None)

    return judged


def summary(verdict):
    """All that is said about the cases but how long they took."""
    assert isinstance(verdict, Correct), verdict
    found = verdict.differential
    return found.cases, found.behaviour_changes, found.not_covered, found.seed


async def test_two_at_once_are_both_judged(judge):
    """The second finds the original's runs under way, and waits for them."""
    old, new = BUGS["in place"]
    verdicts = await asyncio.gather(judge((old, new)), judge((old, new)), judge((old, new)))
    assert [type(verdict) for verdict in verdicts] == [Differs, Differs, Differs]


async def test_every_kind_of_kernel_equals_itself_and_the_same_is_said_again(judge):
    first = await judge()
    cases = first.differential.cases
    equal = {case.name.partition("(")[0] for case in cases if case.status == "equal" and case.hard}
    assert equal == set(LAUNCHERS)
    assert {case.status for case in cases} == {"equal"}
    assert {"float64", "original"} == {case.oracle for case in cases}
    assert summary(await judge()) == summary(first)


@pytest.mark.parametrize("kinds", [list(BUGS)[:5], list(BUGS)[5:]], ids=["some", "others"])
async def test_a_bug_in_each_kind_of_kernel_is_found_and_made_small(judge, kinds):
    verdict = await judge(*(BUGS[kind] for kind in kinds))
    assert isinstance(verdict, Differs)
    found = {case.name.partition("(")[0] for case in verdict.found}
    broken = {LAUNCHERS[list(BUGS).index(kind)] for kind in kinds}
    assert found == broken
    assert "(made smaller)" in verdict.cases[0]
    assert all("; seed " in sentence for sentence in verdict.cases)
    assert {case.status for case in verdict.found} == {"differs"}


async def test_where_the_original_is_wrong_differences_are_listed(judge):
    verdict = await judge(BUGS["integers"], differences="listed")
    assert isinstance(verdict, Correct)
    changes = verdict.differential.behaviour_changes
    assert changes
    assert all(change.startswith("masked_bits") for change in changes)
    listed = [one for one in verdict.differential.cases if one.status == "behaviour change"]
    assert len(listed) == len(changes)


_SUM = "tl.sum(values, axis=0)"


@pytest.mark.parametrize("differences", ["contract", "listed"])
async def test_a_reference_decides_where_the_user_names_one(judge, differences):
    """The reference adds one to a sum: the original's sum is wrong then, and so is a copy of it, also
    where the original is known to be wrong."""
    named = {"total": "reference.py::total"}
    unchanged = await judge(references=named, differences=differences)
    assert isinstance(unchanged, Differs)
    assert "the reference" in unchanged.cases[0]
    assert {case.oracle for case in unchanged.found} == {"reference"}
    mended = (_SUM, f"{_SUM} + tl.where(tl.program_id(0) == 0, 1.0, 0.0)")
    assert isinstance(await judge(mended, references=named, differences=differences), Correct)


async def test_beside_a_reference_a_wrong_original_says_nothing(judge):
    """What differs from it is listed where no reference is named; who raises has no excuse."""
    named = {"total": "reference.py::total"}
    mended = (_SUM, f"{_SUM} + tl.where(tl.program_id(0) == 0, 1.0, 0.0)")
    listed = await judge(mended, BUGS["integers"], references=named, differences="listed")
    assert isinstance(listed, Correct)
    changes = listed.differential.behaviour_changes
    assert {change.partition("(")[0] for change in changes} == {"masked_bits"}
    raising = ("def total(", "def total(*args):\n    raise TypeError(len(args))\n\n\ndef _total(")
    verdict = await judge(raising, references=named, differences="listed")
    assert isinstance(verdict, Differs)
    assert "raises TypeError: 1, where the reference returns" in verdict.cases[0]
