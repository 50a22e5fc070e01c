"""Every trick of the catalogue is rejected for a right reason, every honest rewrite accepted.

One worker judges them all, one after the other, without a clock; `gpu.py` beside this file
does the same with one. `make adversarial` runs it and prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from cheats import CHEATS
from controls import CONTROLS
from corpus import Cheat, Control
from judging import Judge, Row, line, markdown, summary

pytestmark = [pytest.mark.adversarial, pytest.mark.asyncio(loop_scope="module")]

_CATALOGUE = (
    "side streams", "work after the clock in threads", "lazy or subclassed tensors",
    "patched clocks, allclose, Event", "faked result messages, inherited descriptors, os._exit",
    "frame walking, gc, sys.modules", "caching by pointer, id, shape, seed, call count",
    "honest when checked and cheating when timed", "torch.empty with stale memory",
    "mutated inputs", "constants, input passed through", "tests too weak to notice",
    "tail tile skipped", "only tested shapes handled", "precision lowered",
    "library or original called instead", "decoy kernel never launched", "exec, base64",
    "edited tests, conftest, harness", "poisoned Triton or bytecode cache", "re-registered op",
    "L2 kept persistent", "graph replay of stale inputs", "autotune inside the clock",
    "baseline slowed", "warm-up detected", "non-determinism", "zero time in an aggregate",
)  # fmt: skip
"""EVALUATION.md's rows, in its order."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rows(
    request: pytest.FixtureRequest, tables: list[str], say: Callable[[str], None]
) -> dict[str, Row]:
    """What every chosen test of this module needs, judged two at a time by one worker."""
    wanted: list[Cheat | Control] = [
        item.callspec.params["one"]
        for item in request.session.items
        if item.path == Path(__file__) and hasattr(item, "callspec")
    ]
    async with Judge.start(sys.executable) as judge:
        made = await judge.rows(wanted, at_once=2, on_row=lambda row: say(line(row)))
    tables += [markdown(made), summary(made)]
    return {f"{row.trick}: {row.name}": row for row in made}


@pytest.mark.parametrize("one", [c for c in CONTROLS if not c.clock], ids=lambda c: c.name)
async def test_an_honest_candidate_is_accepted(rows: dict[str, Row], one: Control) -> None:
    row = rows[f"control: {one.name}"]
    _as_expected(one, row, f"{row.verdict}: {row.reason}; screen: {row.screen or 'passes'}")


@pytest.mark.parametrize(
    "one", [c for c in CHEATS if not c.clock], ids=lambda c: f"{c.trick}: {c.name}"
)
async def test_a_trick_is_rejected(rows: dict[str, Row], one: Cheat) -> None:
    row = rows[f"{one.trick}: {one.name}"]
    _as_expected(one, row, f"{row.verdict}: {row.reason}; demanded one of {one.found}")


def _as_expected(one: Cheat | Control, row: Row, said: str) -> None:
    if one.gap:
        assert not row.held, f"no longer open, so take its gap away ({one.gap})"
    else:
        assert row.held, said


async def test_the_corpus_covers_the_catalogue() -> None:
    assert {cheat.trick for cheat in CHEATS} == set(_CATALOGUE)
    assert len(CHEATS) >= 40
    assert len(CONTROLS) >= 20
    assert len({(c.trick, c.name) for c in CHEATS}) == len(CHEATS)
