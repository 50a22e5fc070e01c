"""Races between threads of one program are told, on the real interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import warm

HONEST = (
    "in_place", "turned_behind_a_barrier", "a_sum_kept_and_read", "one_value_from_all",
    "masked_off", "halves_exchanged",
)  # fmt: skip
UNORDERED = "reads an element that another thread of it wrote, and no barrier is between"
RACES = {
    "turned": UNORDERED,
    "in_another_shape": UNORDERED,
    "many_values_to_one": "writes one element from several threads, with different values",
    "clamped_in_place": "writes one element from several threads that read it before",
}


@pytest.fixture(scope="module")
def said():
    """By kernel, what was said of it."""
    return warm.run_file(Path(__file__).with_name("crossing.py"))


@pytest.mark.parametrize("kernel", HONEST)
def test_what_one_thread_does_alone_is_no_race(said, kernel):
    assert said[kernel] == ""


@pytest.mark.parametrize("kernel", RACES)
def test_a_race(said, kernel):
    assert said[kernel] == f"program 0 of {kernel} {RACES[kernel]}"
