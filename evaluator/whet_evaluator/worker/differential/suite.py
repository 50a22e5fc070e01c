"""Stage *differ*, seen from the worker: generate, run the original once, run the candidate,
let a third process judge, and say what came of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import shutil
import time
from collections import Counter
from typing import Any, Union

from .. import records, replay
from ..codec import to_json
from ..libdevice import approximations
from ..orders import Where
from ..protocol import DIFFERENTIAL_S, Evaluate
from ..records import Differential, WorkerVerdict
from ..stage_ends import Answered, OutOfTime, StageEnd
from ..workspace import WorkspaceError
from . import bank, cases, far, huge, minimise, refusals, said, turns, values
from .cases import PROVEN
from .children import MAX_DEATHS, Children
from .literals import literals_of
from .means import Means
from .originals import RUNS_OF_RECORDED, Originals

Case = dict[str, Any]
Row = dict[str, Any]
Verdict = Union[Differential, WorkerVerdict]

SEARCH_SHARE = {"device": 0.05, "interpret": 0.06}
"""Of the budget, for a candidate in a search."""
MIN_CASES, SEARCH_MIN_CASES = 12, 8
"""Run whatever the budget. In a search they are much of what a candidate costs."""
MAX_ELEMENTS = 1 << 25
MAX_MORE_CONFIGS = 64
_SLOW_FACTOR, _SLOW_S = 20.0, 10.0


class Suite:
    """One candidate against the generated cases: `run`, then `conclude` what it returned."""

    def __init__(self, means: Means, request: Evaluate, where: Where) -> None:
        self._means = means
        self._request = request
        self._where = where
        self._began = time.monotonic()
        text = repr((means.basis, means.mode, request.unit.path, request.unit.text))
        basis = hashlib.sha256(text.encode()).hexdigest()
        # Equal for all candidates, so that the original runs once; new for a confirmation.
        self.seed = request.seed if request.fresh else int(basis[:6], 16)
        self._originals = Originals(means, request, self.seed, self._n_must, basis)
        self._made: list[Case] = []
        self._n_configs: Counter[str] = Counter()
        self.deaths: dict[str, str] = {}
        self.ran = asyncio.Event()
        """Set once the candidate has run all cases; they are being judged then."""

    @property
    def not_covered(self) -> list[str]:
        return self._originals.not_covered

    @property
    def budget_s(self) -> float:
        """Seconds for one child's runs, or for all of them on the interpreter. A search has many
        candidates and gives each a part; what is offered is confirmed, and that has the whole."""
        known = self._means.budget_s
        whole = DIFFERENTIAL_S[self._means.mode] if known is None else known
        return whole if self._request.fresh else whole * SEARCH_SHARE[self._means.mode]

    @property
    def _n_must(self) -> int:
        return MIN_CASES if self._request.fresh else SEARCH_MIN_CASES

    @property
    def _text_to_read(self) -> str:
        """Whose numbers sizes are tried at. In a search the original's: it would have to run first
        what one candidate alone asks for, and that is left to the confirmation."""
        return self._request.text if self._request.fresh else self._request.unit.text

    async def run(
        self, calls: list[Any], launches: list[Any], launched: list[Any]
    ) -> list[tuple[Case, Row]] | WorkerVerdict | None:
        """The judge's row of each case that ran, or the verdict that ended it. None: nothing to
        check. `launches` are the original's, `launched` the candidate's, as far as known."""
        self.not_covered.extend(replay.not_recorded(launches, calls))
        if self._means.mode == "interpret":
            self.not_covered.extend(approximations(self._request.unit.text, self._request.text))
        blocks = cases.blocks_of(launches, launched)
        made = self._generated(calls, launches, launched)
        left_out = len(made) - self._means.max_cases
        if left_out > 0:
            self.not_covered.append(f"{left_out} more cases: beyond `limits.differential_cases`")
            del made[self._means.max_cases :]
        if made and self._means.mode == "interpret" and self._means.max_cases >= MIN_CASES:
            made += far.cases(calls, blocks, self.seed) + huge.cases(calls, blocks, self.seed)
        self._made = self._of_bearable_size(made)
        if not self._made or self.budget_s <= 0:
            return None
        turns.take(self._made)
        known = await self._originals.known(self._made, self.budget_s)
        self._originals.name_what_died(self._made)
        rows = await self._judged([c for c in self._made if c["id"] in known], self.budget_s)
        if known and not rows and not self.deaths:
            raise WorkspaceError(
                "internal", "no generated case was judged, though the original ran some"
            )
        if not isinstance(rows, list):
            return rows
        more = await self._for_more_configs(rows)
        return await self._settled([*rows, *more]) if isinstance(more, list) else more

    def _generated(self, calls: list[Any], launches: list[Any], launched: list[Any]) -> list[Case]:
        return cases.generate(
            calls, launches, seed=self.seed, blocks=cases.blocks_of(launches, launched),
            literals=literals_of(self._request.unit.text, self._text_to_read),
            words=cases.words_of(self._request.unit.text),
        )  # fmt: skip

    def first_calls(self, calls: list[Any]) -> list[Any]:
        """What a search in any case makes of them: worth compiling before it is launched."""
        made = self._generated(calls, to_json(self._request.launches), [])
        return [case["call"] for case in made[: self._n_must] if case["elements"] <= MAX_ELEMENTS]

    def _of_bearable_size(self, made: list[Case]) -> list[Case]:
        large = [case for case in made if case["elements"] > MAX_ELEMENTS]
        self.not_covered.extend(
            f"{case['name']}: more than {MAX_ELEMENTS:,} elements" for case in large
        )
        return [case for case in made if case["elements"] <= MAX_ELEMENTS]

    # ---- the candidate ----------------------------------------------------------------

    async def _judged(
        self, wanted: list[Case], budget_s: float
    ) -> list[tuple[Case, Row]] | WorkerVerdict:
        """The judge's row for every case that the candidate ran, or the verdict that ends it."""
        ran: dict[str, str] = {}
        verdicts: list[WorkerVerdict] = []
        async with self._means.place(None) as court:

            def keep(case: Case, source: str) -> None:
                ran[case["id"]] = os.path.join(court.scratch.folder, "candidate", case["id"])
                os.makedirs(os.path.dirname(ran[case["id"]]), exist_ok=True)
                shutil.move(source, ran[case["id"]])

            def on_end(end: StageEnd, case: Case | None) -> bool:
                verdict = self._fatal(end, case)
                verdicts.extend([verdict] if verdict is not None else [])
                return verdict is None

            children = Children(
                means=self._means, where=self._where, mode=self._means.mode, trusted=False,
                budget_s=budget_s, n_must=self._n_must, seed=self.seed, references=self._request.references,
            )  # fmt: skip
            self._n_configs |= await children.run(wanted, self._item, keep, on_end)
            self.ran.set()
            if verdicts:
                return verdicts[0]
            done = [case for case in wanted if case["id"] in ran and case["id"] not in self.deaths]
            return await self._court(done, ran, court)

    def _item(self, case: Case) -> dict[str, Any]:
        runs = bank.heads(os.path.join(self._originals.place(case), "main"))
        dump = sorted({n for head in runs.values() for n in head["changed"]})
        compared = [name for name in RUNS_OF_RECORDED if name in runs]
        return {"case": case, "runs": compared, "dump": dump}

    def _fatal(self, end: StageEnd, case: Case | None) -> WorkerVerdict | None:
        """A death in a hard case is a verdict; in another, one more behaviour change."""
        from .. import answers

        if case is None or len(self.deaths) >= MAX_DEATHS:
            return answers.verdict_of("differ", end)
        verdict = answers.verdict_of("differ", end)
        if isinstance(verdict, records.Cheated):
            return verdict
        how = verdict.how if isinstance(verdict, records.Crashed) else "did not finish"
        if why := self._says_nothing(end, case, how):
            self.deaths[case["id"]] = f"not run: {why}"
            return None
        self.deaths[case["id"]] = f"the process died ({how}), where the original returns"
        if not self._is_fatal(case, hard=case["hard"]):
            return None
        if isinstance(verdict, records.Crashed):
            sentence = f"{case['name']}: {self.deaths[case['id']]}; seed {case['seed']}"
            return records.Differs(
                cases=(sentence,), found=(said.checked(case, said.death_row(case), fatal=True),)
            )
        return verdict

    def _says_nothing(self, end: StageEnd, case: Case, how: str) -> str:
        """Why a death is none of the candidate's doing; empty where it is."""
        if case.get("dry"):  # a launcher may fill what it makes, and nobody has that much memory
            return how
        if not isinstance(end, OutOfTime):
            return ""
        heads = bank.heads(os.path.join(self._originals.place(case), "main"))
        spent = sum(head["seconds"] for head in heads.values())
        slow = end.limit_s < _SLOW_FACTOR * spent + _SLOW_S
        return "still running at the deadline" if slow else ""

    async def _court(
        self, done: list[Case], ran: dict[str, str], court: Where
    ) -> list[tuple[Case, Row]] | WorkerVerdict:
        if not done:
            return []
        known = os.path.join(court.scratch.folder, "original")
        items = [
            {
                "hard": case["hard"], "candidate": ran[case["id"]],
                "proven": case["group"] in PROVEN, "finite": values.are_finite(case["call"], case["values"]),
                **bank.lend(self._originals.place(case), os.path.join(known, case["id"])),
            }
            for case in done
        ]  # fmt: skip
        end = await self._means.run(
            {"stage": "judge", "cases": items}, court, "compile", trusted=True
        )
        if not isinstance(end, Answered):
            raise WorkspaceError("internal", f"the judging process gave no answer: {end}")
        return list(zip(done, end.answer["rows"]))

    async def _for_more_configs(
        self, rows: list[tuple[Case, Row]]
    ) -> list[tuple[Case, Row]] | WorkerVerdict:
        """Each case runs one configuration of an autotuned kernel. Where there are more of them than
        cases, the smallest case is run again with each of the others, up to `MAX_MORE_CONFIGS`; a
        search leaves that to the confirmation."""
        if not self._request.fresh or not self._means.in_float64 or self.rejects(rows):
            return []
        more: list[Case] = []
        for launcher, ran in turns.by_launcher(rows).items():
            n_configs, most = self._n_configs[launcher], MAX_MORE_CONFIGS - len(more)
            left = turns.not_met(ran, n_configs)
            more += [turns.turned(ran, turn, n_configs) for turn in itertools.islice(left, most)]
            if next(left, None) is not None:
                self.not_covered.append(f"{launcher}: some of its {n_configs} configurations")
        self._made += more
        return await self._judged(more, self.budget_s) if more else []

    async def _settled(self, rows: list[tuple[Case, Row]]) -> list[tuple[Case, Row]]:
        """Who differs beside the original alone is asked again beside its run in float64, which
        the budget had not sufficed for: two honest orders of the same operations may lie further
        from each other than either from the truth. So is who differs from a reference, since that run
        also says how far rounding leads. The smallest first, until one stays."""
        fatal = sorted(self._fatal_rows(rows), key=lambda found: found[0]["elements"])
        if any(row["oracle"] == "float64" or row["cheated"] for _, row in fatal):
            return rows
        settled: dict[str, Row] = {}
        for case, _ in fatal:
            if not await self._originals.widen(case, self.budget_s):
                break
            again = await self._judged([case], self.budget_s)
            if not isinstance(again, list) or not again or self._fatal_rows(again):
                break
            settled[case["id"]] = again[0][1]
        return [(case, settled.get(case["id"], row)) for case, row in rows]

    # ---- the verdict ------------------------------------------------------------------

    def _is_fatal(self, case: Case, *, hard: bool) -> bool:
        match self._request.differences:
            case "strict":
                return True
            case "contract":
                return hard
            case "recorded":
                return hard and (case["group"] == "recorded" or self._is_trusted(case))
            case "listed":
                return hard and self._is_trusted(case)

    def _is_trusted(self, case: Case) -> bool:
        """Whether the user named what the launcher should equal."""
        return case["call"]["launcher"] in self._request.references

    def rejects(self, rows: list[tuple[Case, Row]]) -> bool:
        """Whether `conclude` will end the candidate."""
        return any(row.get("cheated") for _, row in rows) or bool(self._fatal_rows(rows))

    def _fatal_rows(self, rows: list[tuple[Case, Row]]) -> list[tuple[Case, Row]]:
        if self._request.differences in ("listed", "recorded"):
            return [(case, told) for case, row in rows if (told := self._told(case, row))]
        return [(c, r) for c, r in rows if r["sentence"] and self._is_fatal(c, hard=r["hard"])]

    def _told(self, case: Case, row: Row) -> Row | None:
        """What ends a candidate whose original is wrong: how it differs from a reference, what only
        it does to memory, and, where calls as recorded count, how it differs there."""
        if row["by_reference"]:
            return {**row, "sentence": row["by_reference"], "oracle": "reference", "hard": True}
        if row["watched"]:
            return {**row, "sentence": row["watched"], "hard": True}
        is_recorded = self._request.differences == "recorded" and case["group"] == "recorded"
        return row if is_recorded and row["sentence"] and row["hard"] else None

    async def conclude(self, rows: list[tuple[Case, Row]]) -> Verdict:
        """What the rows of `run` mean; a failing case is made smaller first."""
        for case, row in rows:
            if row.get("cheated"):
                detail = f"{case['name']}: {row['cheated']['detail']}"
                return records.Cheated(reason=row["cheated"]["reason"], detail=detail)
        fatal = self._fatal_rows(rows)
        if fatal:
            smaller = await minimise.smallest(self, fatal)
            shown = said.one_of_each([*smaller, *(pair for pair in fatal if pair not in smaller)])
            return records.Differs(
                cases=tuple(said.sentence(case, row) for case, row in shown),
                found=tuple(said.checked(case, row, fatal=True) for case, row in shown),
            )
        return self._differential(rows)

    async def retried(self, variants: list[Case], budget_s: float) -> list[tuple[Case, Row]]:
        """Judges further cases that differ in size alone; only fatal ones come back."""
        known = await self._originals.known(variants, budget_s)
        rows = await self._judged([case for case in variants if case["id"] in known], budget_s)
        return self._fatal_rows(rows) if isinstance(rows, list) else []

    def _differential(self, rows: list[tuple[Case, Row]]) -> Differential:
        known = {case["id"]: row for case, row in rows}
        checked = tuple(
            said.checked(case, known.get(case["id"]), fatal=False) for case in self._made
        )
        changes = [said.sentence(case, row) for case, row in rows if row["sentence"]]
        names = {case["id"]: case["name"] for case in self._made}
        changes += [
            f"{names[n]}: {how}" for n, how in self.deaths.items() if not how.startswith("not run")
        ]
        changes += refusals.dropped(self._request.unit.text, self._request.text)
        unjudged = [f"{c['name']}: {r['unjudged']}" for c, r in rows if r["unjudged"]]
        return Differential(
            cases=checked, behaviour_changes=tuple(changes),
            not_covered=(*self.not_covered, *unjudged), seed=self.seed,
            seconds=time.monotonic() - self._began, budget_s=self.budget_s,
        )  # fmt: skip
