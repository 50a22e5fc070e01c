"""Fact sheets: every architecture has one, its numbers agree with the evaluator's table,
and prompts get facts, not citations."""

from __future__ import annotations

from importlib import resources

import pytest

from whet_agent.knowledge import SHEETS, knowledge_for, load_sheet
from whet_evaluator.hardware import CHIPS

SHARED = {"gfx90a": "64 KiB of LDS", "gfx942": "64 KiB of LDS", "gfx950": "160 KiB of LDS",
          "sm_80": "164 KB of shared", "sm_90": "228 KB of shared"}  # fmt: skip
UNITS = {"gfx90a": "104 or 110 compute units", "gfx942": "304 compute units",
         "gfx950": "256 compute units"}  # fmt: skip


@pytest.mark.parametrize("arch", sorted(CHIPS))
def test_sheets_agree_with_the_evaluators_table(arch: str) -> None:
    chip, sheet = CHIPS[arch], load_sheet(arch)
    assert f"{chip.lanes} lanes" in sheet
    assert SHARED[arch] in sheet
    assert str(chip.shared_bytes_per_unit >> 10) in SHARED[arch]
    if arch in UNITS:
        assert UNITS[arch] in sheet
        assert str(chip.units) in UNITS[arch]
    else:
        assert f"{chip.registers_per_unit:,} registers" in sheet


@pytest.mark.parametrize("arch", sorted(set(SHEETS.values())))
def test_every_sheet_cites_its_sources_and_prompts_leave_them_out(arch: str) -> None:
    raw = resources.files("whet_agent.knowledge").joinpath(f"{arch}.md").read_text("utf-8")
    assert raw.count("\nSource: ") >= 2
    told = knowledge_for(arch)
    assert "Source:" not in told
    assert told.startswith(f"**Target {arch}")
    assert told.endswith(load_sheet("triton"))


def test_an_unknown_architecture_gets_practice_alone() -> None:
    assert knowledge_for("gfx1100") == knowledge_for(None) == load_sheet("triton")
    assert knowledge_for("sm_90a") == knowledge_for("sm_90")


def test_the_fp8_kinds_are_told_apart() -> None:
    assert "fnuz" in knowledge_for("gfx942")
    assert "OCP" in knowledge_for("gfx950")
    assert "no fp8" in knowledge_for("gfx90a")
