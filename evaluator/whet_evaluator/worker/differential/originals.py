"""What the original makes of the cases: run where the bank lacks it, once for all candidates."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ..protocol import Evaluate
from ..records import Mode
from ..stage_ends import StageEnd
from ..workspace import WorkspaceError
from . import bank, said
from .children import MAX_DEATHS, Children
from .means import Means

Case = dict[str, Any]

RUNS = ("first", "again")
RUNS_OF_RECORDED = ("first", "again", "other", "back")
_WIDE_ELEMENTS = 1 << 20


@dataclass
class Originals:
    means: Means
    request: Evaluate
    seed: int
    n_must: int
    """See `Children`."""
    basis: str
    """Digest of all that its runs depend on, beside the case."""
    not_covered: list[str] = field(default_factory=list)

    async def known(self, wanted: list[Case], budget_s: float) -> set[str]:
        """Runs what the bank lacks; returns the ids of cases that the original survived.

        Raises `WorkspaceError` where none could run and no case is to blame.
        """
        places = [self.place(c) for c in wanted]
        settled = False
        while not settled:
            await self._run([c for c in wanted if self.means.bank.is_new(self.place(c))], budget_s)
            settled = await self.means.bank.wait_settled(places)
        self.means.bank.trim()
        return {c["id"] for c in wanted if bank.has(self.place(c), "main")}

    def name_what_died(self, wanted: list[Case]) -> None:
        """Says as *not covered* which cases the original did not survive. A later candidate finds
        that in the bank, so it is read there. Dry cases say nothing."""
        if wanted and not any(bank.has(self.place(case), "main") for case in wanted):
            self.not_covered.append("all generated cases: the original itself ended none of them")
        self.not_covered.extend(
            f"{case['name']}: the original's own process does not survive it"
            for case in wanted
            if not case.get("dry") and bank.died(self.place(case), "main")
        )

    async def widen(self, case: Case, budget_s: float) -> bool:
        """Runs one case in float64 where that was never begun. Whether it is known thereby."""
        place = self.place(case)
        if bank.has(place, "wide") or bank.died(place, "wide"):
            return False
        if not self._may_be_wide(case):
            return False
        self.not_covered.extend(await self._run_kind([{**case, "number": 0}], "wide", budget_s))
        return bank.has(place, "wide")

    def _may_be_wide(self, case: Case) -> bool:
        return self.means.in_float64 and case["elements"] <= _WIDE_ELEMENTS and not case.get("dry")

    def place(self, case: Case) -> str:
        """The bank's folder for it."""
        reference = self.request.references.get(case["call"]["launcher"], "")
        return self.means.bank.place(self.basis + reference, case)

    async def _run(self, lacking: list[Case], budget_s: float) -> None:
        small = [case for case in lacking if self._may_be_wide(case)]
        ran = False
        try:
            faults, faults_of_wide = await asyncio.gather(
                self._run_kind(lacking, "main", budget_s), self._run_kind(small, "wide", budget_s)
            )
            if faults and not any(bank.has(self.place(c), "main") for c in lacking):
                # No case is to blame and none would be judged: must not read as agreement.
                raise WorkspaceError("internal", faults[0])
            self.not_covered.extend([*faults, *faults_of_wide])
            ran = True
        finally:
            self.means.bank.settle([self.place(c) for c in lacking], ran=ran)

    async def _run_kind(self, wanted: list[Case], kind: str, budget_s: float) -> list[str]:
        """Returns a sentence for each child that ended outside of any case."""
        if not wanted:
            return []
        mode: Mode = "interpret" if kind == "wide" else self.means.mode
        n_deaths = 0
        faults: list[str] = []

        def on_end(end: StageEnd, case: Case | None) -> bool:
            nonlocal n_deaths
            n_deaths += 1
            if case is None:
                faults.append(f"the original could not run the generated cases: {said.why(end)}")
            return case is not None and n_deaths < MAX_DEATHS

        async with self.means.place(self.request.unit.text) as where:
            children = Children(
                means=self.means, where=where, mode=mode, trusted=True, budget_s=budget_s,
                n_must=self.n_must, seed=self.seed, references=self.request.references,
            )  # fmt: skip
            await children.run(
                wanted,
                lambda case: {"case": case, "runs": self._runs(case, kind), "dump": []},
                lambda case, folder: self.means.bank.keep(self.place(case), kind, folder),
                on_end,
            )
            self.means.keep(where)
        return faults

    def _runs(self, case: Case, kind: str) -> list[str]:
        if kind == "wide":
            return ["float64", "nudged"]
        thorough = case["group"] == "recorded" and case["elements"] <= _WIDE_ELEMENTS
        runs = list(RUNS_OF_RECORDED if thorough else RUNS)
        if case["call"]["launcher"] in self.request.references:
            runs.append("reference")
        return [*runs, "ulp"] if self.means.mode == "device" else runs
