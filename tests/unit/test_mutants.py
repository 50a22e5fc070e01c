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


def test_what_no_test_looks_for_is_no_credit_to_the_tests():
    draft = mutants(HEAD + KERNEL)[0]
    found = [
        (
            records.Cheated(reason="the kernel was not launched", detail="row: no"),
            "generated cases",
        ),
        (records.Exceeded(stage="differ", what="memory"), "generated cases"),
        (records.Exceeded(stage="tests", what="memory"), "your tests"),
    ]
    for verdict, caught in found:
        judged = judged_mutant(draft, verdict)
        assert judged is not None
        assert judged.caught == caught


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


def test_a_module_that_makes_addresses_makes_values_too():
    """`tl` stands in both; what is loaded and scaled is no address."""
    kernel = """

@triton.jit
def scale_kernel(q_ptr, scale_ptr, out_ptr, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < n
    q = tl.load(q_ptr + at, mask=mask).to(tl.float32)
    tl.store(out_ptr + at, q.to(tl.float32) * tl.load(scale_ptr), mask=mask)
"""
    unit = unit_of(HEAD + kernel, "k.py", "scale_kernel")
    assert unit is not None
    drafts = [(one.kind, one.after) for one in mutants_of(unit)]
    assert any(kind == "factor dropped" for kind, _ in drafts), drafts
    assert not any("tl.program_id(0) + tl.arange" in after for _, after in drafts), drafts
