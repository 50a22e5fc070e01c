"""What `evaluator` measured, as markdown."""

from __future__ import annotations

import datetime as dt
import statistics
from collections.abc import Callable

import attrs
from cold_processes import ColdCost
from device_use import Busy

from whet_agent.search.policy import MAX_JUDGES
from whet_evaluator.worker.records import Facts

_SHOWN_S = 0.02


@attrs.frozen(kw_only=True)
class Row:
    """Seconds of one candidate. `correct`: compiled and tested, with nothing else asked for;
    `whole`: the whole cascade. Both with the seconds of their stages and phases."""

    name: str
    correct: float
    correct_stages: dict[str, float]
    whole: float
    whole_stages: dict[str, float]
    cold: ColdCost

    @property
    def timing(self) -> float:
        """The stage *time*, zero without a device."""
        return self.whole_stages.get("time", 0.0)


def report(facts: Facts, firsts: list[float], rows: list[Row], busy: Busy | None, note: str) -> str:
    hardware = facts.devices[0].name if facts.devices else "no GPU (interpreter, CPU)"
    today = dt.datetime.now(dt.UTC).date()
    speed = "benchmark" if facts.devices else "compilation for the architecture"
    lines = [
        "# One candidate: a warm worker beside cold processes\n",
        (
            f"Measured {today} on {hardware}, torch {facts.torch}, triton {facts.triton}, Python "
            f"{facts.python}, by `benchmarks/evaluator.py`. Seconds, median (min to max). {note}\n"
        ),
        (
            f"The others: three cold processes (tests, tests again, {speed}), one Triton cache for "
            "the three. Ours: children of a warm worker; generated cases, and timing in rounds "
            "beside the original, have no counterpart there.\n"
        ),
    ]
    if firsts:
        lines.append(
            f"Before that, one candidate of each example, which also runs the original on the "
            f"generated cases: {_spread(firsts)} s.\n"
        )
    return "\n".join([*lines, *_side_by_side(rows, speed), *(_busy_lines(busy) if busy else ())])


def _side_by_side(rows: list[Row], speed: str) -> list[str]:
    if not rows:
        return []
    names = ", ".join(dict.fromkeys(row.name for row in rows))
    return [
        f"{len(rows)} candidates ({names}), one at a time, both ways in turn:\n",
        "| | seconds |",
        "|---|---|",
        f"| ours, compiled and tested | {_spread([r.correct for r in rows])} |",
        f"| ours, whole cascade | {_spread([r.whole for r in rows])} |",
        f"| cold, call accuracy | {_spread([r.cold.call for r in rows])} |",
        f"| cold, execution accuracy | {_spread([r.cold.execution for r in rows])} |",
        f"| cold, {speed} | {_spread([r.cold.speed for r in rows])} |",
        f"| cold, all three | {_spread([r.cold.total for r in rows])} |",
        "",
        "| cold over ours, candidate by candidate | ratio |",
        "|---|---|",
        f"| tests (theirs twice) | {_ratios(rows, _cold_correct, lambda r: r.correct)} |",
        f"| tests and {speed}, without generated cases | {_ratios(rows, _cold_total, _alike)} |",
        f"| end to end, all that ours does | {_ratios(rows, _cold_total, lambda r: r.whole)} |",
        "",
        *_phases(rows),
    ]


def _phases(rows: list[Row]) -> list[str]:
    """Where ours go; children that run side by side are added up."""
    names = dict.fromkeys(name for row in rows for name in (*row.correct_stages, *row.whole_stages))
    shown = [
        (
            name,
            statistics.median(row.correct_stages.get(name, 0.0) for row in rows),
            statistics.median(row.whole_stages.get(name, 0.0) for row in rows),
        )
        for name in names
    ]
    return [
        "Median seconds of our stages and their phases, of children side by side together:\n",
        "| | compiled and tested | whole cascade |",
        "|---|---|---|",
        *(f"| {name} | {a:.3f} | {b:.3f} |" for name, a, b in shown if max(a, b) >= _SHOWN_S),
        "",
    ]


def _busy_lines(busy: Busy) -> list[str]:
    said = (
        f"{busy.n_candidates} candidates through the whole cascade, {MAX_JUDGES} in flight: "
        f"{busy.wall:.1f} s, {busy.wall / busy.n_candidates:.1f} s each. At least one candidate's "
        f"tests, generated cases or timing ran during {busy.share:.0%} of it."
    )
    if busy.utilisation is not None:
        said += f" nvidia-smi reported a mean utilisation of {busy.utilisation:.0%} meanwhile."
    return [said, ""]


def _cold_total(row: Row) -> float:
    return row.cold.total


def _alike(row: Row) -> float:
    """Ours for what the three cold processes do; it holds compilation in any case."""
    return row.correct + row.timing


def _cold_correct(row: Row) -> float:
    return row.cold.call + row.cold.execution


def _ratios(rows: list[Row], cold: Callable[[Row], float], ours: Callable[[Row], float]) -> str:
    values = [cold(row) / ours(row) for row in rows]
    return f"{statistics.median(values):.1f}x ({min(values):.1f} to {max(values):.1f})"


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
