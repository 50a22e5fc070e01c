"""What is read beside the clock: disturbances of the device, and what it is."""

from __future__ import annotations

import pytest

from whet_evaluator.worker.surroundings import amd_facts, nvidia_facts
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
