"""Both versions on the interpreter where a device judged the values, too.

A race, a stray access or a hint that does not hold can leave right values on the device at
hand; on the interpreter it is seen. Only what its watchers saw counts: values are the device's
to judge, and a version that the interpreter cannot run says nothing. Dry launches (`huge`) and
stray whole numbers (`far`) need it as well; what they show lies outside the contract and is listed.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ..records import Differential, Differs
from ..workspace import WorkspaceError
from . import said
from .means import Means
from .suite import Case, Row, Suite

BUDGET_S = 4.0
"""Of the CPU's seconds for each child; the first cases run whatever they take."""
MAX_CASES = 16
N_CHILDREN = 2


def means_of(means: Means) -> Means:
    """The same means on the interpreter, for few cases and without the run in float64."""
    budget_s = BUDGET_S if means.budget_s is None else min(BUDGET_S, means.budget_s)
    return dataclasses.replace(
        means, mode="interpret", budget_s=budget_s, n_children=N_CHILDREN, in_float64=False,
        max_cases=min(MAX_CASES, means.max_cases),
    )  # fmt: skip


async def rows_of(
    suite: Suite, calls: list[Any], launches: list[Any], launched: list[Any]
) -> list[tuple[Case, Row]]:
    """The judge's rows; none where the interpreter can run neither or one of the versions."""
    try:
        rows = await suite.run(calls, launches, launched)
    except WorkspaceError:
        return []
    return rows if isinstance(rows, list) else []


def verdict(rows: list[tuple[Case, Row]]) -> Differs | None:
    """What was seen of a candidate and not of the original, in cases within the contract."""
    seen = [
        (case, {**said.death_row(case), "sentence": f"{row['watched']} (on the interpreter)"})
        for case, row in rows
        if row["watched"]
    ]
    if not seen:
        return None
    shown = said.one_of_each(seen)
    return Differs(
        cases=tuple(said.sentence(case, row) for case, row in shown),
        found=tuple(said.checked(case, row, fatal=True) for case, row in shown),
    )


def noted(found: Differential, rows: list[tuple[Case, Row]]) -> Differential:
    """`found` with how many cases were watched, and what only they can show as further changes;
    with the want of it where the interpreter could not run both versions once."""
    n_watched = sum(row["ran"] for _, row in rows)
    blind = () if n_watched else ("races and stray accesses: the interpreter ran no case",)
    aside = [(c, row) for c, row in rows if c.get("dry") or c.get("aside")]
    more = [said.sentence(case, row) for case, row in aside if row["sentence"]]
    changes = (*found.behaviour_changes, *more)
    return dataclasses.replace(
        found, n_watched=n_watched, behaviour_changes=changes,
        not_covered=(*found.not_covered, *blind),
    )  # fmt: skip
