"""Hints that do not hold are told, on the real interpreter; honest habits are let pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import warm


@pytest.fixture(scope="module")
def said():
    """By kernel, what was said of its hints."""
    return warm.run_file(Path(__file__).with_name("hinting.py"))


@pytest.mark.parametrize(
    "kernel",
    ["as_told", "aligned_pointers", "wrapped_at_the_end", "clamped_at_the_end", "modulo_one",
     "modulo_less_than_a_group"],
)  # fmt: skip
def test_what_holds_or_never_matters_is_let_pass(said, kernel):
    assert said[kernel] == ""


@pytest.mark.parametrize(
    ("kernel", "hint"),
    [
        ("no_multiple", "multiple_of 16"),
        ("unaligned_pointers", "multiple_of 16"),
        ("rows_for_columns", "max_contiguous 8"),
        ("not_constant", "max_constancy 4"),
    ],
)
def test_what_does_not_hold_is_told(said, kernel, hint):
    assert said[kernel] == f"tells the compiler {hint}, which does not hold"
