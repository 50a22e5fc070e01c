"""What the policy guarantees whatever the model's luck, on the simulated model's dice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import policy_simulation
import simulated_runs

SHARES = st.floats(0.0, 1.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    usable=SHARES,
    compiles=SHARES,
    correct=SHARES,
    fixed=SHARES,
    cap=st.integers(0, 6),
    trajectories=st.integers(1, 4),
    max_usd=st.floats(0.0, 1.0),
)
def test_no_trap_is_endless_and_no_budget_is_passed(
    seed, usable, compiles, correct, fixed, cap, trajectories, max_usd
):
    dice = simulated_runs.Dice(
        p_usable=usable,
        p_compiles=compiles,
        p_correct_given_compiles=correct,
        p_fixed_given_trace=fixed,
    )
    policy = policy_simulation.policy(
        iterations=6, max_perf_debug_num=cap, trajectories=trajectories, max_usd=max_usd
    )
    outcome = simulated_runs.simulate(policy, dice, seed)
    assert outcome.longest_debug_row <= cap
    assert outcome.max_committed_usd <= max_usd + 1e-9
    assert outcome.turns <= 6 * trajectories
    assert outcome.ratio >= 1.0, "never slower than the original"


def test_the_whole_budget_of_turns_is_used():
    outcome = simulated_runs.simulate(
        policy_simulation.policy(iterations=20), simulated_runs.Dice(), seed=1
    )
    assert outcome.turns == 20


@pytest.mark.parametrize(
    ("fewer", "more"),
    [({"iterations": 2}, {"iterations": 16}), ({"trajectories": 1}, {"trajectories": 8})],
)
def test_more_turns_and_more_trajectories_find_more(fewer, more):
    def share(changes):
        policy = policy_simulation.policy(**{"iterations": 4, **changes})
        runs = [simulated_runs.simulate(policy, simulated_runs.Dice(), seed) for seed in range(40)]
        return sum(run.found_correct for run in runs)

    assert share(more) > share(fewer)
