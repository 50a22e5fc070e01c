"""Whose work an output is, judged from two records."""

from collections.abc import Callable

import pytest
import torch

from whet_evaluator.worker.proof import Proof
from whet_evaluator.worker.proof_verdict import judge


def origin(*through: str, kernel: bool = True, sums: tuple[str, ...] = ()) -> dict:
    return {"kernel": kernel, "through": [*through], "sums": [*sums]}


KERNEL = origin()
ORIGINAL = {"launches": {"k": 1}, "origins": {"output 0": KERNEL}}


def record(launches: dict[str, int], made: dict | None = None, role: str = "output 0") -> dict:
    return {"launches": launches, "origins": {role: made} if made else {}}


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        (record({}, origin(kernel=False)), "not launched"),
        (record({"k": 1}, origin(kernel=False)), "no kernel computed"),
        (record({"k": 1}, origin("torch's mm")), "somebody else"),
        (record({}, origin("torch's mm", kernel=False)), "somebody else"),
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
    both = origin("torch's sum")
    assert judge(record({"k": 1}, both), record({"k": 1}, both)) is None
    mixed = origin("torch's sum", kernel=False)
    assert judge(record({}, mixed), record({}, mixed)) is None


def test_sums_of_few_parts_in_the_original_allow_sums_of_many() -> None:
    few, many = origin(sums=("torch's sum",)), origin("torch's sum")
    assert judge(record({"k": 1}, few), record({"k": 1}, many)) is None
    assert judge(ORIGINAL, record({"k": 1}, few)) is None
    assert judge(record({"k": 1}, few), record({"k": 1}, origin("torch's mean"))) is not None


@pytest.mark.parametrize(("n_parts", "where"), [(64, "sums"), (65, "through")])
def test_how_many_parts_were_added_is_seen(n_parts: int, where: str) -> None:
    launchable = type("Launchable", (Launchable,), {})
    proof = Proof(torch, __file__)
    proof.install(launchable)
    with proof.watching(()):
        parts = torch.empty(n_parts, 8)
        launchable(lambda x: x.fill_(1.0)).run(parts)
        made = proof.origins([("output 0", parts.sum(0))])["output 0"]
    assert made == {**origin(), where: ["torch's sum"]}


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


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "given back"])
def test_memory_is_known_in_a_second_run_only_while_it_is_kept(is_kept: bool) -> None:
    """Memory that was given back may hold an input of the second run, which nobody writes."""
    launchable = type("Launchable", (Launchable,), {})
    proof = Proof(torch, __file__)
    proof.install(launchable)
    room = torch.empty(1 << 20, dtype=torch.uint8)
    first = torch.frombuffer(room.numpy(), dtype=torch.float32)
    with proof.watching(()):
        launchable(lambda x: x.fill_(1.0)).run(first)
    second = first
    if not is_kept:
        del first
        second = torch.frombuffer(room.numpy(), dtype=torch.float32)  # another at its address
    with proof.watching((), again=True):
        launchable(lambda x: x).run(second)
        origins = proof.origins([("input 0", second)])
    assert origins["input 0"]["kernel"] is is_kept


class WithGrid:
    """As Triton's, whose grid may be a function that is called on the way."""

    def __init__(self, fn: Callable[..., object]) -> None:
        self.fn = fn

    def run(self, *arguments: object, grid: Callable[[], object]) -> None:
        grid()
        self.fn(*arguments)


def origin_of(launch: Callable[[type[WithGrid], torch.Tensor, torch.Tensor], None]) -> dict:
    """Of an output that `launch` makes of an input of 64 elements."""
    launchable = type("WithGrid", (WithGrid,), {})
    proof = Proof(torch, __file__)
    proof.install(launchable)
    x, out = torch.randn(8, 8), torch.empty(8, 8)
    with proof.watching((x,)):
        launch(launchable, x, out)
        return proof.origins([("output 0", out)])["output 0"]


def test_what_a_grid_computes_is_seen() -> None:
    def launch(launchable: type[WithGrid], x: torch.Tensor, out: torch.Tensor) -> None:
        made = torch.empty_like(x)
        copy = launchable(lambda made, out: out.copy_(made))
        copy.run(made, out, grid=lambda: made.copy_(torch.softmax(x, 1)))

    assert "torch's _softmax" in origin_of(launch)["through"]


def test_an_address_passed_as_a_number_is_traced() -> None:
    def launch(launchable: type[WithGrid], x: torch.Tensor, out: torch.Tensor) -> None:
        made = torch.softmax(x, 1)
        copy = launchable(lambda address, out: out.fill_(1.0))
        copy.run(made.data_ptr(), out, grid=lambda: None)

    assert "torch's _softmax" in origin_of(launch)["through"]


def test_sums_of_sums_are_no_partial_results() -> None:
    def launch(launchable: type[WithGrid], x: torch.Tensor, out: torch.Tensor) -> None:
        part = torch.empty(4096)
        launchable(lambda part: part.fill_(1.0)).run(part, grid=lambda: None)
        out.copy_(part.view(-1, 64).sum(1).view(8, 8).sum(1))

    found = origin_of(launch)
    assert found["through"] == found["sums"] == ["torch's sum"]
