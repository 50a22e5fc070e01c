"""What is said about a case and its row from the judge. Pure."""

from __future__ import annotations

from typing import Any

from ..records import CheckedCase
from ..stage_ends import Raised, StageEnd

Case = dict[str, Any]
Row = dict[str, Any]

MAX_SHOWN = 6


def why(end: StageEnd) -> str:
    """The last line of a trace, or how the process ended."""
    return end.trace.strip().splitlines()[-1] if isinstance(end, Raised) else str(end)


def one_of_each(found: list[tuple[Case, Row]]) -> list[tuple[Case, Row]]:
    """The first of every launcher, then the rest, `MAX_SHOWN` in all."""
    seen: set[str] = set()
    first: list[tuple[Case, Row]] = []
    rest: list[tuple[Case, Row]] = []
    for case, row in found:
        launcher = case["call"]["launcher"]
        (rest if launcher in seen else first).append((case, row))
        seen.add(launcher)
    return [*first, *rest][:MAX_SHOWN]


def sentence(case: Case, row: Row) -> str:
    return f"{case['name']}: {row['sentence']}; seed {case['seed']}"


def death_row(case: Case) -> Row:
    return {"sentence": "died", "hard": case["hard"], "oracle": "original", "unjudged": "",
            "original_error": None, "candidate_error": None}  # fmt: skip


def checked(case: Case, row: Row | None, *, fatal: bool) -> CheckedCase:
    """`fatal`: whether a difference in this case ends the candidate. No row: it was not run."""
    if row is None or row["unjudged"]:
        row = {**death_row(case), "status": "not run"}
    elif not row["sentence"]:
        row = {**row, "status": "equal"}
    else:
        row = {**row, "status": "differs" if fatal else "behaviour change"}
    return CheckedCase(
        name=case["name"], group=case["group"], hard=row["hard"], oracle=row["oracle"],
        status=row["status"], seed=case["seed"], original_error=row["original_error"],
        candidate_error=row["candidate_error"],
    )  # fmt: skip
