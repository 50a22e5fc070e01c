"""Mutants of kernels: each one small fault, always the same ones, and what is said of them."""

from __future__ import annotations

import ast
import difflib
from pathlib import Path

import pytest

from whet_agent.candidates.mutants import MAX_DRAFTS, Mutant, mutants_of
from whet_agent.mutation import MutationScore, judged_mutant
from whet_agent.source.units import parse_units, unit_of
from whet_evaluator.worker import records

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/kernels"

HEAD = "import triton\nimport triton.language as tl\n\n\n@triton.jit\n"
KERNEL = """\
def row_kernel(x_ptr, out_ptr, stride_row, stride_col, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    acc = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n_cols, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * stride_row + cols * stride_col, mask=cols < n_cols, other=0.0)
        acc += x * 0.5
    mean = tl.sum(acc, axis=0) / n_cols
    tl.store(out_ptr + row, mean - 1.5)


def row(x, out):
    row_kernel[(x.shape[0],)](x, out, *x.stride(), x.shape[1], BLOCK=64)
"""


def mutants(text: str, kernel: str = "row_kernel") -> tuple[Mutant, ...]:
    unit = unit_of(text, "k.py", kernel)
    assert unit is not None
    return mutants_of(unit)


@pytest.mark.parametrize(
    ("kind", "after"),
    [
        ("bound off by one", "mask=cols < (n_cols - 1), other=0.0)"),
        ("mask dropped", "cols * stride_col)"),
        ("other value for masked lanes", "other=1)"),
        ("term dropped", "tl.store(out_ptr + row, mean)"),
        ("factor dropped", "acc += x"),
        ("other reduction", "tl.max(acc, axis=0) / n_cols"),
        ("strides swapped", "row * stride_col + cols * stride_row"),
        ("accumulator rounded", "acc = (acc + (x * 0.5)).to(tl.float16).to(tl.float32)"),
        ("< and <= swapped", "mask=cols <= n_cols"),
        ("constant changed", "acc += x * 1.5"),
        ("loop ends early", "range(0, n_cols - 1, BLOCK)"),
    ],
)
def test_each_kind_of_fault(kind: str, after: str):
    found = [one for one in mutants(HEAD + KERNEL) if one.kind == kind]
    assert found, kind
    assert after in found[0].after


def test_one_line_differs_and_it_is_the_one_that_is_shown():
    text = HEAD + KERNEL
    for mutant in mutants(text):
        changes = [
            line for line in difflib.ndiff(text.splitlines(), mutant.text.splitlines())
            if line[0] in "+-"
        ]  # fmt: skip
        assert [" ".join(line[2:].split()) for line in changes] == [mutant.before, mutant.after]
        assert text.splitlines()[mutant.line - 1].split() == mutant.before.split()


def test_every_kind_comes_once_before_any_comes_again():
    kinds = [one.kind for one in mutants(HEAD + KERNEL)]
    first = list(dict.fromkeys(kinds))
    assert kinds[: len(first)] == first
    assert len(first) == 11


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_mutants_of_the_examples_parse_and_are_few_and_different(path: Path):
    text = path.read_text()
    for kernel in parse_units(text):
        found = mutants(text, kernel.qualname)
        assert found == mutants(text, kernel.qualname)
        assert 2 <= len(found) <= MAX_DRAFTS
        assert len({one.text for one in found}) == len(found)
        for one in found:
            ast.parse(one.text)


def test_text_beside_the_kernel_is_never_touched():
    for mutant in mutants(HEAD + KERNEL):
        assert mutant.text.startswith(HEAD)
        assert mutant.text.endswith(KERNEL[KERNEL.index("\n\ndef row(") :])


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
def test_line_ends_and_letters_outside_ascii_stay(newline: str):
    text = ("# Zeilensumme für µ\n" + HEAD + KERNEL).replace("\n", newline)
    for mutant in mutants(text):
        assert mutant.text.count(newline) == text.count(newline)
        assert mutant.text.startswith("# Zeilensumme für µ")


def test_half_typed_kernels_have_mutants_or_none_but_no_error():
    text = HEAD + KERNEL
    for end in range(len(HEAD), len(text), 40):
        unit = unit_of(text[:end], "k.py", "row_kernel")
        if unit is not None:
            mutants_of(unit)


def test_the_score_counts_tests_alone_and_with_cases():
    drafts = mutants(HEAD + KERNEL)
    red = records.TestOutcome(nodeid="t.py::t", outcome="failed", seconds=0.0)
    green = records.Correct(
        tests=(), launches=(), compiled=(), timing=records.Untimed(reason="no GPU")
    )
    verdicts = [
        records.Failed(cases=(red,), passed=0),
        records.Differs(cases=("row(float32[1x1]): 1 of 1",)),
        records.Crashed(stage="differ", how="SIGSEGV"),
        records.Crashed(stage="tests", how="SIGSEGV"),
        records.Broken(trace="no such type"),
        green,
    ]
    judged = [judged_mutant(m, v) for m, v in zip(drafts, verdicts, strict=False)]
    kept = tuple(one for one in judged if one is not None)
    score = MutationScore(kernel="row_kernel", judged=kept)
    assert score.sentence() == (
        "Your tests catch 2 of 5 mutants of row_kernel; with generated cases 4 of 5."
    )
    assert [one.caught for one in score.survivors] == [
        "generated cases", "generated cases", "nothing",
    ]  # fmt: skip


RED = records.TestOutcome(nodeid="t.py::t", outcome="failed", seconds=0.0)
NOT_COUNTED = None


@pytest.mark.parametrize(
    ("verdict", "credited"),
    [
        (records.Failed(cases=(RED,), passed=0), "your tests"),
        (records.Crashed(stage="tests", how="SIGSEGV"), "your tests"),
        (records.TimedOut(stage="tests", limit_s=60), "your tests"),
        (records.Exceeded(stage="tests", what="memory: 8 GiB"), "your tests"),
        (records.Differs(cases=("row(float32[1x1]): 1 of 1",)), "generated cases"),
        (records.Crashed(stage="differ", how="SIGSEGV"), "generated cases"),
        (records.TimedOut(stage="differ", limit_s=60), "generated cases"),
        (records.Exceeded(stage="differ", what="memory: 8 GiB"), "generated cases"),
        (records.Cheated(reason="no kernel computed the output", detail="row"), "generated cases"),
        (records.Misplaced(detail="k.py was imported from site-packages"), "nothing"),
        (records.Broken(trace="no such type"), NOT_COUNTED),
        (records.Crashed(stage="load", how="SIGSEGV"), NOT_COUNTED),
        (records.TimedOut(stage="load", limit_s=60), NOT_COUNTED),
        (records.Exceeded(stage="load", what="memory: 8 GiB"), NOT_COUNTED),
    ],
    ids=lambda value: f"{type(value).__name__} {value.stage}" if hasattr(value, "stage") else None,
)
def test_a_mutant_is_credited_to_whoever_told_it_apart(
    verdict: records.WorkerVerdict, credited: str | None
):
    judged = judged_mutant(mutants(HEAD + KERNEL)[0], verdict)
    assert (judged.caught if judged is not None else NOT_COUNTED) == credited


def test_a_finding_of_whets_own_is_said_and_raises_no_score_of_the_tests():
    trick = records.Cheated(reason="no kernel computed the output", detail="add_one(float32[1])")
    judged = judged_mutant(mutants(HEAD + KERNEL)[0], trick)
    assert judged is not None
    assert judged.detail == "no kernel computed the output: add_one(float32[1])"
    score = MutationScore(kernel="row_kernel", judged=(judged,))
    assert score.sentence() == (
        "Your tests catch 0 of 1 mutants of row_kernel; with generated cases 1 of 1."
    )


def dropped(body: str, head: str = HEAD) -> set[str]:
    """Lines where a term or a factor of a kernel with this body is left out."""
    parameters = "x_ptr, out_ptr, stride, n, BLOCK: tl.constexpr"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    found = mutants(f"{head}def row_kernel({parameters}):\n{lines}")
    return {one.after for one in found if one.kind in ("term dropped", "factor dropped")}


OFFSETS = "at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
X = OFFSETS + "x = tl.load(x_ptr + at, mask=at < n)\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (X + "y = x.to(tl.float32) * n", {"y = x.to(tl.float32)"}),
        (OFFSETS + "y = tl.load(x_ptr + at) * 2.0", {"y = tl.load(x_ptr + at)"}),
        (X + "y = tl.where(at < n, x, 0.0) - 1", {"y = tl.where(at < n, x, 0.0)"}),
        (X + "y = x.to(x_ptr.dtype.element_ty) - 1", {"y = x.to(x_ptr.dtype.element_ty)"}),
        (
            X + "mean = tl.sum(x) / n\ntl.store(out_ptr + tl.program_id(0) * n, mean)",
            {"mean = tl.sum(x)"},
        ),
        (X + "for i in range(0, n, BLOCK):\n    y = x * n\n    tl.load(x_ptr + i)", {"y = x"}),
    ],
)
def test_values_beside_addresses_are_mutated(body: str, expected: set[str]):
    assert dropped(body) == expected
    by_star = "from project.common import *\n\n\n@triton.jit\n"
    assert dropped(body, by_star) == expected


@pytest.mark.parametrize(
    "body",
    [
        X,
        "first = tl.program_id(0) * 4\ntl.store(out_ptr + first * stride, 0.0)",
        "first = tl.load(x_ptr + 1) * 4\ntl.store(out_ptr + first, 0.0)",
        "p = out_ptr\np += stride * 2\ntl.store(p, 0.0)",
        "b = tl.make_block_ptr(x_ptr, (n,), (1,), (7 * 128,), (BLOCK,), (0,))\ntl.load(b)",
        "a = n - 1\nb = a * 2\nc = b + 3\nd = c * 4\ne = d - 5\ntl.store(out_ptr + e, 0.0)",
        "half = n / 2 + 1\ntl.store(out_ptr + half.to(tl.int32), 0.0)\nfor i in range(n - 1):\n    0",
    ],
)
def test_what_makes_an_address_is_left_alone(body: str):
    assert dropped(body) == set()


def test_a_product_after_a_conversion_is_mutated_in_the_example():
    (one,) = (
        one for one in mutants((EXAMPLES / "dequantize.py").read_text(), "dequantize_kernel")
        if one.kind == "factor dropped"
    )  # fmt: skip
    assert one.after == "weight = q.to(tl.float32)"
