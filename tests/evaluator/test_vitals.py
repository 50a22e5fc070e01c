"""What is read beside the clock: disturbances of the device, and what it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from whet_evaluator.worker.surroundings import Described, amd_facts, nvidia_facts
from whet_evaluator.worker.vitals import Reading, Vitals, reader

QUIET = Reading(sm_mhz=1980, memory_mhz=3201, slowdowns=0, processes=frozenset({11}))


def reading(slowdowns: int = 0, *processes: int) -> Reading:
    return Reading(1500, 3201, slowdowns, frozenset({11, *processes}))


@pytest.mark.parametrize(
    ("readings", "said"),
    [
        ([QUIET, QUIET], [None, None]),
        ([QUIET, reading(0x40), QUIET], [None, "slows itself down for its temperature", None]),
        ([QUIET, reading(0x04)], [None, None]),  # a power cap is how heavy kernels run
        ([QUIET, reading(0x80)], [None, "power supply"]),
        # Who is there from the start is taken for granted, a newcomer disturbs once.
        ([reading(0, 12), reading(0, 12)], [None, None]),
        ([QUIET, reading(0, 12), reading(0, 12)], [None, "another process came", None]),
        ([None, None], [None, None]),
    ],
)
def test_disturbances(readings: list[Reading | None], said: list[str | None]) -> None:
    script = iter(readings)
    vitals = Vitals(lambda: next(script))
    for expected in said:
        found = vitals.disturbance()
        assert (found is None) == (expected is None)
        assert expected is None or expected in str(found)
    summary = vitals.summary()
    if readings[0] is None:
        assert summary == {"clocks between rounds": "unreadable"}
    else:
        assert summary["clocks between rounds"].endswith(" MHz")
        assert summary["processes seen on the device"] in {"1", "2"}


def test_without_the_vendors_library_nothing_is_read() -> None:
    assert reader("GPU-of-nobody")() is None


def test_the_vendors_tools_are_read() -> None:
    line = "580.1, 1980 MHz, 3201 MHz, 1980 MHz, 35, 76.92 W, Disabled, Default, Enabled\n"
    facts = nvidia_facts(line)
    assert facts["driver_version"] == "580.1"
    assert facts["mig.mode.current"] == "Disabled"
    assert nvidia_facts("") == nvidia_facts("a, b") == {}


def test_amds_answer_is_kept_by_its_own_names() -> None:
    answer = """{"card1": {"sclk clock speed:": "(99Mhz)"},
        "card0": {"Compute Partition": "SPX", "sclk clock speed:": "(132Mhz)"},
        "system": {"Driver version": "6.8.5"}}"""
    assert amd_facts(answer) == {
        "Driver version": "6.8.5",
        "Compute Partition": "SPX",
        "sclk clock speed:": "(132Mhz)",
    }
    assert amd_facts("no rocm-smi here") == amd_facts("[1]") == {}


@pytest.mark.parametrize(
    ("tool", "found"),
    [
        ("sleep 0.5; touch ended; echo '580.1, 1980 MHz, 3201 MHz, 1980 MHz, 31, 80 W, Disabled, Default, On'", {"clocks.sm": "1980 MHz"}),
        ("echo 580.1; exit 9", {"clocks": "unreadable"}),
        (None, {"clocks": "unreadable"}),
    ],
    ids=["answers", "fails", "is missing"],
)  # fmt: skip
def test_the_vendors_tool_is_waited_for_only_when_its_answer_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str | None, found: dict[str, str]
) -> None:
    if tool is not None:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{tool}\n")
        (tmp_path / "nvidia-smi").chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if tool else str(tmp_path))
    device = SimpleNamespace(name="H200", multi_processor_count=132, total_memory=1 << 37)
    torch = SimpleNamespace(
        version=SimpleNamespace(cuda="13.0", hip=None),
        cuda=SimpleNamespace(
            get_device_properties=lambda _: device, get_device_capability=lambda _: (9, 0)
        ),
        __version__="2.11",
    )
    described = Described(torch)
    assert not (tmp_path / "ended").exists()
    facts = described.facts()
    assert (tmp_path / "ended").exists() == (found != {"clocks": "unreadable"})
    assert facts.items() >= {"device": "H200", "arch": "sm_90", **found}.items()
