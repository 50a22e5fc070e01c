"""Both versions of an autotuned kernel run with one choice of configuration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import triton
import triton.language as tl


@triton.heuristics({{"EVEN": lambda args: args["n"] % 2 == 0}})
@triton.autotune(configs=[triton.Config({{"BLOCK": size}}) for size in {sizes}], key=["n"])
@triton.jit
def scale(x, n, EVEN: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(x + at, tl.load(x + at, mask=at < n) * 2, mask=at < n)
"""

CHECK = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import original, candidate
from whet_evaluator.worker.versions import Versions, hand_over_tuning
versions = Versions(original, candidate)
original.scale.fn.cache[(7,)] = original.scale.fn.configs[1]
hand_over_tuning(versions)
print(candidate.scale.fn.cache.get((7,)))
"""


@pytest.mark.parametrize(
    ("sizes", "found"), [((64, 128), "BLOCK: 128, "), ((64, 256), "None"), ((64,), "None")]
)
def test_equal_lists_share_the_originals_choice(tmp_path: Path, sizes, found):
    (tmp_path / "original.py").write_text(MODULE.format(sizes=(64, 128)))
    (tmp_path / "candidate.py").write_text(MODULE.format(sizes=sizes))
    evaluator = Path(__file__).parents[2] / "evaluator"
    ran = subprocess.run(
        [sys.executable, "-c", CHECK, tmp_path, evaluator],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(found)


def test_what_a_candidate_does_to_its_configuration_leaves_the_originals(tmp_path: Path) -> None:
    for name in ("original", "candidate"):
        (tmp_path / f"{name}.py").write_text(MODULE.format(sizes=(64, 128)))
    evaluator = Path(__file__).parents[2] / "evaluator"
    spoiling = CHECK.replace(
        "print(", "candidate.scale.fn.cache[(7,)].kwargs['BLOCK'] = 16\nprint("
    )
    spoiling = spoiling.replace("print(candidate", "print(original")
    ran = subprocess.run(
        [sys.executable, "-c", spoiling, tmp_path, evaluator], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert ran.stdout.startswith("BLOCK: 128, ")


APART = """
import json, sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import original, candidate
from whet_evaluator.worker.versions import adopt_tuned, tuned
original.scale.fn.cache[(7, "torch.float32")] = original.scale.fn.configs[1]
adopt_tuned(candidate, json.loads(json.dumps(tuned(original))))
print(candidate.scale.fn.cache.get((7, "torch.float32")))
"""


@pytest.mark.parametrize(("sizes", "found"), [((64, 128), "BLOCK: 128, "), ((64, 256), "None")])
def test_choices_are_handed_to_another_process(tmp_path: Path, sizes, found):
    (tmp_path / "original.py").write_text(MODULE.format(sizes=(64, 128)))
    (tmp_path / "candidate.py").write_text(MODULE.format(sizes=sizes))
    evaluator = Path(__file__).parents[2] / "evaluator"
    ran = subprocess.run(
        [sys.executable, "-c", APART, tmp_path, evaluator],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(found)
