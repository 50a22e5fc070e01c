"""Races are told from what only looks like one, on the real interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import warm
from whet_evaluator.worker.differential.tickets import Tickets

RACES = {
    "same_slot_other_value": "writes an element that program 1 writes",
    "added_without": "writes an element that program 1 reads",
    "zeroed_by_the_first": "program 0 writes an element that program 1 updates",
    "summed_after_a_relaxed_count": "program 0 writes an element that program 3 reads",
    "added_within_the_block": "program 0 writes an element that program 1 writes",
    "added_under_a_lock_tried_once": "program 0 writes an element that program 1 reads",
    "handed_on_behind_a_flag_read_once": "program 0 writes an element that program 1 reads",
    "shifted_in_place": "program 1 writes an element that program 0 reads",
    "tiles_drawn_and_added_without": "program 0 writes an element that program 1 reads",
    "added_without_between_two_draws": "program 0 writes an element that program 1 reads",
}
HONEST = (
    "own_slots", "same_slot_same_value", "added_by_atomics", "added_under_a_lock",
    "handed_on_behind_a_flag", "handed_on_behind_a_swapped_flag", "summed_by_swaps",
    "done_by_the_first_to_come", "read_by_the_last_atomically",
    "summed_by_the_last", "summed_and_reset_by_the_last", "masked_apart",
    "tiles_drawn_into_own_slots", "tiles_drawn_and_added_by_atomics",
    "tiles_drawn_and_added_under_a_lock", "added_in_the_order_of_tickets",
    "slots_drawn_by_some_more_often",
)  # fmt: skip


WATCHED = (
    "added_under_a_lock", "handed_on_behind_a_flag", "handed_on_behind_a_swapped_flag",
    "summed_by_swaps", "done_by_the_first_to_come", "read_by_the_last_atomically",
)  # fmt: skip


@pytest.fixture(scope="module")
def answers():
    return warm.run_file(Path(__file__).with_name("racing.py"))


@pytest.fixture(scope="module")
def said(answers):
    """By kernel, what was said of it with four programs."""
    return {
        name.removesuffix(" 4"): sentence
        for name, sentence in answers.items()
        if name.endswith(" 4")
    }


@pytest.mark.parametrize("kernel", RACES)
def test_a_race_is_named(said, kernel):
    assert RACES[kernel] in said[kernel]
    assert f"of {kernel}, and no atomic orders them" in said[kernel]


@pytest.mark.parametrize("kernel", HONEST)
def test_what_atomics_order_or_equal_values_allow_is_no_race(said, kernel):
    assert said[kernel] == ""


@pytest.mark.parametrize("kernel", WATCHED)
def test_a_kernel_shown_contention_makes_what_it_should(answers, kernel):
    assert answers[f"{kernel} made"]


def test_every_kernel_is_asked_for(said):
    assert set(said) == {*RACES, *HONEST}


def test_who_does_not_draw_in_turns_is_shown_what_the_counter_holds():
    tickets = Tickets(n_programs=2, program=0)
    # A plain store put it back to an odd number meanwhile: nothing tells that here.
    assert [tickets.draw(64, 2, before) for before in (0, 2, 7)] == [0, 2, 7]
    in_turns = Tickets(n_programs=2, in_turns=True, program=1)
    assert [in_turns.draw(64, 2, before) for before in (0, 2, 4)] == [2, 6, 10]
