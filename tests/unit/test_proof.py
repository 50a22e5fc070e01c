"""Whose work an output is, judged from two records."""

import pytest

from whet_evaluator.worker.proof import judge

KERNEL = {"kernel": True, "through": []}
ORIGINAL = {"launches": {"k": 1}, "origins": {"output 0": KERNEL}}


def record(launches: dict[str, int], origin: dict | None = None, role: str = "output 0") -> dict:
    return {"launches": launches, "origins": {role: origin} if origin else {}}


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        (record({}, {"kernel": False, "through": []}), "not launched"),
        (record({"k": 1}, {"kernel": False, "through": []}), "no kernel computed"),
        (record({"k": 1}, {"kernel": True, "through": ["torch's mm"]}), "somebody else"),
        (record({}, {"kernel": False, "through": ["torch's mm"]}), "somebody else"),
    ],
)
def test_work_that_no_kernel_of_the_unit_did(candidate: dict, word: str) -> None:
    trick = judge(ORIGINAL, candidate)
    assert trick is not None
    assert word in trick.reason


@pytest.mark.parametrize(
    "candidate",
    [ORIGINAL, record({"k": 1, "helper": 3}, KERNEL), record({"other": 1})],
    ids=["the same", "another kernel more", "an output without elements"],
)
def test_honest_work(candidate: dict) -> None:
    assert judge(ORIGINAL, candidate) is None


def test_what_the_original_does_is_allowed() -> None:
    both = {"kernel": True, "through": ["torch's sum"]}
    assert judge(record({"k": 1}, both), record({"k": 1}, both)) is None
    mixed = {"kernel": False, "through": ["torch's sum"]}
    assert judge(record({}, mixed), record({}, mixed)) is None
