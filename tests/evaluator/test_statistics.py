"""Verdicts from samples: against scipy, by properties, and by simulation of bad devices."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from whet_evaluator.statistics import analyse, judge, next_look, t_quantile
from whet_evaluator.worker.intervals import (
    CLAIM_ALPHA,
    SHOWN_ALPHA,
    ZONE,
    Estimate,
    combined,
    is_undecided,
)
from whet_evaluator.worker.records import Case, Timing

Rounds = tuple[tuple[tuple[float, float], ...], ...]


@pytest.mark.parametrize("df", [1, 2, 5, 19, 39, 79, 400])
@pytest.mark.parametrize("p", [0.5, 0.9, 0.975, 0.99, 1 - 0.05 / 6, 0.9999])
def test_t_quantile_agrees_with_scipy(p: float, df: int) -> None:
    assert t_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("p", "df"), [(0.4, 10), (1.0, 10), (0.9, 0.5)])
def test_t_quantile_refuses_what_it_cannot(p: float, df: float) -> None:
    with pytest.raises(ValueError, match="no quantile"):
        t_quantile(p, df)


def timing(*cases: Rounds, control: Rounds | None = None, slowed: Rounds | None = None) -> Timing:
    quiet = simulate("quiet", 1.0, seed=99)
    slow = simulate("quiet", 1 / 1.05, seed=98)
    return Timing(
        cases=tuple(
            Case(
                name=f"case {i}",
                method="events",
                state="cold",
                seed=i,
                rounds=rounds,
                control=quiet if control is None else control,
                slowed=slow if slowed is None else slowed,
                slowed_by=0.05,
            )
            for i, rounds in enumerate(cases)
        ),
        environment={},
    )


def simulate(
    noise: str, speedup: float, seed: int, n_rounds: int = 20, n_pairs: int = 10
) -> Rounds:
    """Pairs in random order on a device that is quiet, drifts, or is shared with others."""
    generator = random.Random(seed)
    clock, rounds, busy = 1.0, [], 0

    def sample(true_us: float) -> float:
        nonlocal clock, busy
        factor = math.exp(generator.gauss(0, 0.004))
        if noise == "drift":
            clock *= 1.0004
        if noise == "shared":
            busy = (
                busy - 1
                if busy
                else (generator.randrange(2, 12) if generator.random() < 0.04 else 0)
            )
            factor *= 1.4 if busy else 1.0
        return true_us * clock * factor

    for _ in range(n_rounds):
        pairs = []
        for _ in range(n_pairs):
            if generator.random() < 0.5:
                a = sample(100.0)
                b = sample(100.0 / speedup)
            else:
                b = sample(100.0 / speedup)
                a = sample(100.0)
            pairs.append((a, b))
        rounds.append(tuple(pairs))
    return tuple(rounds)


@pytest.mark.parametrize("noise", ["quiet", "drift", "shared"])
def test_coverage_and_false_claims(noise: str) -> None:
    """The interval holds the truth at least 95 times in 100; equal speeds are never a win."""
    n, speedup = 200, 1.05
    covered = claims = 0
    for seed in range(n):
        measured = analyse(timing(simulate(noise, speedup, seed)))
        covered += measured.low <= speedup <= measured.high
        claims += analyse(timing(simulate(noise, 1.0, 10_000 + seed))).verdict == "FASTER"
    assert covered / n >= 0.95
    assert claims == 0


@pytest.mark.parametrize(
    ("speedup", "verdict"), [(1.27, "FASTER"), (0.8, "SLOWER"), (1.0, "SAME"), (1.02, "AMBIGUOUS")]
)
def test_verdicts_of_a_quiet_device(speedup: float, verdict: str) -> None:
    measured = analyse(timing(simulate("quiet", speedup, 1)))
    assert measured.verdict == verdict
    assert measured.low < measured.ratio < measured.high
    assert measured.control_ok


def test_a_biased_control_makes_the_device_noisy() -> None:
    measured = analyse(timing(simulate("quiet", 1.2, 1), control=simulate("quiet", 1.03, 2)))
    assert not measured.control_ok


def test_without_a_control_nothing_is_controlled() -> None:
    assert not analyse(timing(simulate("quiet", 1.2, 1), control=())).control_ok


def test_a_slowed_control_that_reads_same_makes_the_device_noisy() -> None:
    blind = analyse(timing(simulate("quiet", 1.2, 1), slowed=simulate("quiet", 1.0, 3)))
    assert not blind.control_ok
    assert "slowed by 5% reads SAME" in blind.noise[0]
    assert not analyse(timing(simulate("quiet", 1.2, 1), slowed=())).control_ok


def test_a_regressing_case_is_shown_though_the_mean_improves() -> None:
    measured = analyse(timing(simulate("quiet", 2.0, 1), simulate("quiet", 0.9, 2)))
    assert measured.verdict == "FASTER"
    assert measured.ratio == pytest.approx(math.sqrt(2.0 * 0.9), rel=0.01)
    assert [case.name for case in measured.regressions] == ["case 1"]
    assert not measured.suspicious


def test_more_than_ten_times_is_suspicious() -> None:
    assert analyse(timing(simulate("quiet", 12.0, 1))).suspicious


def test_no_time_at_all_is_refused() -> None:
    rounds = (((100.0, 50.0), (100.0, 0.0)), ((100.0, 50.0),))
    with pytest.raises(ValueError, match="zero or negative"):
        analyse(timing(rounds))


def test_nothing_timed_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="no GPU here"):
        analyse(Timing(cases=(), environment={}, not_timed=("no GPU here",)))


def test_looks_share_one_alpha() -> None:
    """Measuring on while ambiguous, three looks in all, still claims at most 5 in 100."""
    claims = 0
    for seed in range(200):
        rounds = simulate("shared", 1.02, seed, n_rounds=80)
        n: int | None = 20
        while n is not None:
            verdict = analyse(timing(rounds[:n])).verdict
            if verdict != "AMBIGUOUS":
                claims += verdict == "FASTER"
                break
            n = next_look(n)
    assert claims / 200 <= 0.05
    assert (next_look(20), next_look(40), next_look(80)) == (40, 80, None)


positive = st.floats(min_value=1.0, max_value=1e4)
rounds_strategy = st.lists(
    st.lists(st.tuples(positive, positive), min_size=1, max_size=5).map(tuple),
    min_size=2,
    max_size=10,
).map(tuple)


@given(rounds_strategy)
def test_swapping_the_versions_inverts_the_ratio(rounds: Rounds) -> None:
    there = analyse(timing(rounds))
    back = analyse(timing(tuple(tuple((b, a) for a, b in pairs) for pairs in rounds)))
    assert back.ratio == pytest.approx(1 / there.ratio, rel=1e-9)
    assert back.low == pytest.approx(1 / there.high, rel=1e-6)


@given(rounds_strategy, st.floats(min_value=0.01, max_value=100.0))
def test_units_do_not_matter(rounds: Rounds, factor: float) -> None:
    scaled = tuple(tuple((a * factor, b * factor) for a, b in pairs) for pairs in rounds)
    assert analyse(timing(scaled)).ratio == pytest.approx(analyse(timing(rounds)).ratio, rel=1e-6)


@given(rounds_strategy, st.randoms())
def test_order_of_rounds_does_not_matter(rounds: Rounds, generator: random.Random) -> None:
    shuffled = list(rounds)
    generator.shuffle(shuffled)
    assert analyse(timing(tuple(shuffled))).low == pytest.approx(
        analyse(timing(rounds)).low, rel=1e-9
    )


@given(st.floats(min_value=0.01, max_value=100), st.floats(min_value=1.0, max_value=100))
def test_every_interval_has_one_verdict(low: float, width: float) -> None:
    verdict = judge(low, low * width)
    assert (verdict == "FASTER") == (low > 1.02)
    assert (verdict == "SLOWER") == (low * width < 1 / 1.02)


estimates = st.builds(
    Estimate,
    mean=st.floats(min_value=-2, max_value=2),
    error=st.floats(min_value=1e-6, max_value=0.5),
    df=st.integers(min_value=1, max_value=79),
)


@given(estimates)
def test_what_is_shown_lies_within_what_is_claimed(one: Estimate) -> None:
    shown, claimed = one.bounds(SHOWN_ALPHA), one.bounds(CLAIM_ALPHA)
    assert claimed[0] <= shown[0] <= one.ratio <= shown[1] <= claimed[1]
    if one.verdict == "FASTER":
        assert shown[0] > ZONE
    if one.verdict == "SLOWER":
        assert shown[1] < 1 / ZONE


@given(estimates)
def test_one_case_is_its_own_mean(one: Estimate) -> None:
    alone = combined([one])
    assert alone.mean == pytest.approx(one.mean)
    assert alone.error == pytest.approx(one.error)
    assert alone.df == pytest.approx(one.df)


@given(st.lists(estimates, min_size=1, max_size=6), st.randoms())
def test_the_mean_lies_between_its_cases_in_any_order(
    several: list[Estimate], generator: random.Random
) -> None:
    mean = combined(several)
    ratios = [one.ratio for one in several]
    assert min(ratios) * (1 - 1e-9) <= mean.ratio <= max(ratios) * (1 + 1e-9)
    assert mean.error <= max(one.error for one in several) * (1 + 1e-9)
    assert min(one.df for one in several) * (1 - 1e-9) <= mean.df
    assert mean.df <= sum(one.df for one in several) * (1 + 1e-9)
    shuffled = list(several)
    generator.shuffle(shuffled)
    assert combined(shuffled).mean == pytest.approx(mean.mean, abs=1e-9)


@given(rounds_strategy)
def test_only_an_ambiguous_measurement_goes_on(rounds: Rounds) -> None:
    measured = analyse(timing(rounds))
    assert is_undecided(rounds) == (measured.verdict == "AMBIGUOUS")
    assert is_undecided(simulate("quiet", 1.0, 1), rounds) == is_undecided(rounds)


def test_cases_of_unequal_length_all_count() -> None:
    """A case that was measured for longer is not cut to the shortest."""
    long, short = simulate("quiet", 1.1, 1, n_rounds=80), simulate("quiet", 1.1, 2, n_rounds=20)
    measured = analyse(timing(long, short))
    assert [case.n_rounds for case in measured.cases] == [80, 20]
    width = [math.log(case.high / case.low) for case in measured.cases]
    assert width[0] < width[1]
    assert math.log(measured.high / measured.low) < width[1]
