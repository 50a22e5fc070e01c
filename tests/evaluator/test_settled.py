"""Who differs beside the original alone is asked again beside its run in float64."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from whet_evaluator.worker.differential.suite import Suite

CASES = [
    {"id": f"c{n}", "name": f"rows {n}", "elements": 10 - n, "hard": True, "seed": n}
    for n in (1, 2)
]


def row(sentence, oracle, *, hard=True):
    return {"sentence": sentence, "oracle": oracle, "hard": hard, "cheated": None}


BESIDE = row("57 ulp", "reference")
APART, EQUAL, WRONG = row("6 ulp", "original"), row("", "float64"), row("9 ulp", "float64")


class Scripted(Suite):
    """Answers with the rows in `again` where a case is asked once more."""

    def __init__(self, again, *, known=True):
        self.asked = []
        self._again = again
        self._request = SimpleNamespace(differences="contract", fresh=True)
        self._means = SimpleNamespace(budget_s=8.0, mode="device")

        async def widen(case, budget_s):
            return known and budget_s == 8.0

        self._originals = SimpleNamespace(widen=widen)

    async def _judged(self, wanted, budget_s):
        self.asked += [case["id"] for case in wanted]
        return [(case, self._again[case["id"]]) for case in wanted]


@pytest.mark.parametrize(
    ("before", "again", "asked", "rejects"),
    [
        ((APART, APART), (EQUAL, EQUAL), ["c2", "c1"], False),
        ((APART, APART), (EQUAL, WRONG), ["c2"], True),
        ((APART, APART), (WRONG, EQUAL), ["c2", "c1"], True),
        ((WRONG, APART), (EQUAL, EQUAL), [], True),
        ((BESIDE, EQUAL), (EQUAL, EQUAL), ["c1"], False),
        ((BESIDE, EQUAL), (BESIDE, EQUAL), ["c1"], True),
        ((EQUAL, row("6 ulp", "original", hard=False)), (EQUAL, EQUAL), [], False),
    ],
    ids=["both settled", "the smaller stays", "the larger stays", "one was beside float64",
         "a reference, rounding unknown", "a reference, rounding known",
         "outside the contract"],
)  # fmt: skip
def test_a_better_oracle_settles_it(before, again, asked, rejects):
    suite = Scripted({case["id"]: one for case, one in zip(CASES, again, strict=True)})
    rows = asyncio.run(suite._settled(list(zip(CASES, before, strict=True))))
    assert suite.asked == asked
    assert suite.rejects(rows) is rejects


def test_what_the_interpreter_cannot_run_stays_as_it_was():
    suite = Scripted({}, known=False)
    rows = [(CASES[0], APART)]
    assert asyncio.run(suite._settled(rows)) == rows
    assert suite.asked == []
