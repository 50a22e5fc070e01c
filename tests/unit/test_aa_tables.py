"""The table of A/A experiments counts what its samples say."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from aa_kernels import TIMED, agenda
from aa_tables import as_json, judged, stored, table

from whet_evaluator.worker.records import Case

ENVIRONMENT = {"device": "a", "arch": "sm_90", "torch": "1", "triton": "2"}
NAME = TIMED[0].name


def case_of(ratio: float, seed: int) -> Case:
    """Samples of 10 us, and of that divided by `ratio`, with a thousandth of noise."""
    dice = random.Random(seed)

    def rounds(ratio: float, n_pairs: int) -> tuple[tuple[tuple[float, float], ...], ...]:
        def us(base: float) -> float:
            return base * dice.gauss(1.0, 0.001)

        return tuple(tuple((us(10.0), us(10.0 / ratio)) for _ in range(n_pairs)) for _ in range(20))

    return Case(
        name=NAME, seed=seed, state="warm", method="graph", rounds=rounds(ratio, 10),
        control=rounds(1.0, 5), slowed=rounds(1 / 1.05, 3), slowed_by=0.05,
    )  # fmt: skip


def test_claims_and_finds_are_counted_as_the_samples_say(tmp_path: Path) -> None:
    experiments = [
        judged(NAME, "A/A", case_of(1.0, 1), 1.0),
        judged(NAME, "A/A", case_of(1.03, 2), 1.0),  # a false claim
        judged(NAME, "faster", case_of(1.03, 3), 1.0),
        judged(NAME, "slower", case_of(1.03, 4), 1.0),  # found, but the wrong way round
    ]
    file = tmp_path / "samples.jsonl"
    first = json.dumps({"environment": ENVIRONMENT, "date": "2026-01-01"})
    calibration = as_json(judged(NAME, "calibration", case_of(1.0, 5), 1.0), (0, 8))
    file.write_text("\n".join([first, calibration, *(as_json(e, (0, 0)) for e in experiments)]))
    read, environment = stored([file])
    assert [e.result for e in read] == [e.result for e in experiments]
    said = table(read, environment)
    assert "Measured 2026-01-01 on a (sm_90)" in said
    assert "2 A/A experiments: 1 read FASTER or SLOWER (50.0 %)" in said
    assert "controls failed in 0.0 %" in said
    assert "2 true differences: found in 50.0 %" in said
    assert f"| {TIMED[1].name} | not reached |" in said


def test_all_kernels_take_turns() -> None:
    turns = agenda(2, 1)
    assert [kernel for kernel, kind in turns if kind == "A/A"] == [*TIMED, *TIMED]
    assert len(turns) == 3 * len(TIMED)
