"""The policy by itself: states in, decisions out. No loop, no clock, no files."""

from __future__ import annotations

import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.events import (
    Answered,
    Asked,
    BaselineRecorded,
    CallFailed,
    CancelRequested,
    Confirmed,
    Created,
    Interrupted,
    Judged,
    Opened,
    Proposed,
    Resumed,
    Screened,
    Started,
    Ticked,
)
from whet_agent.search.fold import apply
from whet_agent.search.policy import MAX_JUDGES, Stop, decide
from whet_agent.search.starts import StartAsk, StartConfirm, StartJudge, StartOpen
from whet_agent.search.state import ORIGINAL, Trajectory, Turn
from whet_agent.search.turns import plan
from whet_agent.testing.doubles import baseline, broken_verdict, counted_verdict, interpreter_facts
from whet_evaluator.worker.launch_records import Compiled


class Story:
    """A journal written by hand: each method appends events and returns itself."""

    def __init__(self, **policy) -> None:
        policy.setdefault("iterations", 9)
        self.at = 0.0
        self.state, self.applied = None, 0
        self.events = [Created(run="r1", task=world.task(**policy), at=0.0)]

    def opened(self, recorded=None):
        self.events += [
            Started(id="open", work="open", at=self.at),
            Opened(id="open", facts=interpreter_facts(), at=self.at),
            Started(id="record", work="record", at=self.at),
            BaselineRecorded(id="record", recorded=recorded or baseline(), at=self.at),
        ]
        return self

    def swept(self, *texts):
        self.events.append(Started(id="sweep", work="sweep", at=self.at))
        self.events += [
            self._proposed("sweep", f"s{index}", "sweep", "launch", text)
            for index, text in enumerate(texts)
        ]
        self.events.append(Screened(id="sweep", at=self.at))
        return self

    def asked(self, name, usd=0.01):
        self.events += [
            Started(id=name, work="ask", at=self.at),
            Asked(id=name, role="generator", reserved_usd=usd, prompt_tokens_bound=10, at=self.at),
        ]
        return self

    def answered(self, name):
        self.events.append(
            Answered(
                id=name,
                role="generator",
                text="reply",
                finish_reason="stop",
                prompt_tokens=1,
                completion_tokens=1,
                usd=0.001,
                at=self.at,
            )
        )
        return self

    def proposed(self, turn, *texts, label="memory"):
        self.events += [
            self._proposed(f"{turn}.screen", f"{turn}.{letter}", "model", label, text)
            for letter, text in zip("abcdefgh", texts, strict=False)
        ]
        self.events.append(Screened(id=f"{turn}.screen", at=self.at))
        return self

    def judged(self, candidate, verdict):
        self.events.append(
            Judged(
                id=f"{candidate}.judge",
                candidate=candidate,
                verdict=verdict,
                stage_s={},
                at=self.at,
            )
        )
        return self

    def turn(self, name, verdict, label="memory"):
        """A whole turn of one candidate."""
        call = f"{name}.generator"
        self.asked(call).answered(call).proposed(name, f"text {name}", label=label)
        return self.judged(f"{name}.a", verdict)

    def tell(self, *events):
        self.events += events
        return self

    def search(self):
        for event in self.events[self.applied :]:
            self.state = apply(self.state, event)
        self.applied = len(self.events)
        return self.state

    def decide(self):
        return decide(self.search(), world.BRIEF)

    def _proposed(self, work, name, origin, label, text):
        return Proposed(
            id=work, candidate=name, parent=ORIGINAL, origin=origin, label=label, strategy="",
            text=text, syntax_hash=text, at=self.at,
        )  # fmt: skip


def kinds(decision):
    return [type(start) for start in decision]


def ids(decision):
    return [start.id for start in decision]


def test_a_run_begins_by_opening_and_waits_for_it():
    story = Story()
    assert kinds(story.decide()) == [StartOpen]
    assert story.tell(Started(id="open", work="open", at=0.0)).decide() == ()


def test_lost_work_is_begun_again_under_another_name():
    story = Story().tell(
        Started(id="open", work="open", at=0.0), Interrupted(id="open", at=1.0), Resumed(at=1.0)
    )
    assert ids(story.decide()) == ["open~2"]


def test_sweep_variants_are_judged_a_few_at_a_time_before_any_model_call():
    story = Story(sweep=True).opened().swept(*"abcdefg")
    decision = story.decide()
    assert kinds(decision) == [StartJudge] * MAX_JUDGES
    for start in decision:
        story.tell(Started(id=start.id, work="judge", at=0.0))
    assert story.decide() == ()
    story.judged("s0", broken_verdict())
    assert ids(story.decide()) == ["s4.judge"]


def test_after_the_sweep_its_best_is_confirmed_beside_the_first_model_call():
    story = Story(sweep=True).opened().swept("a", "b")
    story.judged("s0", counted_verdict(500)).judged("s1", counted_verdict(900))
    assert kinds(story.decide()) == [StartConfirm, StartAsk]
    assert ids(story.decide())[0] == "s0.confirm"


def test_trajectories_start_together_and_share_the_budget():
    story = Story(trajectories=3).opened()
    assert ids(story.decide()) == ["t0.1.generator", "t1.1.generator", "t2.1.generator"]
    each = story.decide()[0].reserved_usd
    tight = Story(trajectories=3, max_usd=2.5 * each).opened()
    assert ids(tight.decide()) == ["t0.1.generator", "t1.1.generator"]
    none = Story(trajectories=3, max_usd=0.5 * each).opened().decide()
    assert isinstance(none, Stop)
    assert none.reason == "money"


def test_what_is_reserved_counts_until_the_call_ends():
    each = Story().opened().decide()[0].reserved_usd
    story = Story(trajectories=2, max_usd=1.5 * each).opened().asked("t0.1.generator", each)
    assert story.decide() == ()
    story.answered("t0.1.generator")
    assert "t1.1.generator" in ids(story.decide())


@pytest.mark.parametrize(("billed", "spent"), [(True, 0.01), (False, 0.0)])
def test_a_failed_call_is_spent_only_if_it_may_have_been_billed(billed, spent):
    story = Story().opened().asked("t0.1.generator", 0.01)
    story.tell(
        CallFailed(
            id="t0.1.generator", role="generator", sentence="Busy.", fatal=False, retryable=True,
            retry_after_s=9.0, billed=billed, at=0.0,
        )
    )  # fmt: skip
    assert story.search().spent_usd == spent
    again = story.decide()[0]
    assert (again.id, again.delay_s) == ("t0.1.generator~2", 9.0)


def test_back_off_doubles():
    story = Story().opened()
    delays = []
    for attempt in ("", "~2", "~3", "~4"):
        name = f"t0.1.generator{attempt}"
        delays.append(story.decide()[0].delay_s)
        story.asked(name).tell(
            CallFailed(
                id=name, role="generator", sentence="Busy.", fatal=False, retryable=True, at=0.0
            )
        )
    assert delays == [0.0, 1.0, 2.0, 4.0]


def test_cancel_stops_whatever_is_in_flight():
    story = Story().opened().asked("t0.1.generator").tell(CancelRequested(at=1.0))
    decision = story.decide()
    assert isinstance(decision, Stop)
    assert decision.reason == "cancelled"


def test_the_deadline_gives_up_calls_but_confirms_the_leader_first():
    story = Story(max_seconds=10.0, trajectories=2).opened().asked("t1.1.generator")
    story.turn("t0.1", counted_verdict(500))
    story.tell(Ticked(at=10.0))
    assert ids(story.decide()) == ["t0.1.a.confirm"]
    story.tell(Started(id="t0.1.a.confirm", work="confirm", at=10.0))
    assert story.decide() == ()
    story.tell(
        Confirmed(id="t0.1.a.confirm", candidate="t0.1.a", verdict=counted_verdict(500), at=11.0)
    )
    decision = story.decide()
    assert isinstance(decision, Stop)
    assert (decision.reason, decision.best) == ("time", "t0.1.a")


def test_time_between_a_stop_and_a_resume_does_not_count():
    story = Story(max_seconds=10.0).opened().asked("t0.1.generator")
    story.tell(Ticked(at=4.0), Interrupted(id="t0.1.generator", at=5000.0), Resumed(at=5000.0))
    assert story.search().active_s == 4.0
    story.tell(Ticked(at=5003.0))
    assert story.search().active_s == 7.0


def test_screening_repeated_after_a_kill_changes_nothing():
    story = Story().opened().asked("t0.1.generator").answered("t0.1.generator")
    story.proposed("t0.1", "x", "y")
    once = story.search()
    again = story.proposed("t0.1", "x", "y").search()
    assert again == once


def test_the_parent_is_the_best_or_the_best_of_another_label():
    story = Story(iterations=400).opened()
    story.turn("t0.1", counted_verdict(900), label="fusion")
    story.turn("t0.2", counted_verdict(500), label="memory")
    chosen = []
    for number in range(3, 200):
        chosen.append(plan(story.search(), 0).parent)
        story.turn(f"t0.{number}", counted_verdict(5000), label="memory")
    assert set(chosen) == {"t0.2.a", "t0.1.a"}
    assert 0.6 < chosen.count("t0.2.a") / len(chosen) < 0.8
    turns = story.search().trajectories[0].turns
    assert chosen == [turn.parent for turn in turns[2:]], "the journal chooses as the plan did"


def test_other_trajectories_do_not_change_a_choice():
    alone = Story(trajectories=2).opened().turn("t0.1", counted_verdict(900))
    beside = Story(trajectories=2).opened().turn("t1.1", counted_verdict(10))
    beside.turn("t0.1", counted_verdict(900))
    assert plan(alone.search(), 0) == plan(beside.search(), 0)


def test_the_original_is_always_an_ancestor():
    story = Story(ancestors=2).opened()
    for number in range(1, 5):
        story.turn(f"t0.{number}", counted_verdict(1000 - 100 * number))
    story.tell(
        Confirmed(id="c", candidate="t0.4.a", verdict=counted_verdict(600), at=0.0),
    )
    ask = next(start for start in story.decide() if isinstance(start, StartAsk))
    shown = [one.candidate for one in ask.context.ancestors]
    assert shown == [ORIGINAL, "t0.3.a", "t0.4.a"], "ascending: the best comes last"


def test_a_tie_that_only_estimates_break_does_not_replace_the_original_as_parent():
    def compiled(instructions):
        return (Compiled(kernel="kernel", arch="gfx942", instructions=instructions),)

    story = Story(sweep=True).opened(baseline(compiled=compiled(100))).swept("smaller block")
    story.judged("s0", counted_verdict(1000, compiled=compiled(10)))
    parents = [plan_for(story, number).parent for number in range(1, 40)]
    assert parents.count(ORIGINAL) > parents.count("s0"), "the tie is only the other label"


def plan_for(story, number):
    """The plan as it would be in turn `number`, were the turns before abandoned."""
    search = story.search()
    turn = Turn(
        trajectory=0, number=1, parent=ORIGINAL, debug_of=None, is_debug=False, abandoned=True
    )
    turns = tuple(attrs.evolve(turn, number=n) for n in range(1, number))
    return plan(attrs.evolve(search, trajectories=(Trajectory(turns=turns),)), 0)
