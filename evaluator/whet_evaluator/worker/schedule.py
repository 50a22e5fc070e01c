"""In which order samples are taken, and for how long: pure, given something that takes one.

A round holds the pairs that are judged and, shuffled among them, two controls: the original
against itself, and against itself with a delay. So the controls see the same device as the
pairs they vouch for. Within each pair the order is drawn too. The seed decides orders, which
may be repeated; what is checked after the clock has stopped is drawn where no version can
know it.

No version is sampled just behind itself, where some are faster: the original, which is in every
pair, would be there more often than what it is held against. What that was worth stands in
`benchmarks/results/sample_order.md`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from .intervals import LOOKS, is_undecided, next_look

ORIGINAL, CANDIDATE, AGAIN = 0, 1, 2
"""AGAIN is the original once more, prepared separately: with memory of its own."""
Pairs = list[tuple[float, float]]


@dataclass(frozen=True)
class Turn:
    """One sample to take. `drawing` numbers the values its inputs hold."""

    version: int
    drawing: int
    slowed: bool = False
    check: bool = False


class Sampler(Protocol):
    """What takes samples; `sampling.Engine`, or two of them in two processes."""

    def begin_round(self, seed: int) -> None:
        """Prepares every version anew, in an order and on memory drawn from `seed`."""

    def begin_pair(self) -> None:
        """Goes on to inputs at other addresses."""

    def sample(self, turn: Turn) -> float:
        """Microseconds of one call. Raises what `sampling` names for wrong outputs."""


@dataclass
class Taken:
    """Rounds of pairs in microseconds; `retaken` has a reason for each round taken twice, `dropped`
    the pairs that it had then."""

    rounds: list[Pairs] = field(default_factory=list)
    control: list[Pairs] = field(default_factory=list)
    slowed: list[Pairs] = field(default_factory=list)
    retaken: list[str] = field(default_factory=list)
    dropped: list[Pairs] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a schedule asks about the world around it."""

    on_round: Callable[[int, int], None]
    """Hears how many of how many rounds are done."""
    disturbance: Callable[[], str | None]
    """What happened to the device since it was last asked, or None."""
    may_go_on: Callable[[float], bool]
    """Whether rounds worth so many seconds may be added; asked when undecided."""
    now: Callable[[], float]
    draw: Callable[[int], int]
    """A number below its argument that no version can foresee: which pair is checked."""


def take(sampler: Sampler, watch: Watch, *, seed: int, n_rounds: int, n_pairs: int) -> Taken:
    """`n_rounds` of `n_pairs`, and on to the next looks while that leaves things undecided. From
    half of the first look only a control that says nothing leads there, and no further."""
    order = random.Random(seed)
    taken, target, began = Taken(), n_rounds, watch.now()
    watch.disturbance()
    while True:
        while len(taken.rounds) < target:
            watch.on_round(len(taken.rounds), target)
            _round(sampler, watch, order, taken, n_pairs)
        following = _next(n_rounds, target)
        asked = [taken.rounds] if n_rounds >= LOOKS[0] else []
        if following is None or not is_undecided(*asked, taken.control, taken.slowed):
            return taken
        seconds = (watch.now() - began) * (following - target) / target
        if not watch.may_go_on(seconds):
            taken.notes.append(f"undecided after {target} rounds, and no time for more")
            return taken
        target = following


def _next(n_rounds: int, target: int) -> int | None:
    """Up to how many rounds to go on from `target`, where `n_rounds` were asked for."""
    if n_rounds >= LOOKS[0]:
        return next_look(target)
    return LOOKS[0] if target < LOOKS[0] <= 2 * n_rounds else None


def _round(
    sampler: Sampler, watch: Watch, order: random.Random, taken: Taken, n_pairs: int
) -> None:
    """One round; taken again where the device was disturbed, up to half as often as there
    are rounds. Ratios have no say in that."""
    while True:
        found = _pairs(sampler, watch, order, n_pairs)
        reason = watch.disturbance()
        if reason is None or len(taken.retaken) >= max(1, len(taken.rounds) // 2):
            break
        taken.retaken.append(reason)
        taken.dropped.append(found["test"])
    if reason is not None:
        taken.notes.append(f"kept though disturbed: {reason}")
    taken.rounds.append(found["test"])
    taken.control.append(found["control"])
    taken.slowed.append(found["slowed"])


def _pairs(sampler: Sampler, watch: Watch, order: random.Random, n_pairs: int) -> dict[str, Pairs]:
    sampler.begin_round(order.randrange(1 << 30))
    kinds = ["test"] * n_pairs
    kinds += ["control"] * max(1, n_pairs // 2) + ["slowed"] * max(1, n_pairs // 3)
    order.shuffle(kinds)
    checked = watch.draw(n_pairs)
    found: dict[str, Pairs] = {"test": [], "control": [], "slowed": []}
    before: int | None = None
    for kind in kinds:
        check = kind == "test" and len(found[kind]) == checked
        second = CANDIDATE if kind == "test" else AGAIN
        turns = _turns(order, second, slowed=kind == "slowed", check=check)
        sampler.begin_pair()
        if before in (None, turns[0].version):
            other = max(turn.drawing for turn in turns) + 1
            sampler.sample(Turn(turns[1].version, other))  # not kept
        us = {turn.version: sampler.sample(turn) for turn in turns}
        found[kind].append((us[ORIGINAL], us[second]))
        before = turns[1].version
    return found


def _turns(order: random.Random, second: int, *, slowed: bool, check: bool) -> list[Turn]:
    drawing = order.randrange(1 << 20)
    turns = [
        Turn(ORIGINAL, drawing),
        Turn(second, drawing + 1, slowed=slowed, check=check),
    ]
    return order.sample(turns, 2)
