"""Stray accesses are told, and kept from memory, on the real interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def said():
    """By kernel, what was said of it and the first elements of its output."""
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("straying.py"))],
        env={**os.environ, "TRITON_INTERPRET": "1"}, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return json.loads(ran.stdout)


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
