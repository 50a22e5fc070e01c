"""What a throw-away child finds in the user's Python, and the table of chips."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import triton

from whet_evaluator.hardware import CHIPS, capability, chip, triton_target

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage


def test_query_without_a_device(tmp_path: Path) -> None:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    job = make_job(root, scratch, tmp_path / "out", mode="device", device="none")
    found = run_stage("devices:query", job)
    assert found["triton"] == triton.__version__
    assert found["pytest"] == pytest.__version__
    assert found["devices"] == []
    assert set(found["archs"]) == set(CHIPS)


@pytest.mark.parametrize(
    ("arch", "target", "version"),
    [
        ("gfx90a", ("hip", "gfx90a", 64), (9, 0)),
        ("gfx942", ("hip", "gfx942", 64), (9, 4)),
        ("gfx950", ("hip", "gfx950", 64), (9, 5)),
        ("gfx1100", ("hip", "gfx1100", 32), (11, 0)),
        ("sm_80", ("cuda", 80, 32), (8, 0)),
        ("sm_90a", ("cuda", 90, 32), (9, 0)),
        ("sm_120", ("cuda", 120, 32), (12, 0)),
    ],
)
def test_names_of_architectures(
    arch: str, target: tuple[str, object, int], version: tuple[int, int]
) -> None:
    assert triton_target(arch) == target
    assert capability(arch) == version


def test_an_unknown_chip_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match="known are gfx90a, gfx942"):
        chip("gfx000")


@pytest.mark.parametrize("arch", CHIPS)
def test_the_table_is_consistent(arch: str) -> None:
    row = chip(arch)
    assert row.shared_bytes_per_block <= row.shared_bytes_per_unit
    assert row.l2_bytes <= row.llc_bytes < row.memory_bytes
    assert triton_target(arch)[2] == row.lanes
