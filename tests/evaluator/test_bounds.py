"""Stray accesses are told, and kept from memory, on the real interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import warm


@pytest.fixture(scope="module")
def said():
    """By kernel, what was said of it and the first elements of its output."""
    return warm.run_file(Path(__file__).with_name("straying.py"))


OUTSIDE = "outside every tensor of its launch"


@pytest.mark.parametrize(
    ("kernel", "sentence", "output"),
    [
        ("within", "", [1.0, 1.0, 1.0, 1.0]),
        ("masked_far_away", "", [1.0, 1.0, 1.0, 1.0]),
        ("read_far_away", f"reads 2 elements at once {OUTSIDE}", [0.0, 0.0, 1.0, 1.0]),
        ("written_far_away", f"writes an element {OUTSIDE}", [0.0, 1.0, 1.0, 1.0]),
        ("updated_far_away", f"updates 64 elements at once {OUTSIDE}", [0.0] * 4),
        ("half_of_an_element", f"writes an element {OUTSIDE}", [0.0] * 4),
    ],
)
def test_bounds(said, kernel, sentence, output):
    assert said[kernel] == [sentence, output]
