"""The record of an offered edit, what is said of it, and when it still holds."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import search_world as world

from whet_agent.baseline import as_search, require_baseline
from whet_agent.compare import Comparison, CompiledOnly, Judged
from whet_agent.compare_words import comparison_json, exit_status, page_of, sentence
from whet_agent.evidence import Evidence, gather
from whet_agent.evidence_words import page
from whet_agent.interfaces import differences
from whet_agent.project import UserError
from whet_agent.report import summarise
from whet_agent.search.state import Surroundings
from whet_agent.source.units import unit_of
from whet_agent.store.codec import dump_event, parse_event
from whet_agent.testing.doubles import (
    ScriptedEvaluator,
    ScriptedModel,
    baseline,
    counted_verdict,
    device_facts,
    passed,
    red,
    timing,
    wrong_verdict,
)
from whet_agent.verify_checks import baseline_checks, environment_checks, verdict_checks
from whet_evaluator.evaluation import Shipped
from whet_evaluator.worker.records import (
    Broken,
    CollectError,
    CompileReport,
    Correct,
    Crashed,
    Failed,
    Timing,
)

FILES = {
    "kernel.py": "0" * 64, "tests/test_kernel.py": "1" * 64, "tests/conftest.py": "2" * 64,
    "docs/conftest.py": "3" * 64, "pyproject.toml": "4" * 64, "helpers.py": "5" * 64,
}  # fmt: skip


def evidence(verdict: Correct, **facts) -> Evidence:
    """Of one edit on a scripted GPU."""
    here = Surroundings(
        facts=device_facts(**facts), shipped=Shipped(sources=FILES, data_digest="d", n_data=2),
        whet="1.2",
    )  # fmt: skip
    return gather(
        task=world.task(), run="r1", candidate="c1", text="new = 1\n", label="edit", strategy="",
        surroundings=here, recorded=baseline(), verdict=verdict, stage_s={"tests": 1.0}, at=5.0,
    )  # fmt: skip


def timed(*ratios: float, noise: float = 0.003) -> Correct:
    """A verdict with one timed case for each true ratio."""
    cases = tuple(
        dataclasses.replace(timing(ratio, seed=n, noise=noise).cases[0], name=f"case {n}")
        for n, ratio in enumerate(ratios)
    )
    return Correct(
        tests=(passed(),), launches=(), compiled=(),
        timing=Timing(cases=cases, environment={"device": "Scripted GPU", "driver": "7"}),
    )  # fmt: skip


def compared(*on) -> Comparison:
    return Comparison(
        path="kernel.py", kernel="kernel", against="HEAD", original_text="old\n", text="new\n",
        notes=(), on=on, at=5.0,
    )  # fmt: skip


def judged(verdict, target: str = "local") -> Judged:
    proof = evidence(verdict) if isinstance(verdict, Correct) else None
    return Judged(target=target, hardware="Scripted GPU", verdict=verdict, evidence=proof)


async def test_it_is_a_function_of_the_journal(tmp_path):
    """What the journal gives back is the same record, and each file is under what it is."""
    _, events = await world.run(
        tmp_path, world.task(), model=ScriptedModel([world.fence("good")]),
        evaluator=ScriptedEvaluator(
            {"good": counted_verdict(500)}, shipped=Shipped(sources=FILES, data_digest="d", n_data=2)
        ),
    )  # fmt: skip
    found = summarise(events).best.evidence
    again = summarise([parse_event(dump_event(event)) for event in events]).best.evidence
    assert found == again
    assert found.how == "counted"
    assert found.hashes.tests.keys() == {"tests/test_kernel.py"}
    assert found.hashes.configuration.keys() == {"tests/conftest.py", "pyproject.toml"}
    assert found.hashes.helpers.keys() == {"docs/conftest.py", "helpers.py"}
    assert "confirm" in found.stage_s


class Restarted(ScriptedEvaluator):
    """Its worker is lost before the confirmation, and the tests were edited meanwhile."""

    async def confirm(self, candidate, on_progress):
        self.shipped = Shipped(sources={**FILES, "tests/test_kernel.py": "9" * 64})
        return await super().confirm(candidate, on_progress)


async def test_other_tests_in_the_middle_of_a_run_give_no_evidence(tmp_path):
    _, events = await world.run(
        tmp_path, world.task(), model=ScriptedModel([world.fence("good")]),
        evaluator=Restarted({"good": counted_verdict(500)}, shipped=Shipped(sources=FILES)),
    )  # fmt: skip
    found = summarise(events)
    assert found.reason == "evaluator failed"
    assert found.best is None
    assert "whet resume r1" in found.sentence


def test_a_measured_edit_says_what_it_was_measured_on():
    found = evidence(timed(1.5, 0.9))
    assert found.how == "measured"
    assert found.speedup.hardware == "Scripted GPU"
    assert found.environment.settings["driver"] == "7"
    said = page(found)
    assert "measured on Scripted GPU" in said
    assert "| case 1 | 0.90x" in said
    assert "SLOWER" in said, "a case that lost is shown beside a mean that won"
    assert "200 pairs in 20 rounds" in said


def test_more_than_ten_times_faster_is_doubted_wherever_it_is_shown():
    said = "likelier a trick"
    for ratio, is_doubted in ((11.0, True), (9.0, False)):
        found = evidence(timed(ratio))
        comparison = compared(judged(timed(ratio)))
        assert (said in page(found)) is is_doubted
        assert (said in sentence(comparison)) is is_doubted
        (target,) = comparison_json(comparison)["targets"]
        assert target["evidence"]["timing"]["suspicious"] is is_doubted


def test_raw_samples_travel_with_a_comparison_and_a_revision_with_its_commit():
    """No journal holds them: whoever judges again has but this."""
    verdict = timed(1.3)
    found = attrs.evolve(compared(judged(verdict)), against="main", commit="0123456789abcdef")
    (target,) = comparison_json(found)["targets"]
    rounds = [[list(pair) for pair in pairs] for pairs in verdict.timing.cases[0].rounds]
    assert target["samples"][0]["rounds"] == rounds
    assert comparison_json(found)["commit"] == "0123456789abcdef"
    assert " against main (0123456789ab)" in page_of(found)


@pytest.mark.parametrize(
    ("verdict", "status", "word"),
    [
        (timed(1.3), 0, "faster"),
        (timed(1.0), 0, "same speed"),
        (timed(0.8), 1, "slower"),
        (counted_verdict(5000), 0, "untimed"),
        (wrong_verdict("assert 1 == 2"), 1, "wrong result"),
    ],
)
def test_the_exit_status_of_a_comparison(verdict, status, word):
    found = compared(judged(verdict))
    assert exit_status(found) == status
    assert word in sentence(found)
    assert comparison_json(found)["status"] == status
    assert "```diff" in page_of(found)


@pytest.mark.parametrize(
    ("second", "status", "word"),
    [
        (judged(timed(0.8), "mi300x"), 1, "slower"),
        (CompiledOnly(target="mi300x", arch="gfx942", why="It is off.",
                      report=CompileReport(compiled=(), errors=("bad",))), 1, "does not compile"),
        (CompiledOnly(target="mi300x", arch="gfx942", why="It is off.",
                      report=CompileReport(compiled=())), 0, "nothing else. It is off."),
        (CompiledOnly(target="mi300x", arch=None, why="It is off.", report=None), 1, "not judged"),
    ],
)  # fmt: skip
def test_a_loss_on_another_target_is_never_hidden(second, status, word):
    found = compared(judged(timed(1.5)), second)
    assert exit_status(found) == status
    assert "local: Correct and faster" in sentence(found)
    assert word in sentence(found)
    assert "## mi300x: " in page_of(found)


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (timed(1.5), "holds"),
        (timed(1.485), "holds"),
        (timed(1.4), "changed"),
        (timed(1.2), "changed"),
        (counted_verdict(1000), "not repeated"),
        (timed(1.5, noise=0.5), "not repeated"),
    ],
)
def test_a_measurement_holds_when_intervals_overlap_or_nearly(now, status):
    checks = {check.what: check for check in verdict_checks(evidence(timed(1.5)), baseline(), now)}
    assert checks["correctness"].status == "holds"
    assert checks["timing"].status == status


def test_a_candidate_that_fails_again_no_longer_holds():
    (check,) = verdict_checks(evidence(timed(1.5)), baseline(), wrong_verdict("assert 1 == 2"))
    assert check.status == "changed"
    assert "wrong result" in check.sentence


RED = red("t.py::a", "E   AssertionError: not close\nE   1 / 2\ntensors: x: float32[300]")
TRITON = """\
k.py:3: x = tl.arange(0, 3)
ValueError: arange's range must be a power of 2
CompilationError: at 2:4:
    x = tl.arange(0, 3)
        ^
arange's range must be a power of 2"""


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (Failed(cases=(RED,), passed=0), "tests: t.py::a: AssertionError: not close"),
        (Failed(cases=(RED,) * 10, passed=0), "tests: t.py::a: AssertionError: not close"),
        (Broken(trace=TRITON), "load: ValueError: arange's range must be a power of 2"),
        (
            Broken(trace=TRITON[TRITON.index("Comp") :]),
            "load: CompilationError: at 2:4: arange's range must be a power of 2",
        ),
        (Broken(trace=""), "load"),
        (
            Crashed(stage="tests", how="SIGSEGV", output="one\ntwo"),
            "tests: the process died: SIGSEGV",
        ),
    ],
)
def test_a_failure_is_said_by_the_line_that_tells_the_error(verdict, why):
    (check,) = verdict_checks(evidence(timed(1.5)), baseline(), verdict)
    assert check.sentence.endswith(f" in {why}).")


NODES = ["tests/t.py::a[0]", "tests/t.py::a[1]", "tests/u.py::b", "tests/v.py::C::c"]
COLLECT_ERRORS = (
    CollectError(path="tests/t.py", message="t.py:1: in <module>\nE   KeyError: 'x'"),
    CollectError(path="tests/v.py::C", message="In C::c: function uses no argument 'm'"),
)


def test_what_cannot_be_collected_is_said_once_with_its_error():
    recorded = baseline(tests=(red("tests/u.py::b", "E   assert 1 == 2"),))
    checks, nodes = baseline_checks(world.task(), NODES, recorded, COLLECT_ERRORS)
    assert nodes == ()
    assert [check.sentence for check in checks] == [
        "tests/t.py cannot be imported any more: KeyError: 'x'",
        "The stored original does not pass tests/u.py::b any more: failed (assert 1 == 2).",
        "tests/v.py::C cannot be collected any more: In C::c: function uses no argument 'm'",
    ]
    _, nodes = baseline_checks(world.task(goal="fix"), NODES, recorded, COLLECT_ERRORS)
    assert list(nodes) == NODES, "the original of a repair may be what cannot be imported"


def test_another_driver_or_compiler_variable_is_named():
    found = evidence(timed(1.5))
    now = {"TRITON_DEFAULT_FP_FUSION": "0", "driver": "8", "cuda": "13"}
    facts = dataclasses.replace(device_facts(), settings=now)
    then = {"TRITON_DEFAULT_FP_FUSION": "unset", "driver": "7", "cuda": "13", "TRITON_X": "1"}
    assert [check.sentence for check in environment_checks(found, then, facts)] == [
        "TRITON_DEFAULT_FP_FUSION was unset and is 0.",
        "TRITON_X was 1 and is unset.",
        "the driver was 7 and is 8.",
    ]
    assert {check.status for check in environment_checks(found, then, facts)} == {"said"}
    assert environment_checks(found, now, facts) == ()
    assert environment_checks(found, {}, facts) == (), "a run from before settings were kept"


@pytest.mark.parametrize(
    ("recorded", "words"),
    [
        (baseline(tests=(red(),)), "kernel.py of HEAD passes no test"),
        (baseline(tests=(red("t::a"), passed()), launches=()), "none launched kernel"),
        (baseline(tests=(red("t::a", uncovered="bfloat16"),)), "bfloat16"),
    ],
)
def test_what_gives_nothing_to_judge_an_edit_by_is_one_sentence(recorded, words):
    here = Surroundings(facts=device_facts(), shipped=Shipped(), whet="1")
    with pytest.raises(UserError, match=words) as refused:
        require_baseline(as_search(world.task(), here, recorded), "HEAD", ())
    assert "whet fix" not in str(refused.value)
    require_baseline(as_search(world.task(), here, baseline(tests=(red(),))), "HEAD", ("t::a",))


def test_a_file_that_was_not_sent_is_named_where_no_test_passes():
    lacking = Shipped(left_out=("weights.bin (9 MiB)",))
    here = Surroundings(facts=device_facts(), shipped=lacking, whet="1")
    with pytest.raises(UserError, match=r"first\. Not sent to \w+: weights\.bin \(9 MiB\); raise"):
        require_baseline(as_search(world.task(), here, baseline(tests=(red(),))), "HEAD", ())


BEFORE = """\
import triton


@triton.jit
def kernel(x, n):
    return n


def launch(x, n=1):
    kernel[(1,)](x, n)


def other():
    return 1
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("return n", "return 2 * n", {}),
        ("return 1", "return 2", {"same_unit": True, "outside": True}),
        ("def launch(x, n=1)", "def launch(x: object, n=1)", {}),
        ("def launch(x, n=1)", "def launch(x, n=2)", {"recalled": ("launch",)}),
        ("def launch(x, n=1)", "def launch(x, n=1, m=2, *, k=3)", {}),
        ("def launch(x, n=1)", "def launch(x, m, n=1)", {"recalled": ("launch",)}),
        ("def launch(x, n=1)", "def launch(x, n=1, *, k)", {"recalled": ("launch",)}),
        ("def launch(x, n=1)", "def launch(x, *rest)", {"recalled": ("launch",)}),
        ("def launch(", "def begin(", {"gone": ("launch",)}),
        ("kernel(x, n):", "kernel(n, x):", {"kernel": True}),
        ("return n\n\n\ndef", "return 2\n\n\nX = 1\n\n\ndef", {"outside": True}),
    ],
)
def test_how_two_versions_differ(old, new, expected):
    plain = {"same_unit": False, "outside": False, "gone": (), "recalled": (), "kernel": False}
    found = differences(unit_of(BEFORE, "k.py", "kernel"), BEFORE.replace(old, new, 1))
    assert attrs.asdict(found) == {**plain, **expected}
    assert found.calls_fit == (not found.gone and not found.recalled)


def test_a_kernel_that_is_gone_cannot_be_compared():
    unit = unit_of(BEFORE, "k.py", "kernel")
    assert differences(unit, BEFORE.replace("@triton.jit\n", "")) is None
