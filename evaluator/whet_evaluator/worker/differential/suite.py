"""Stage *differ*, seen from the worker: generate, run the original once, run the candidate,
let a third process judge, and say what came of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from typing import Any, Union

from .. import records, replay
from ..orders import Where
from ..protocol import DIFFERENTIAL_S, Evaluate
from ..records import Differential, Mode, WorkerVerdict
from ..stage_ends import Answered, OutOfTime, StageEnd
from ..workspace import WorkspaceError
from . import bank, cases, minimise, said
from .cases import PROVEN
from .means import Means

Case = dict[str, Any]
Row = dict[str, Any]
Verdict = Union[Differential, WorkerVerdict]

RUNS = ("first", "again")
RUNS_OF_RECORDED = ("first", "again", "other", "back")
SEARCH_SHARE = 0.25
MAX_ELEMENTS = 1 << 25
_MAX_DEATHS = 4
_WIDE_ELEMENTS = 1 << 20
_SLOW_FACTOR, _SLOW_S = 20.0, 10.0


class Suite:
    """One candidate against the generated cases."""

    def __init__(self, means: Means, request: Evaluate, where: Where) -> None:
        self._means = means
        self._request = request
        self._where = where
        self._began = time.monotonic()
        text = repr((means.basis, means.mode, request.unit.path, request.unit.text))
        self._basis = hashlib.sha256(text.encode()).hexdigest()
        # Equal for all candidates, so that the original runs once; new for a confirmation.
        self.seed = request.seed if request.fresh else int(self._basis[:6], 16)
        self.not_covered: list[str] = []
        self.deaths: dict[str, str] = {}

    @property
    def budget_s(self) -> float:
        """Seconds for one version's runs. A search has many candidates and gives each a part;
        what is offered is confirmed, and that has the whole."""
        known = self._means.budget_s
        whole = DIFFERENTIAL_S[self._means.mode] if known is None else known
        return whole if self._request.fresh else whole * SEARCH_SHARE

    async def check(
        self, calls: list[Any], launches: list[Any], launched: list[Any]
    ) -> Verdict | None:
        """`launches` are the original's, `launched` the candidate's. None: nothing to check."""
        self.not_covered += replay.not_recorded(launches, calls)
        blocks = cases.blocks_of(launches, launched)
        literals = cases.literals_of(self._request.unit.text, self._request.text)
        made = cases.generate(calls, launches, seed=self.seed, blocks=blocks, literals=literals)
        left_out = len(made) - self._means.max_cases
        if left_out > 0:
            self.not_covered.append(f"{left_out} more cases: beyond `limits.differential_cases`")
            del made[self._means.max_cases :]
        made = self._of_bearable_size(made)
        if not made or self.budget_s <= 0:
            return None
        for number, case in enumerate(made):
            case["turn"] = number
        known = await self._originals(made, self.budget_s)
        rows = await self.judged([case for case in made if case["id"] in known], self.budget_s)
        if not isinstance(rows, list):
            return rows
        if known and not rows and not self.deaths:
            raise WorkspaceError(
                "internal", "no generated case was judged, though the original ran some"
            )
        return await self._concluded(made, rows)

    def _of_bearable_size(self, made: list[Case]) -> list[Case]:
        large = [case for case in made if case["elements"] > MAX_ELEMENTS]
        self.not_covered += [
            f"{case['name']}: more than {MAX_ELEMENTS:,} elements" for case in large
        ]
        return [case for case in made if case["elements"] <= MAX_ELEMENTS]

    # ---- the original -----------------------------------------------------------------

    async def _originals(self, wanted: list[Case], budget_s: float) -> set[str]:
        """Runs what the bank lacks; returns the ids of cases that the original survived."""
        places = [self._place(c) for c in wanted]
        settled = False
        while not settled:
            await self._run_originals(
                [c for c in wanted if self._means.bank.is_new(self._place(c))], budget_s
            )
            settled = await self._means.bank.wait_settled(places)
        self._means.bank.trim()
        return {c["id"] for c in wanted if bank.has(self._place(c), "main")}

    async def _run_originals(self, lacking: list[Case], budget_s: float) -> None:
        small = [c for c in lacking if c["elements"] <= _WIDE_ELEMENTS]
        ran = False
        try:
            await asyncio.gather(
                self._run_original(lacking, "main", budget_s),
                self._run_original(small, "wide", budget_s),
            )
            ran = True
        finally:
            self._means.bank.settle([self._place(c) for c in lacking], ran=ran)

    async def _run_original(self, wanted: list[Case], kind: str, budget_s: float) -> None:
        if not wanted:
            return
        async with self._means.place(self._request.unit.text) as where:
            folder = os.path.join(where.scratch.output, "differ")
            left = wanted
            for _ in range(_MAX_DEATHS):
                items = [{"case": c, "runs": self._runs(c, kind), "dump": []} for c in left]
                mode: Mode = "interpret" if kind == "wide" else self._means.mode
                end = await self._produce(items, where, folder, mode, budget_s, trusted=True)
                died = _harvest(
                    folder, left, lambda c, f: self._means.bank.keep(self._place(c), kind, f)
                )
                if isinstance(end, Answered):
                    return
                if died is None:
                    self.not_covered.append(
                        f"the original could not run the cases: {said.why(end)}"
                    )
                    return
                left = left[died + 1 :]

    def _runs(self, case: Case, kind: str) -> list[str]:
        if kind == "wide":
            return ["float64", "nudged"]
        thorough = case["group"] == "recorded" and case["elements"] <= _WIDE_ELEMENTS
        runs = list(RUNS_OF_RECORDED if thorough else RUNS)
        if case["call"]["launcher"] in self._request.references:
            runs.append("reference")
        return [*runs, "ulp"] if self._means.mode == "device" else runs

    def _place(self, case: Case) -> str:
        reference = self._request.references.get(case["call"]["launcher"], "")
        return self._means.bank.place(self._basis + reference, case)

    # ---- the candidate ----------------------------------------------------------------

    async def judged(
        self, wanted: list[Case], budget_s: float
    ) -> list[tuple[Case, Row]] | WorkerVerdict:
        """The judge's row for every case that the candidate ran, or the verdict that ends it."""
        ran: dict[str, str] = {}
        async with self._means.place(None) as court:
            left = wanted
            while left:
                folder = os.path.join(self._where.scratch.output, "differ")
                shutil.rmtree(folder, ignore_errors=True)
                items = [self._item(case) for case in left]
                end = await self._produce(
                    items, self._where, folder, self._means.mode, budget_s, trusted=False
                )

                def keep(case: Case, source: str) -> None:
                    ran[case["id"]] = os.path.join(court.scratch.folder, "candidate", case["id"])
                    os.makedirs(os.path.dirname(ran[case["id"]]), exist_ok=True)
                    shutil.move(source, ran[case["id"]])

                died = _harvest(folder, left, keep)
                if isinstance(end, Answered):
                    break
                verdict = self._fatal(end, left[died] if died is not None else None)
                if verdict is not None:
                    return verdict
                assert died is not None
                left = left[died + 1 :]
            done = [case for case in wanted if case["id"] in ran and case["id"] not in self.deaths]
            return await self._court(done, ran, court)

    def _item(self, case: Case) -> dict[str, Any]:
        runs = bank.heads(os.path.join(self._place(case), "main"))
        dump = sorted({n for head in runs.values() for n in head["changed"]})
        compared = [name for name in RUNS_OF_RECORDED if name in runs]
        return {"case": case, "runs": compared, "dump": dump}

    def _fatal(self, end: StageEnd, case: Case | None) -> WorkerVerdict | None:
        """A death in a hard case is a verdict; in another, one more behaviour change."""
        from .. import answers

        if case is None or len(self.deaths) >= _MAX_DEATHS:
            return answers.verdict_of("differ", end)
        if isinstance(end, OutOfTime):
            spent = sum(
                h["seconds"] for h in bank.heads(os.path.join(self._place(case), "main")).values()
            )
            if end.limit_s < _SLOW_FACTOR * spent + _SLOW_S:
                self.deaths[case["id"]] = "not run: still running at the deadline"
                return None
        verdict = answers.verdict_of("differ", end)
        if isinstance(verdict, records.Cheated):
            return verdict
        how = verdict.how if isinstance(verdict, records.Crashed) else "did not finish"
        self.deaths[case["id"]] = f"the process died ({how}), where the original returns"
        if not self._is_fatal(hard=case["hard"]):
            return None
        if isinstance(verdict, records.Crashed):
            sentence = f"{case['name']}: {self.deaths[case['id']]}; seed {case['seed']}"
            return records.Differs(
                cases=(sentence,), found=(said.checked(case, said.death_row(case), fatal=True),)
            )
        return verdict

    async def _court(
        self, done: list[Case], ran: dict[str, str], court: Where
    ) -> list[tuple[Case, Row]] | WorkerVerdict:
        if not done:
            return []
        known = os.path.join(court.scratch.folder, "original")
        items = [
            {
                "hard": case["hard"], "candidate": ran[case["id"]],
                "proven": case["group"] in PROVEN,
                **bank.lend(self._place(case), os.path.join(known, case["id"])),
            }
            for case in done
        ]  # fmt: skip
        end = await self._means.run(
            {"stage": "judge", "cases": items}, court, "compile", trusted=True
        )
        if not isinstance(end, Answered):
            raise WorkspaceError("internal", f"the judging process gave no answer: {end}")
        return list(zip(done, end.answer["rows"]))

    async def _produce(
        self, items: list[dict[str, Any]], where: Where, folder: str, mode: Mode,
        budget_s: float, *, trusted: bool,
    ) -> StageEnd:  # fmt: skip
        job = {
            "stage": "produce", "cases": items, "folder": folder, "budget_s": budget_s,
            "references": self._request.references, "deadline_s": 3 * budget_s + 60.0,
            "seed": self.seed, "max_bytes": self._means.max_bytes,
        }  # fmt: skip
        return await self._means.run(job, where, mode, trusted=trusted)

    # ---- the verdict ------------------------------------------------------------------

    def _is_fatal(self, *, hard: bool) -> bool:
        listed = self._request.differences
        return listed == "strict" or (hard and listed == "contract")

    async def _concluded(self, made: list[Case], rows: list[tuple[Case, Row]]) -> Verdict:
        for case, row in rows:
            if row.get("cheated"):
                detail = f"{case['name']}: {row['cheated']['detail']}"
                return records.Cheated(reason=row["cheated"]["reason"], detail=detail)
        fatal = [(c, r) for c, r in rows if r["sentence"] and self._is_fatal(hard=r["hard"])]
        if fatal:
            smaller = await minimise.smallest(self, fatal)
            shown = said.one_of_each([*smaller, *(pair for pair in fatal if pair not in smaller)])
            return records.Differs(
                cases=tuple(said.sentence(case, row) for case, row in shown),
                found=tuple(said.checked(case, row, fatal=True) for case, row in shown),
            )
        return self._differential(made, rows)

    async def retried(self, variants: list[Case], budget_s: float) -> list[tuple[Case, Row]]:
        """Judges further cases that differ in size alone; only fatal ones come back."""
        known = await self._originals(variants, budget_s)
        rows = await self.judged([case for case in variants if case["id"] in known], budget_s)
        if not isinstance(rows, list):
            return []
        return [(c, r) for c, r in rows if r["sentence"] and self._is_fatal(hard=r["hard"])]

    def _differential(self, made: list[Case], rows: list[tuple[Case, Row]]) -> Differential:
        known = {case["id"]: row for case, row in rows}
        checked = tuple(said.checked(case, known.get(case["id"]), fatal=False) for case in made)
        changes = [said.sentence(case, row) for case, row in rows if row["sentence"]]
        names = {case["id"]: case["name"] for case in made}
        changes += [
            f"{names[n]}: {how}" for n, how in self.deaths.items() if not how.startswith("not run")
        ]
        unjudged = [f"{c['name']}: {r['unjudged']}" for c, r in rows if r["unjudged"]]
        return Differential(
            cases=checked, behaviour_changes=tuple(changes),
            not_covered=(*self.not_covered, *unjudged), seed=self.seed,
            seconds=time.monotonic() - self._began, budget_s=self.budget_s,
        )  # fmt: skip


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
