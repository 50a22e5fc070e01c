"""Races are told from what only looks like one, on the real interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RACES = {
    "same_slot_other_value": "writes an element that program 1 writes",
    "added_without": "writes an element that program 1 reads",
    "zeroed_by_the_first": "program 0 writes an element that program 1 updates",
    "summed_after_a_relaxed_count": "program 0 writes an element that program 3 reads",
    "added_within_the_block": "program 0 writes an element that program 1 writes",
    "shifted_in_place": "program 1 writes an element that program 0 reads",
}
HONEST = (
    "own_slots", "same_slot_same_value", "added_by_atomics", "added_under_a_lock",
    "summed_by_the_last", "summed_and_reset_by_the_last", "masked_apart",
)  # fmt: skip


@pytest.fixture(scope="module")
def said():
    """By kernel, what was said of it with four programs."""
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("racing.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return {
        name.removesuffix(" 4"): sentence
        for name, sentence in json.loads(ran.stdout).items()
        if name.endswith(" 4")
    }


@pytest.mark.parametrize("kernel", RACES)
def test_a_race_is_named(said, kernel):
    assert RACES[kernel] in said[kernel]
    assert f"of {kernel}, and no atomic orders them" in said[kernel]


@pytest.mark.parametrize("kernel", HONEST)
def test_what_atomics_order_or_equal_values_allow_is_no_race(said, kernel):
    assert said[kernel] == ""


def test_every_kernel_is_asked_for(said):
    assert set(said) == {*RACES, *HONEST}
