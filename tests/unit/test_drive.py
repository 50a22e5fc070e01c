"""The loop end to end: the real fold, policy, journal and shell; only the world is scripted."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.drive import create, drive
from whet_agent.events import (
    Answered,
    Asked,
    CallFailed,
    Finished,
    Judged,
    Opened,
    Proposed,
    Rejected,
    Resumed,
    Started,
)
from whet_agent.ports import ModelError, SystemClock
from whet_agent.report import finished_json, summarise
from whet_agent.search.fold import replay
from whet_agent.store.journal import Journal
from whet_agent.testing.doubles import (
    ManualClock,
    ScriptedEvaluator,
    ScriptedModel,
    baseline,
    broken_verdict,
    counted_verdict,
    device_facts,
    interpreter_facts,
    passed,
    red,
    timed_verdict,
    timing,
    wrong_verdict,
)
from whet_agent.work import RETRY_AFTER_S
from whet_evaluator.errors import EvaluatorError

VERDICTS = {
    "broken": broken_verdict(),
    "wrong": wrong_verdict(),
    "good": counted_verdict(500),
    "better": counted_verdict(400),
    "worse": counted_verdict(2000),
    "same": counted_verdict(1000),
}


def finished(events) -> Finished:
    assert isinstance(events[-1], Finished)
    return events[-1]


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def prompts(model: ScriptedModel) -> list[str]:
    return ["\n".join(message.content for message in prompt) for prompt in model.prompts]


# ---- what a run keeps --------------------------------------------------------------------


async def test_broken_then_wrong_then_correct_is_kept(tmp_path):
    replies = [world.fence(text) for text in ("broken", "wrong", "good", "worse")]
    model = ScriptedModel(replies)
    search, events = await world.run(
        tmp_path, world.task(iterations=4), model=model, evaluator=ScriptedEvaluator(VERDICTS)
    )
    end = finished(events)
    assert end.reason == "iterations"
    assert search.candidates[end.best].text == "good"
    assert "500 bytes" in end.sentence
    assert "correct, untimed" in end.sentence
    assert replay(events) == search
    assert [event.candidate for event in of(Judged, events)] == [
        "t0.1.a", "t0.2.a", "t0.3.a", "t0.4.a",
    ]  # fmt: skip


async def test_keep_yours_groups_the_reasons_and_never_speaks_of_speed(tmp_path):
    texts = ["worse 1", "worse 2", "broken 1", "same"]
    model = ScriptedModel([world.fence(text) for text in texts])
    evaluator = ScriptedEvaluator(VERDICTS)
    _, events = await world.run(
        tmp_path, world.task(iterations=4), model=model, evaluator=evaluator
    )
    end = finished(events)
    assert end.best is None
    for said in ("Keep yours", "4 tries", "more traffic 2", "compile error 1", "same traffic 1"):
        assert said in end.sentence
    assert "faster" not in end.sentence
    assert "improvement" not in end.sentence
    assert evaluator.confirmed == []


async def test_a_leader_that_fresh_evaluation_does_not_bear_out_is_not_offered(tmp_path):
    model = ScriptedModel([world.fence("better", "good")])
    evaluator = ScriptedEvaluator(
        VERDICTS, confirmations={"better": wrong_verdict(), "good": counted_verdict(500)}
    )
    search, events = await world.run(
        tmp_path, world.task(iterations=1), model=model, evaluator=evaluator
    )
    assert search.candidates[finished(events).best].text == "good"
    assert [candidate.text for candidate in evaluator.confirmed] == ["better", "good"]


async def test_the_users_benchmark_is_recorded_and_timed(tmp_path):
    evaluator = ScriptedEvaluator({"good": counted_verdict(500)})
    task = attrs.evolve(world.task(iterations=1), benchmark="bench.py::run")
    model = ScriptedModel([world.fence("good")])
    await world.run(tmp_path, task, model=model, evaluator=evaluator)
    assert evaluator.benchmarks == ["bench.py::run"]
    asked = [*evaluator.judged, *evaluator.confirmed]
    assert [candidate.benchmark for candidate in asked] == ["bench.py::run"] * 2


async def test_less_traffic_with_new_spills_is_not_offered(tmp_path):
    from whet_evaluator.worker.launch_records import Compiled

    def compiled(spills):
        return (Compiled(kernel="kernel", arch="gfx942", spills=spills, vgprs=64),)

    evaluator = ScriptedEvaluator(
        {"good": counted_verdict(500, compiled=compiled(8))},
        recorded=baseline(compiled=compiled(0)),
    )
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("good")]),
        evaluator=evaluator,
    )
    assert finished(events).best is None
    assert "less traffic at a price 1" in finished(events).sentence


async def test_a_candidate_without_counted_launches_is_not_taken_for_one_without_traffic(tmp_path):
    untouched = counted_verdict(500)
    emptied = type(untouched)(
        tests=untouched.tests, launches=(), compiled=(), timing=untouched.timing
    )
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("kernel dropped")]),
        evaluator=ScriptedEvaluator({"dropped": emptied}),
    )
    assert finished(events).best is None
    assert "correct, untimed 1" in finished(events).sentence


# ---- the sweep ---------------------------------------------------------------------------


async def test_without_a_model_the_sweep_alone_decides(tmp_path):
    search, events = await world.run(
        tmp_path,
        world.task(model=None, sweep=True),
        sweep=("worse", "good", "better", "broken"),
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    assert finished(events).reason == "sweep done"
    assert search.candidates[finished(events).best].text == "better"
    assert search.spent_usd == 0.0


async def test_without_a_model_and_variants_there_is_nothing_to_try(tmp_path):
    _, events = await world.run(tmp_path, world.task(model=None, sweep=True))
    assert finished(events).reason == "nothing to try"
    assert "kernel is launched from another file" in finished(events).sentence
    assert "--model" in finished(events).sentence


async def test_the_model_starts_from_what_the_sweep_found(tmp_path):
    model = ScriptedModel([world.fence("worse")])
    await world.run(
        tmp_path,
        world.task(sweep=True, iterations=1),
        sweep=("good",),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    assert "parent=s0" in prompts(model)[0] or "parent=original" in prompts(model)[0]
    assert "['1,000 bytes counted', '500 bytes counted']" in prompts(model)[0]


# ---- baselines that end a run -------------------------------------------------------------

BASELINES = [
    ("optimize", baseline(tests=(passed("t::a"), red("t::b", "assert 1 == 2"))), "red baseline",
     ("t::b", "assert 1 == 2", "whet fix")),
    ("optimize", baseline(tests=(red("t::b", uncovered="bfloat16"),)), "no tests",
     ("t::b", "bfloat16", "GPU")),
    ("optimize", baseline(launches=()), "no launch recorded",
     ("1 test ran", "tests/test_kernel.py", "--tests")),
    ("optimize", baseline(tests=(red("t::c", uncovered="asm"), passed("t::a"))), "iterations", ()),
    ("fix", baseline(), "already green", ("Nothing to fix", "1 test")),
]  # fmt: skip


@pytest.mark.parametrize(("goal", "recorded", "reason", "said"), BASELINES)
async def test_baselines(tmp_path, goal, recorded, reason, said):
    model = ScriptedModel([world.fence("worse")])
    _, events = await world.run(
        tmp_path,
        world.task(goal=goal, iterations=1),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS, recorded=recorded),
    )
    assert finished(events).reason == reason
    for words in said:
        assert words in finished(events).sentence
    assert bool(model.prompts) == (reason == "iterations")


async def test_no_test_found_is_said(tmp_path):
    recorded = baseline()
    empty = type(recorded)(tests=(), launches=(), compiled=())
    _, events = await world.run(
        tmp_path,
        world.task(),
        model=ScriptedModel([""]),
        evaluator=ScriptedEvaluator({}, recorded=empty),
    )
    assert finished(events).reason == "no tests"
    assert "No test was found in tests/test_kernel.py" in finished(events).sentence


# ---- fix ---------------------------------------------------------------------------------


def red_world():
    return ScriptedEvaluator(
        VERDICTS, recorded=baseline(tests=(passed("t::a"), red("t::b")), launches=())
    )


async def test_fix_ends_with_the_first_correct_candidate_once_confirmed(tmp_path):
    model = ScriptedModel([world.fence("wrong"), world.fence("good"), world.fence("never")])
    evaluator = red_world()
    search, events = await world.run(
        tmp_path, world.task(goal="fix", iterations=9), model=model, evaluator=evaluator
    )
    end = finished(events)
    assert end.reason == "fixed"
    assert search.candidates[end.best].text == "good"
    assert {candidate.nodes for candidate in evaluator.judged} == {("t::a", "t::b")}
    assert len(model.prompts) == 2, "no money after the fix"
    assert "assert 1 == 2" in prompts(model)[0], "the red test is the first failure to explain"
    assert "assert allclose" in prompts(model)[1], "then the attempt's own failure"


async def test_fix_goes_on_when_the_fix_is_not_borne_out(tmp_path):
    model = ScriptedModel([world.fence("good"), world.fence("better")])
    evaluator = ScriptedEvaluator(
        VERDICTS,
        recorded=baseline(tests=(red("t::b"),)),
        confirmations={"good": wrong_verdict(), "better": counted_verdict(1)},
    )
    search, events = await world.run(
        tmp_path, world.task(goal="fix", iterations=5), model=model, evaluator=evaluator
    )
    assert search.candidates[finished(events).best].text == "better"


async def test_fix_without_a_model_says_what_it_needs(tmp_path):
    _, events = await world.run(tmp_path, world.task(goal="fix", model=None), evaluator=red_world())
    assert finished(events).reason == "nothing to try"
    assert "--model" in finished(events).sentence


# ---- turns -------------------------------------------------------------------------------


async def test_debug_turns_are_capped_before_the_first_success(tmp_path):
    model = ScriptedModel(lambda _: world.fence(f"broken {len(model.prompts)}"))
    await world.run(
        tmp_path,
        world.task(iterations=7, max_perf_debug_num=2),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    is_debug = ["debug=CompilationError" in prompt for prompt in prompts(model)]
    assert is_debug == [False, True, True, False, True, True, False]


async def test_an_unusable_reply_feeds_the_next_turn_and_costs_no_evaluation(tmp_path):
    model = ScriptedModel(["I would rather not.", world.fence("good")])
    evaluator = ScriptedEvaluator(VERDICTS)
    _, events = await world.run(
        tmp_path, world.task(iterations=2), model=model, evaluator=evaluator
    )
    assert "The reply holds no code." in prompts(model)[1]
    assert [candidate.text for candidate in evaluator.judged] == ["good"]
    assert [event.reason for event in of(Rejected, events)] == ["The reply holds no code."]


async def test_duplicates_are_dropped_across_trajectories(tmp_path):
    evaluator = ScriptedEvaluator(VERDICTS)
    _search, events = await world.run(
        tmp_path,
        world.task(iterations=2, trajectories=3),
        model=ScriptedModel([world.fence("good")]),
        evaluator=evaluator,
    )
    assert len(evaluator.judged) == 1
    assert len(of(Rejected, events)) == 5
    assert all("duplicate" in event.reason for event in of(Rejected, events))
    assert "duplicate 5" not in finished(events).sentence, "a best was found: it is what is said"


async def test_failed_strategies_stay_in_the_prompt_as_one_line_each(tmp_path):
    replies = [world.fence("worse"), world.fence("broken"), world.fence("good")]
    model = ScriptedModel(replies)
    await world.run(
        tmp_path,
        world.task(iterations=3, max_perf_debug_num=0),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    last = prompts(model)[2]
    assert "memory: do worse - more traffic (2,000 bytes counted)" in last
    assert "memory: do broken - compile error: CompilationError: at 3:4" in last


async def test_optimizer_then_generator_then_reflector(tmp_path):
    answers = {
        "role=optimizer": "one pass instead of two",
        "role=generator": world.fence("good"),
        "role=reflector": "reading once halves the traffic",
    }
    model = ScriptedModel(
        lambda messages: next(a for key, a in answers.items() if key in messages[0].content)
    )
    _search, events = await world.run(
        tmp_path,
        world.task(iterations=2, optimizer=True, reflection=True),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    roles = [event.role for event in of(Asked, events)]
    assert roles == ["optimizer", "generator", "reflector", "optimizer", "generator"]
    assert "one pass instead of two" in prompts(model)[1]
    assert "reading once halves the traffic" in prompts(model)[3]


async def test_code_is_judged_whoever_was_asked_for_words(tmp_path):
    """A model that always answers with code is not asked twice for one candidate."""
    model = ScriptedModel([world.fence("def broken()"), world.fence("def wrong()"),
                           world.fence("def good()")])  # fmt: skip
    search, events = await world.run(
        tmp_path,
        world.task(iterations=3, optimizer=True, reflection=True),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    assert [event.role for event in of(Asked, events)] == ["optimizer", "reflector", "reflector"]
    assert [event.candidate for event in of(Judged, events)] == ["t0.1.a", "t0.2.a", "t0.3.a"]
    assert finished(events).best == "t0.3.a"
    assert search.candidates["t0.1.a"].reflection == world.fence("def wrong()")


async def test_trajectories_do_not_wait_for_each_other(tmp_path):
    """Trajectory 0 hangs in its first call; trajectory 1 finishes all its turns."""
    hang = asyncio.Event()

    class Model:
        async def ask(self, messages, **_):
            if not hung:
                hung.append(True)
                await hang.wait()
            return await script.ask(messages, temperature=1.0, max_completion_tokens=9999,
                                    on_delta=lambda _: None)  # fmt: skip

    hung: list[bool] = []
    script = ScriptedModel(lambda _: world.fence(f"worse {len(script.prompts)}"))
    judged: list[str] = []

    def watch(_, event):
        if isinstance(event, Judged):
            judged.append(event.candidate)
            if len(judged) == 3:
                hang.set()

    await world.run(
        tmp_path,
        world.task(iterations=3, trajectories=2),
        model=Model(),
        evaluator=ScriptedEvaluator(VERDICTS),
        sinks=[watch],
    )
    assert judged[:3] == ["t1.1.a", "t1.2.a", "t1.3.a"]
    assert len(judged) == 6


# ---- stops -------------------------------------------------------------------------------


async def test_patience(tmp_path):
    model = ScriptedModel(lambda _: world.fence(f"worse {len(model.prompts)}"))
    _, events = await world.run(
        tmp_path,
        world.task(iterations=50, patience=3),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    assert finished(events).reason == "patience"
    assert len(of(Judged, events)) == 3


async def test_cancel_ends_at_once_keeps_the_best_and_counts_the_lost_call(tmp_path):
    cancel = asyncio.Event()

    class HangsAfterOne:
        calls = 0

        async def ask(self, messages, **_):
            self.calls += 1
            if self.calls == 1:
                return await ScriptedModel([world.fence("good")]).ask(
                    messages, temperature=1, max_completion_tokens=99, on_delta=lambda _: None
                )
            cancel.set()
            return await asyncio.Event().wait()

    search, events = await asyncio.wait_for(
        world.run(
            tmp_path,
            world.task(iterations=5),
            model=HangsAfterOne(),
            evaluator=ScriptedEvaluator(VERDICTS),
            cancel=cancel,
        ),
        timeout=20,
    )
    end = finished(events)
    assert end.reason == "cancelled"
    reserved = of(Asked, events)[-1].reserved_usd
    answered = sum(event.usd or 0 for event in of(Answered, events))
    assert search.reserved_usd == 0
    assert search.spent_usd >= reserved > answered


async def test_time(tmp_path):
    class Hangs:
        async def ask(self, messages, **_):
            await asyncio.Event().wait()

    search, events = await world.run(
        tmp_path,
        world.task(iterations=5, sweep=True, max_seconds=0.5),
        model=Hangs(),
        sweep=("good",),
        evaluator=ScriptedEvaluator(VERDICTS),
        clock=SystemClock(),
    )
    assert finished(events).reason == "time"
    assert search.candidates[finished(events).best].text == "good"


async def test_money(tmp_path):
    model = ScriptedModel(
        lambda _: world.fence(f"worse {len(model.prompts)}"),
        usd_per_million_input=10.0,
        usd_per_million_output=30.0,
    )
    search, events = await world.run(
        tmp_path,
        world.task(iterations=1000, max_usd=0.1),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    assert finished(events).reason == "money"
    assert 0 < search.spent_usd <= 0.1
    assert search.spent_usd == pytest.approx(sum(event.usd for event in of(Answered, events)))


async def test_a_fatal_model_error_ends_with_its_sentence_and_the_best(tmp_path):
    refused = ModelError("The key was refused: set WHET_API_KEY.", fatal=True, billed=False)
    model = ScriptedModel([world.fence("good"), refused])
    search, events = await world.run(
        tmp_path, world.task(iterations=9), model=model, evaluator=ScriptedEvaluator(VERDICTS)
    )
    end = finished(events)
    assert end.reason == "model failed"
    assert "set WHET_API_KEY" in end.sentence
    assert search.candidates[end.best].text == "good"


async def test_a_retryable_error_is_tried_again_after_the_time_the_endpoint_names(tmp_path):
    clock = ManualClock()
    busy = ModelError("Rate limit.", retryable=True, retry_after_s=7.0, billed=False)
    timeout = ModelError("No answer in time.", retryable=True)
    model = ScriptedModel([busy, timeout, world.fence("good")])
    search, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=model,
        evaluator=ScriptedEvaluator(VERDICTS),
        clock=clock,
    )
    assert [event.id for event in of(Asked, events)] == [
        "t0.1.generator", "t0.1.generator~2", "t0.1.generator~3",
    ]  # fmt: skip
    assert clock.slept == [7.0, 2.0]
    assert finished(events).best == "t0.1.a"
    vanished = of(Asked, events)[1].reserved_usd
    assert search.spent_usd > vanished, "a call that vanished counts as spent"
    assert search.spent_usd < 2 * vanished, "a refused one does not"


async def test_an_endpoint_that_stays_down_ends_the_run(tmp_path):
    model = ScriptedModel([ModelError("Nobody answers at URL.", retryable=True, billed=False)])
    _, events = await world.run(tmp_path, world.task(iterations=9), model=model)
    assert finished(events).reason == "model failed"
    assert "Nobody answers at URL." in finished(events).sentence
    assert len(of(CallFailed, events)) == 5


@pytest.mark.parametrize("where", ["open", "record", "evaluate"])
async def test_the_evaluators_faults_end_the_run_with_the_cure(tmp_path, where):
    fault = EvaluatorError("target", "gpu1 cannot be reached: check `ssh gpu1`.")
    evaluator = ScriptedEvaluator(
        {"good": counted_verdict(500), "lost": fault},
        facts=fault if where == "open" else None,
        recorded=fault if where == "record" else None,
    )
    search, events = await world.run(
        tmp_path,
        world.task(iterations=3, trajectories=1),
        model=ScriptedModel([world.fence("good"), world.fence("lost")]),
        evaluator=evaluator,
    )
    end = finished(events)
    assert end.reason == "evaluator failed"
    assert "check `ssh gpu1`" in end.sentence
    assert (end.best is not None) == (where == "evaluate")
    assert not search.flight


@pytest.mark.parametrize(("n_losses", "reason"), [(1, "iterations"), (2, "evaluator failed")])
async def test_a_lost_worker_is_tried_once_more(tmp_path, n_losses, reason):
    lost = EvaluatorError("worker", "the connection to gpu1 was lost; try again", retryable=True)
    script = [lost] * n_losses + [counted_verdict(500)]
    evaluator = ScriptedEvaluator(
        lambda candidate: script.pop(0), confirmations={"good": counted_verdict(500)}
    )
    clock = ManualClock()
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("good")]),
        evaluator=evaluator,
        clock=clock,
    )
    assert finished(events).reason == reason
    assert len(of(Judged, events)) == (1 if n_losses == 1 else 0)
    assert [candidate.text for candidate in evaluator.judged] == ["good", "good"]
    assert clock.slept == [RETRY_AFTER_S]


# ---- order and store ---------------------------------------------------------------------


async def test_everything_shown_is_in_the_journal_first(tmp_path):
    shown = []
    journal = Journal(tmp_path / "runs.sqlite3")
    ports = world.ports(
        journal,
        model=ScriptedModel([world.fence("good")]),
        evaluator=ScriptedEvaluator(VERDICTS),
    )

    def sink(run, event):
        assert event in journal.load_events(run)
        shown.append(event)

    await create("r1", world.task(iterations=1), ports)
    await drive("r1", ports, sinks=(sink,), cancel=asyncio.Event())
    assert tuple(shown) == journal.load_events("r1")[1:]
    journal.close()


async def test_every_cut_of_the_journal_resumes_to_the_same_best(tmp_path):
    """A process may end after any event: nothing stored is lost, nothing is paid twice."""
    order = world.task(iterations=4, sweep=True, reflection=True)

    def model():
        return ScriptedModel(
            lambda messages: "noted" if "role=reflector" in messages[0].content
            else script_by_failures(messages[0].content),
            usd_per_million_input=10.0, usd_per_million_output=30.0,
        )  # fmt: skip

    def script_by_failures(prompt):
        if "better" in prompt or "400 bytes" in prompt:
            return "no code"
        if "500 bytes" in prompt:
            return world.fence("better")
        if "debug=CompilationError" in prompt:
            return world.fence("good", "wrong")
        return world.fence("broken")

    _, whole = await world.run(
        tmp_path, order, model=model(), sweep=("same", "worse"),
        evaluator=ScriptedEvaluator(VERDICTS),
    )  # fmt: skip
    best = replay(whole).candidates[finished(whole).best].text
    assert best == "better"
    assert len(whole) > 40
    for cut in range(1, len(whole)):
        journal = Journal(tmp_path / f"cut{cut}.sqlite3")
        await journal.append("r1", *whole[:cut])
        ports = world.ports(
            journal, model=model(), sweep=("same", "worse"), evaluator=ScriptedEvaluator(VERDICTS)
        )
        search = await drive("r1", ports, cancel=asyncio.Event())
        events = journal.load_events("r1")
        journal.close()
        assert events[:cut] == whole[:cut]
        assert search.candidates[finished(events).best].text == best, cut
        assert replay(events) == search
        check_money(events, search)


def check_money(events, search):
    """Each call is paid once: by its usage, or in full when its answer was lost."""
    answered = {event.id: event.usd for event in of(Answered, events)}
    asked = {event.id: event.reserved_usd for event in of(Asked, events)}
    assert len(answered) == len(of(Answered, events))
    assert len(asked) == len(of(Asked, events))
    expected = sum(answered.get(name, reserved) for name, reserved in asked.items())
    assert search.spent_usd == pytest.approx(expected)


async def test_a_finished_run_resumed_says_the_same_again(tmp_path):
    order = world.task(iterations=1)
    evaluator = ScriptedEvaluator(VERDICTS)
    _, first = await world.run(
        tmp_path, order, model=ScriptedModel([world.fence("good")]), evaluator=evaluator
    )
    journal = Journal(tmp_path / "runs.sqlite3")
    ports = world.ports(journal, model=ScriptedModel([world.fence("bad")]), evaluator=evaluator)
    await drive("r1", ports, cancel=asyncio.Event())
    events = journal.load_events("r1")
    journal.close()
    assert [type(event) for event in events[len(first) :]] == [Resumed, Started, Opened, Finished]
    assert finished(events).best == finished(first).best
    assert len(evaluator.judged) == len(evaluator.confirmed) == 1
    assert len(of(Proposed, events)) == 1


async def test_resumed_on_other_hardware_everything_is_judged_again(tmp_path):
    order = world.task(iterations=1)
    _, first = await world.run(
        tmp_path,
        order,
        model=ScriptedModel([world.fence("good")]),
        evaluator=ScriptedEvaluator(VERDICTS),
    )
    elsewhere = ScriptedEvaluator(
        {"good": counted_verdict(1500)},
        facts=dataclasses.replace(interpreter_facts(), triton="3.6.0"),
    )
    journal = Journal(tmp_path / "runs.sqlite3")
    ports = world.ports(journal, model=ScriptedModel([""]), evaluator=elsewhere)
    search = await drive("r1", ports, cancel=asyncio.Event())
    events = journal.load_events("r1")
    journal.close()
    assert finished(first).best is not None
    assert [candidate.text for candidate in elsewhere.judged] == ["good"]
    assert finished(events).best is None, "there it moves more data than the original"
    assert search.facts.triton == "3.6.0"


# ---- with a clock ------------------------------------------------------------------------

TIMED = {
    "quick": timed_verdict(1.6, seed=1),
    "brisk": timed_verdict(1.2, seed=2),
    "even": timed_verdict(1.0, seed=3),
    "slow": timed_verdict(0.7, seed=4),
}


def gpu(**changes) -> ScriptedEvaluator:
    return ScriptedEvaluator(
        TIMED, facts=device_facts("Scripted GPU"), default=timed_verdict(1.0, seed=9), **changes
    )


async def test_a_speedup_is_what_fresh_samples_say(tmp_path):
    evaluator = gpu(confirmations={"quick": timed_verdict(1.5, seed=77)})
    _, events = await world.run(
        tmp_path,
        world.task(iterations=3),
        model=ScriptedModel([world.fence(text) for text in ("slow", "quick", "brisk")]),
        evaluator=evaluator,
    )
    summary = summarise(events)
    assert summary.best.text == "quick"
    assert summary.best.evidence.speedup.ratio == pytest.approx(1.5, rel=0.01)
    assert (
        summary.best.evidence.speedup.low
        < summary.best.evidence.speedup.ratio
        < summary.best.evidence.speedup.high
    )
    assert summary.best.evidence.speedup.hardware == "Scripted GPU"
    assert "faster, measured on Scripted GPU" in summary.sentence
    assert finished_json(summary)["best"]["speedup"]["measured"] is True
    assert evaluator.confirmed[0].seed != evaluator.judged[1].seed


async def test_nothing_confirmed_faster_means_keep_yours(tmp_path):
    evaluator = gpu(confirmations={"quick": timed_verdict(1.0, seed=5)})
    _, events = await world.run(
        tmp_path,
        world.task(iterations=3),
        model=ScriptedModel([world.fence(text) for text in ("quick", "slow", "even")]),
        evaluator=evaluator,
    )
    summary = summarise(events)
    assert summary.best is None
    for said in ("Keep yours", "slower 1", "no difference 1", "not confirmed 1"):
        assert said in summary.sentence


async def test_early_stop_waits_for_the_confirmation(tmp_path):
    model = ScriptedModel([world.fence("brisk"), world.fence("quick"), world.fence("slow")])
    _, events = await world.run(
        tmp_path, world.task(iterations=50, early_stop=1.4), model=model, evaluator=gpu()
    )
    assert finished(events).reason == "early stop"
    assert summarise(events).best.text == "quick"


async def test_a_noisy_device_gives_no_speedup(tmp_path):
    quiet = timing(1.5, seed=1)
    case = dataclasses.replace(quiet.cases[0], control=timing(1.3, seed=2).cases[0].rounds)
    noisy = dataclasses.replace(
        timed_verdict(1.5), timing=dataclasses.replace(quiet, cases=(case,))
    )
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("noisy")]),
        evaluator=ScriptedEvaluator({"noisy": noisy}, facts=device_facts()),
    )
    assert finished(events).best is None
    assert "device too noisy 1" in finished(events).sentence


async def test_what_could_not_be_timed_never_beats_the_original_on_a_device(tmp_path):
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("good")]),
        evaluator=ScriptedEvaluator(VERDICTS, facts=device_facts()),
    )
    assert finished(events).best is None


async def test_a_regressing_case_is_said_beside_the_mean(tmp_path):
    cases = (
        dataclasses.replace(timing(2.0, seed=1).cases[0], name="large"),
        dataclasses.replace(timing(0.8, seed=2).cases[0], name="small"),
    )
    mixed = dataclasses.replace(
        timed_verdict(1.5), timing=dataclasses.replace(timing(1.0), cases=cases)
    )
    _, events = await world.run(
        tmp_path,
        world.task(iterations=1),
        model=ScriptedModel([world.fence("mixed")]),
        evaluator=ScriptedEvaluator({"mixed": mixed}, facts=device_facts()),
    )
    assert finished(events).best == "t0.1.a"
    assert "Slower in: small 0.80x" in finished(events).sentence
