"""Candidates that are accepted, since the tests never asked, and whose change is named.

All lie outside what the tests recorded, or are better than the original where that is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from corpus import PROJECT, edited, reference
from judging import SEED

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Target, Workspace
from whet_evaluator.worker import records
from whet_evaluator.worker.protocol import Limits

pytestmark = [pytest.mark.adversarial, pytest.mark.asyncio(loop_scope="module")]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """`words` occur in one of the changes that are named."""

    name: str
    unit: str
    text: str
    words: tuple[str, ...]


_WINDOW = """    for back in range(0, width):
        at = offsets - back
        total += tl.load(x_ptr + at, mask=mask & (at >= 0), other=0.0)
"""
_WINDOW_OF_THREE = _WINDOW.replace("range(0, width)", "range(0, 3)")
_CHECK = """    if any(x.shape != tensors[0].shape for x in tensors):
        raise ValueError("tensors of one shape are wanted")
"""
ROWS = (
    Listed(
        name="an integer argument is written down",
        unit="window",
        text=edited("window", (_WINDOW, _WINDOW_OF_THREE), ("total / width", "total / 3")),
        words=("width 3 -> 2",),
    ),
    Listed(
        name="a gradient is taken for dense",
        unit="tanh",
        text=edited("tanh", ("        grad = grad.contiguous()\n", "")),
        words=("the gradient of a sum",),
    ),
    Listed(
        name="a second backward finds other values",
        unit="tanh",
        text=edited("tanh", ("        out = torch.empty_like(y)\n", "        out = y\n")),
        words=("backward a second time",),
    ),
    Listed(
        name="a stable softmax is right where the original overflows",
        unit="exponentials",
        text=edited("exponentials", ("tl.exp(x)", "tl.exp(x - tl.max(x, axis=0))")),
        words=("large values", "want nan"),
    ),
    Listed(
        name="a type passed as an argument is written down",
        unit="gather_sum",
        text=edited("gather_sum", ("total.to(dtype)", "total")),
        words=("dtype float32 -> float16", "float32"),
    ),
    Listed(
        name="lists of three alone",
        unit="gather_sum",
        text=edited(
            "gather_sum",
            ("    for x in tensors:", "    for x in (tensors[0], tensors[1], tensors[2]):"),
        ),
        words=("tensors of 3 -> of 2", "raises"),
    ),
    Listed(
        name="whole numbers through float32",
        unit="weigh",
        text=edited("weigh", ("x * y", "(x.to(tl.float32) * y.to(tl.float32)).to(tl.int64)")),
        words=("whole numbers of x far beyond", "differs"),
    ),
    Listed(
        name="negative indices are no longer counted from the end",
        unit="pick",
        text=edited("pick", ("    row = tl.where(row < 0, row + n_rows, row)\n", "")),
        words=("whole numbers of index negative",),
    ),
    Listed(
        name="a check of the arguments is gone",
        unit="gather_sum",
        text=edited("gather_sum", (_CHECK, "")),
        words=("no longer checks", "raise ValueError if any"),
    ),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[WorkerEvaluator]:
    async with WorkerEvaluator(Target(python=sys.executable)) as worker:
        limits = Limits(differential_s=20.0, differential_cases=80)
        await worker.open(Workspace(root=PROJECT, limits=limits))
        yield worker


async def candidate_of(worker: WorkerEvaluator, one: Listed) -> Candidate:
    unit = reference(one.unit)
    known = await worker.record(unit, (f"tests/test_{one.unit}.py",), lambda _: None)
    return Candidate(
        unit=unit, text=one.text, launches=known.launches, seed=SEED, timed=False,
        nodes=tuple(test.nodeid for test in known.tests),
    )  # fmt: skip


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.name)
async def test_what_the_tests_never_asked_is_accepted_and_named(
    worker: WorkerEvaluator, one: Listed
) -> None:
    candidate = await candidate_of(worker, one)
    assert isinstance(await worker.evaluate(candidate, lambda _: None), records.Correct)
    verdict = await worker.confirm(candidate, lambda _: None)
    assert isinstance(verdict, records.Correct), verdict
    assert verdict.differential is not None
    changes = verdict.differential.behaviour_changes
    assert any(all(word in change for word in one.words) for change in changes), changes


async def test_strictly_it_is_rejected(worker: WorkerEvaluator) -> None:
    """`policy.strict`: whoever wants the original's behaviour everywhere gets nothing else."""
    one = ROWS[0]
    candidate = replace(await candidate_of(worker, one), differences="strict")
    verdict = await worker.confirm(candidate, lambda _: None)
    assert isinstance(verdict, records.Differs), verdict
    assert "moving_mean(float32[1], 2)" in verdict.cases[0], "the integer that no test passes"
