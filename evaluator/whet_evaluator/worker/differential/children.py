"""One version's cases in children of its own, several at once; a child that dies in a case is
followed by one for the rest.
"""

from __future__ import annotations

import asyncio
import functools
import operator
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..orders import Where
from ..records import Mode
from ..stage_ends import Answered, StageEnd
from . import minimise
from .means import Means

Case = dict[str, Any]
OnEnd = Callable[[StageEnd, Case | None], bool]
"""Hears how a child ended without an answer and in which case, if in one. Whether to go on."""
MAX_DEATHS = 4


@dataclass(frozen=True, kw_only=True)
class Children:
    """`budget_s` is each child's, so that several do more in the same time, or shared by them
    (`Means.shares_budget`)."""

    means: Means
    where: Where
    mode: Mode
    trusted: bool
    """Whether they run the user's own code."""
    budget_s: float
    n_must: int
    """The first of all cases run whatever the budget: the clock of a busy host must not decide
    what is found. So do smaller variants of a failing one."""
    seed: int
    references: dict[str, str]

    async def run(
        self, cases: list[Case], item: Callable[[Case], dict[str, Any]],
        keep: Callable[[Case, str], None], on_end: OnEnd,
    ) -> Counter[str]:  # fmt: skip
        """`item` is what a child is told of a case; `keep` is handed each case's folder. Returns by
        launcher how many configurations a kernel had at most, as far as children lived to say."""
        n = min(self.means.n_children, len(cases))
        budget_s = self.budget_s / (n if self.means.shares_budget and n else 1)
        # Dealt out in turn, so that each child has cases of every rank and begins with the first.
        found = await asyncio.gather(
            *(
                self._portion(number, cases[number::n], budget_s, item, keep, on_end)
                for number in range(n)
            )
        )
        return functools.reduce(operator.or_, found, Counter())

    async def _portion(
        self, number: int, left: list[Case], budget_s: float, item: Callable[[Case], dict[str, Any]],
        keep: Callable[[Case, str], None], on_end: OnEnd,
    ) -> Counter[str]:  # fmt: skip
        folder = os.path.join(self.where.scratch.output, "differ", self.mode, str(number))
        while left:
            shutil.rmtree(folder, ignore_errors=True)
            end = await self._child(
                [{**item(case), "must": self._must(case)} for case in left], folder, budget_s
            )
            died = _harvest(folder, left, keep)
            if isinstance(end, Answered):
                return _configs(end.answer.get("configs"))
            if not on_end(end, None if died is None else left[died]):
                break
            left = left[(died or 0) + 1 :]
        return Counter()

    async def _child(self, items: list[dict[str, Any]], folder: str, budget_s: float) -> StageEnd:
        means = self.means
        job = {
            "stage": "produce", "cases": items, "folder": folder, "budget_s": budget_s,
            "references": self.references, "deadline_s": 3 * self.budget_s + 60.0,
            "seed": self.seed, "max_bytes": means.max_bytes // means.n_children,
        }  # fmt: skip
        return await means.run(job, self.where, self.mode, trusted=self.trusted)

    def _must(self, case: Case) -> bool:
        first = case["number"] < self.n_must or case["id"].startswith(minimise.PREFIX)
        return bool(first or case.get("dry"))


def _configs(told: Any) -> Counter[str]:
    """As the candidate's process told it, which could have told anything."""
    items = told.items() if isinstance(told, dict) else ()
    return Counter({name: n for name, n in items if type(n) is int})


def _harvest(folder: str, items: list[Case], keep: Callable[[Case, str], None]) -> int | None:
    """Hands over the folder of each case that was begun; returns the one that never ended."""
    died = None
    for number, case in enumerate(items):
        source = os.path.join(folder, str(number))
        if not os.path.isdir(source) or os.path.islink(source):
            continue
        if not os.path.exists(os.path.join(source, "ended")):
            died = number
        keep(case, source)
    return died
