"""The original's runs of the generated cases, with children that end in every way by script."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest

from whet_evaluator.worker.differential.bank import Bank
from whet_evaluator.worker.differential.means import Means
from whet_evaluator.worker.differential.originals import Originals
from whet_evaluator.worker.protocol import Evaluate
from whet_evaluator.worker.stage_ends import Answered, Died, Raised
from whet_evaluator.worker.unit_ref import UnitRef
from whet_evaluator.worker.workspace import WorkspaceError

REQUEST = Evaluate(
    id=1, unit=UnitRef(path="k.py", kernels=("k",), launchers=("launch",), text="x = 1\n"),
    text="x = 1\n",
    nodes=(), launches=(), seed=1,
)  # fmt: skip
CASES = [
    {
        "id": f"case-{number}", "name": f"rows {number}", "elements": 8, "group": "shape",
        "turn": number, "number": number, "seed": number, "call": {"launcher": "k.py::launch"},
    }
    for number in range(4)
]  # fmt: skip


def originals(tmp_path, end):
    """Whose children end each as `end(n_child, write)` says; `write(n)` leaves n cases done."""
    n_children = 0

    async def run(job, where, mode, *, trusted):
        nonlocal n_children
        assert trusted, "the original is the user's own"

        def write(n_cases):
            for number in range(n_cases):
                folder = tmp_path / "output" / "differ" / mode / "0" / str(number)
                folder.mkdir(parents=True)
                (folder / "begun").touch()
                (folder / "ended").touch()

        if mode == "interpret" and "main" not in str(job["cases"][0]["runs"]):
            return Answered({})
        n_children += 1
        return end(n_children, write)

    @contextlib.asynccontextmanager
    async def place(text):
        assert text == REQUEST.unit.text
        yield SimpleNamespace(scratch=SimpleNamespace(output=str(tmp_path / "output")))

    bank = Bank(str(tmp_path / "bank"))
    means = Means(
        run=run, place=place, keep=lambda _: None, bank=bank, mode="device", basis="", budget_s=1.0, n_children=1,
        max_cases=100, max_bytes=1 << 20,
    )  # fmt: skip
    return Originals(means, REQUEST, seed=1, n_must=12, basis="basis")


def known(made):
    return asyncio.run(made.known(CASES, 1.0))


def test_a_child_that_fails_before_any_case_ends_the_request(tmp_path):
    made = originals(tmp_path, lambda *_: Raised("Traceback\nOSError: No space left on device"))
    with pytest.raises(WorkspaceError, match="could not run the generated cases: OSError: No sp"):
        known(made)


def test_a_child_that_fails_after_some_cases_leaves_the_others_uncovered(tmp_path):
    def end(_, write):
        write(2)
        return Died("signal 9", "")

    made = originals(tmp_path, end)
    assert known(made) == {"case-0", "case-1"}
    assert len(made.not_covered) == 1
    assert "could not run the generated" in made.not_covered[0]


def test_a_case_that_kills_the_original_is_left_out_and_the_rest_goes_on(tmp_path):
    def end(n_child, write):
        write(2)
        if n_child == 1:
            (tmp_path / "output" / "differ" / "device" / "0" / "1" / "ended").unlink()
            return Died("signal 11", "")
        return Answered({})

    made = originals(tmp_path, end)
    assert known(made) >= {"case-0", "case-2", "case-3"}
    made.name_what_died(CASES)
    assert made.not_covered == ["rows 1: the original's own process does not survive it"]


def test_an_original_that_survives_no_case_is_said_to(tmp_path):
    def end(_, write):
        write(1)
        (tmp_path / "output" / "differ" / "device" / "0" / "0" / "ended").unlink()
        return Died("signal 11", "")

    made = originals(tmp_path, end)
    assert known(made) == set()
    made.name_what_died(CASES)
    assert len(made.not_covered) == len(CASES) + 1
    assert made.not_covered[0].startswith("all generated cases: the original itself ended")
    assert made.not_covered[4] == "rows 3: the original's own process does not survive it"


def test_whoever_stops_waiting_for_a_case_stops_nobody_else(tmp_path):
    """A candidate whose tests are red leaves while another runs the original for both."""

    async def three_candidates():
        bank = Bank(str(tmp_path / "bank"))
        assert bank.is_new("a case")
        leaving, staying = (
            asyncio.create_task(bank.wait_settled(["a case"])) for _ in range(2)
        )  # fmt: skip
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        late = asyncio.create_task(bank.wait_settled(["a case"]))
        await asyncio.sleep(0)
        assert not staying.done()
        assert not late.done()
        bank.settle(["a case"], ran=True)
        return await asyncio.gather(staying, late)

    assert asyncio.run(three_candidates()) == [True, True]
