"""Whose work an output is, judged from two records."""

from collections.abc import Callable

import pytest
import torch

from whet_evaluator.worker.proof import Proof, judge

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


class Launchable:
    """Stands where Triton's class of kernels does."""

    def __init__(self, fn: Callable[[torch.Tensor], object]) -> None:
        self.fn = fn

    def run(self, tensor: torch.Tensor) -> object:
        return self.fn(tensor)


@pytest.mark.parametrize(
    ("start", "kernel", "is_proven"),
    [
        (torch.zeros(4), lambda x: x.add_(0.0), True),
        (torch.zeros(4), lambda x: x.add_(1.0), True),
        (torch.ones(4), lambda x: x, False),
    ],
    ids=["zeros added to zeros", "ones added", "nothing done to a filled tensor"],
)
def test_a_launch_is_proven_by_what_it_may_have_written(
    start: torch.Tensor, kernel: Callable[[torch.Tensor], object], is_proven: bool
) -> None:
    launchable = type("Launchable", (Launchable,), {})
    proof = Proof(torch, __file__)
    proof.install(launchable)
    with proof.watching(()):
        made = start.clone()
        launchable(kernel).run(made)
        origins = proof.origins([("output 0", made)])
    assert origins["output 0"]["kernel"] is is_proven
