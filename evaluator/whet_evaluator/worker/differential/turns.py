"""Which configuration of an autotuned kernel a case meets (`tuners`): by its turn. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

Case = dict[str, Any]
Row = dict[str, Any]


def take(made: list[Case]) -> None:
    """Numbers the cases, and each launcher's for `tuners`: launchers alternate, so by the number
    among all cases one of two would never meet the second of two configurations."""
    turns: Counter[str] = Counter()
    for number, case in enumerate(made):
        case["number"] = number
        launcher = case["call"]["launcher"]
        case["turn"] = turns[launcher]
        turns[launcher] += 1


def by_launcher(rows: list[tuple[Case, Row]]) -> dict[str, list[Case]]:
    """Cases within the contract that could be judged, of each launcher."""
    found: dict[str, list[Case]] = {}
    for case, row in rows:
        if row["hard"] and not case.get("dry"):
            found.setdefault(case["call"]["launcher"], []).append(case)
    return found


def not_met(ran: list[Case], n_configs: int) -> Iterator[int]:
    """The turns whose configurations none of a launcher's cases met, out of any number."""
    met = {case["turn"] % n_configs for case in ran} if n_configs > 0 else set()
    return (turn for turn in range(n_configs) if turn not in met)


def turned(ran: list[Case], turn: int, n_configs: int) -> Case:
    """The smallest of the cases once more, at another turn."""
    smallest = min(ran, key=lambda case: int(case["elements"]))
    name = f"{smallest['name']}, configuration {turn + 1} of {n_configs}"
    return {**smallest, "id": f"{smallest['id']}t{turn}", "turn": turn, "name": name}
