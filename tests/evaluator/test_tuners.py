"""Which configuration an autotuned kernel runs with, and what tuning does to its arguments."""

from __future__ import annotations

import inspect

import pytest
import torch
from triton import Config
from triton.runtime.autotuner import Autotuner

from whet_evaluator.worker.differential import tuners, turns

ONE_LEFT = 6.0 if "len(pruned_configs) == 1" in inspect.getsource(Autotuner.run) else 12.0
"""What a launch leaves where pruning leaves one configuration: Triton 3.6 benches it all the same."""
BLOCKS = [Config({"BLOCK": block}) for block in (16, 32, 64)]


class Doubling:
    """In place of a kernel: doubles its argument, and notes with what it was launched."""

    def __init__(self):
        self.launches = []
        self.fn = lambda x_ptr, n, BLOCK: None  # noqa: N803 - as kernels write it

    def run(self, x, n, **options):
        self.launches.append(options)
        x *= 2


@pytest.fixture(autouse=True)
def _installed(monkeypatch):
    for name in ("prune_configs", "run", "_bench", "do_bench"):
        monkeypatch.setattr(Autotuner, name, Autotuner.__dict__[name])
    tuners.install()
    tuners.turn(0)


def tuner(configs=BLOCKS, key=("n",), **more):
    more = {"reset_to_zero": None, "restore_value": None, **more}
    return Autotuner(Doubling(), ["x_ptr", "n", "BLOCK"], list(configs), list(key), **more)


def launched(made, value=3.0, n=1):
    x = torch.full((1,), value)
    made.run(x, n)
    return x.item()


def test_each_case_runs_another_configuration_once_and_untimed():
    made = tuner()
    for turn in range(3):
        tuners.turn(turn)
        assert [launched(made), launched(made)] == [6.0, 6.0]
    blocks = [options["BLOCK"] for options in made.fn.launches]
    assert blocks[::2] == blocks[1::2]
    assert sorted(blocks[::2]) == [16, 32, 64]


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ({}, 24.0),
        ({"restore_value": ["x_ptr"]}, 6.0),
        ({"reset_to_zero": ["x_ptr"]}, 0.0),
        ({"configs": BLOCKS[:1]}, 6.0),
        ({"prune_configs_by": {"early_config_prune": lambda all_, *_, **__: all_[:1]}}, ONE_LEFT),
        ({"configs": [Config({"BLOCK": b}, pre_hook=lambda a: a["x_ptr"].fill_(5.0)) for b in (1, 2)]}, 10.0),
        ({"pre_hook": lambda a, reset_only=False: a["x_ptr"].fill_(1.0)}, 2.0),
        ({"post_hook": lambda a, exception: a["x_ptr"].fill_(4.0)}, 8.0),
    ],
    ids=["nothing put back", "restored", "zeroed", "one", "pruned to one", "configuration's hook",
         "own hook before", "own hook after"],
)  # fmt: skip
def test_tuning_leaves_what_tritons_own_would(more, left):
    made = tuner(**more)
    with tuners.tuned():
        assert launched(made) == left


def test_tuning_happens_once_for_a_key_and_is_counted():
    made, before = tuner(), tuners.n_tunings()
    with tuners.tuned():
        assert [launched(made, n=n) for n in (1, 1, 2)] == [24.0, 6.0, 24.0]
        assert tuners.n_tunings() == before + 4
    with tuners.tuned():
        assert launched(made) == 24.0
    assert launched(made) == 6.0
    assert {options["BLOCK"] for options in made.fn.launches} == {16}


def test_a_bench_of_a_single_configuration_launches_nothing():
    """Triton 3.6 benches those too."""
    made = tuner()
    assert set(made._bench(torch.ones(1), 1, config=BLOCKS[0])) == {0.0}
    assert made.fn.launches == []


def test_a_clock_of_the_kernels_own_is_not_asked():
    made = tuner(do_bench=lambda *_, **__: pytest.fail("timed"))
    with tuners.tuned():
        launched(made)


def test_configurations_that_compute_something_else_come_first():
    configs = [Config({"BLOCK": b}, num_warps=w) for b in (16, 32, 64, 128) for w in (1, 2, 4)]
    order = tuners.ordered(configs)
    assert set(order) == set(configs)
    for start in range(0, 12, 4):
        assert {one.kwargs["BLOCK"] for one in order[start : start + 4]} == {16, 32, 64, 128}


@pytest.mark.parametrize("n_bad", [4, 8])
def test_no_part_of_a_long_list_is_late_as_a_whole(n_bad):
    configs = [Config({"BLOCK": number}) for number in range(60)]
    order = [one.kwargs["BLOCK"] for one in tuners.ordered(configs)]
    for start in range(0, 60 - n_bad, n_bad):
        assert set(order[: 2 * 60 // n_bad]) & set(range(start, start + n_bad))


def test_launchers_that_alternate_take_turns_of_their_own():
    made = [{"call": {"launcher": name}} for name in ("a", "b", "a", "b", "a")]
    turns.take(made)
    assert [case["turn"] for case in made] == [0, 0, 1, 1, 2]


def test_more_configurations_than_cases_have_a_turn_each():
    made = [
        {"id": f"c{n}", "name": "f", "elements": 9 - n, "call": {"launcher": "f"}} for n in range(4)
    ]
    turns.take(made)
    judged = [(case, {"hard": True}) for case in made[:3]] + [(made[3], {"hard": False})]
    ran = turns.by_launcher(judged)["f"]
    more = [turns.turned(ran, turn, 7) for turn in turns.not_met(ran, 7)]
    assert [case["turn"] for case in more] == [3, 4, 5, 6]
    assert {case["elements"] for case in more} == {7}
    assert more[0]["name"] == "f, configuration 4 of 7"
    assert len({case["id"] for case in more}) == 4
    assert list(turns.not_met(ran, 3)) == list(turns.not_met(ran, 0)) == []
    assert next(turns.not_met(ran, 10**12)) == 3
