"""The order in which samples are taken, and for how long, with a scripted sampler."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from whet_evaluator.worker.intervals import CLAIM_ALPHA
from whet_evaluator.worker.schedule import AGAIN, CANDIDATE, ORIGINAL, Turn, Watch, take

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from timing_noise import any_look_misses, once


class Scripted:
    """Answers from true times with a given spread, and keeps what it was asked."""

    def __init__(self, candidate_us: float = 100.0, spread: float = 0.002) -> None:
        self.turns: list[Turn] = []
        self.rounds: list[int] = []
        self.begun: list[int] = []
        self._us = {ORIGINAL: 100.0, CANDIDATE: candidate_us, AGAIN: 100.0}
        self._spread = spread
        self._random = random.Random(5)

    def begin_round(self, seed: int) -> None:
        self.rounds.append(seed)

    def begin_pair(self) -> None:
        self.begun.append(len(self.turns))

    def pairs(self) -> list[list[Turn]]:
        """The two turns of each pair, without what was sampled ahead of them."""
        ends = [*self.begun[1:], len(self.turns)]
        return [self.turns[end - 2 : end] for end in ends]

    def sample(self, turn: Turn) -> float:
        self.turns.append(turn)
        us = self._us[turn.version] * self._random.lognormvariate(0, self._spread)
        return us * (1.05 if turn.slowed else 1.0)


def watch(disturbances: list[str | None] | None = None, *, may_go_on: bool = True) -> Watch:
    script = list(disturbances or [])
    draws = random.Random(9)
    return Watch(
        on_round=lambda _done, _total: None,
        disturbance=lambda: script.pop(0) if script else None,
        may_go_on=lambda _seconds: may_go_on,
        now=lambda: 0.0,
        draw=draws.randrange,
    )


def test_a_round_has_its_pairs_and_both_controls_among_them() -> None:
    sampler = Scripted()
    taken = take(sampler, watch(), seed=1, n_rounds=4, n_pairs=10)
    assert [len(pairs) for pairs in taken.rounds] == [10] * 4
    assert [len(pairs) for pairs in taken.control] == [5] * 4
    assert [len(pairs) for pairs in taken.slowed] == [3] * 4
    assert len(sampler.rounds) == 4
    assert len(set(sampler.rounds)) == 4, "every round is prepared from another seed"
    assert len(sampler.begun) == 4 * 18
    kinds = "".join(
        "s" if any(t.slowed for t in pair) else "tc"[any(t.version == AGAIN for t in pair)]
        for pair in sampler.pairs()[:18]
    )
    assert "c" in kinds.strip("c").strip("s"), f"controls lie between the pairs: {kinds}"


def test_the_order_within_a_pair_is_drawn_and_its_values_differ() -> None:
    sampler = Scripted()
    take(sampler, watch(), seed=1, n_rounds=20, n_pairs=10)
    pairs = sampler.pairs()
    first = sum(one.version == ORIGINAL for one, _ in pairs)
    assert 0.4 < first / len(pairs) < 0.6
    assert all(one.drawing != other.drawing for one, other in pairs)
    assert len({one.drawing for one, _ in pairs}) > len(pairs) // 2


def test_no_version_is_sampled_just_behind_itself() -> None:
    """What is sampled ahead of a pair for that is not kept, not slowed, not checked."""
    sampler = Scripted()
    taken = take(sampler, watch(), seed=1, n_rounds=20, n_pairs=10)
    ends = [*sampler.begun[1:], len(sampler.turns)]
    ahead, kept = [], []
    for begin, end in zip(sampler.begun, ends, strict=True):
        ahead += range(begin, end - 2)
        kept += range(end - 2, end)
    turns = sampler.turns
    assert all(turns[n].version != turns[n - 1].version for n in kept)
    assert len(sampler.turns) == 2 * 18 * 20 + len(ahead)
    assert 20 <= len(ahead) < 18 * 20 // 2
    assert not any(turns[n].slowed or turns[n].check for n in ahead)
    assert sum(map(len, taken.rounds + taken.control + taken.slowed)) == 18 * 20


def test_one_pair_a_round_is_checked_and_which_is_not_the_seeds_to_say() -> None:
    where = []
    for _ in range(2):
        sampler = Scripted()
        take(sampler, watch(), seed=1, n_rounds=20, n_pairs=10)
        checked = [i for i, turn in enumerate(sampler.turns) if turn.check]
        assert len(checked) == 20
        assert all(sampler.turns[i].version == CANDIDATE for i in checked)
        where.append(checked)
    other = Scripted()
    draws = random.Random(10)
    elsewhere = watch()
    take(
        other,
        Watch(
            on_round=elsewhere.on_round, disturbance=elsewhere.disturbance,
            may_go_on=elsewhere.may_go_on, now=elsewhere.now, draw=draws.randrange,
        ),
        seed=1, n_rounds=20, n_pairs=10,
    )  # fmt: skip
    assert where[0] == where[1]
    assert [i for i, turn in enumerate(other.turns) if turn.check] != where[0]


def test_a_disturbed_round_is_taken_again_whatever_it_read() -> None:
    asked_before_the_first = [None]
    sampler = Scripted()
    script = [*asked_before_the_first, None, "another process came", None]
    taken = take(sampler, watch(script), seed=1, n_rounds=4, n_pairs=2)
    assert taken.retaken == ["another process came"]
    assert [len(pairs) for pairs in taken.dropped] == [2]
    assert len(taken.rounds) == 4
    assert len(sampler.rounds) == 5


def test_a_device_that_is_always_disturbed_is_measured_and_said() -> None:
    taken = take(Scripted(), watch(["it throttles"] * 99), seed=1, n_rounds=4, n_pairs=2)
    assert len(taken.rounds) == 4
    assert taken.retaken
    assert "kept though disturbed: it throttles" in taken.notes


@pytest.mark.parametrize(
    ("candidate_us", "spread", "n_rounds"),
    [(100.0, 0.002, 20), (97.0, 0.002, 20), (100 / 1.02, 0.002, 80), (97.0, 0.035, 40)],
)
def test_rounds_are_added_while_undecided(
    candidate_us: float, spread: float, n_rounds: int
) -> None:
    taken = take(Scripted(candidate_us, spread), watch(), seed=1, n_rounds=20, n_pairs=10)
    assert len(taken.rounds) == len(taken.control) == len(taken.slowed) == n_rounds


def test_rounds_are_not_added_without_time_or_below_the_first_look() -> None:
    edge = 100 / 1.02
    taken = take(Scripted(edge), watch(may_go_on=False), seed=1, n_rounds=20, n_pairs=10)
    assert len(taken.rounds) == 20
    assert taken.notes == ["undecided after 20 rounds, and no time for more"]
    assert len(take(Scripted(edge), watch(), seed=1, n_rounds=3, n_pairs=2).rounds) == 3


def test_a_control_that_says_nothing_leads_to_the_first_look() -> None:
    """A search takes few rounds; a small shape must not make its candidate's device noisy."""
    taken = take(Scripted(spread=0.2), watch(), seed=1, n_rounds=10, n_pairs=5)
    assert len(taken.slowed) == 20
    assert len(take(Scripted(), watch(), seed=1, n_rounds=10, n_pairs=5).rounds) == 10


def test_the_looks_share_one_alpha() -> None:
    """Integrated for normal scores: any look errs with 5 %, against 11 % if each had 5 %."""
    assert any_look_misses(CLAIM_ALPHA, 201) == pytest.approx(0.05, abs=2e-4)
    assert any_look_misses(0.05, 201) > 0.11


@pytest.mark.parametrize("device", ["quiet", "drifting", "shared", "clinging"])
def test_simulated_devices_are_judged_rightly(device: str) -> None:
    """A small part of `benchmarks/results/timing_noise.md`."""
    same = [once(device, 1.0, seed) for seed in range(60)]
    assert {outcome.verdict for outcome in same} == {"SAME"}
    assert sum(outcome.covered for outcome in same) >= 50  # 57 expected; 49 once in 3000
    for ratio, verdict in ((1.03, "FASTER"), (1 / 1.03, "SLOWER")):
        found = [once(device, ratio, 100 + seed).verdict for seed in range(20)]
        assert found.count(verdict) >= 19
