"""The main job through the command line: real pytest, real Triton, a real HTTP model."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import Project, Ran, copy_of_examples

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from openai_server import Held, Refused, ScriptedOpenAI

SOFTMAX = "kernels/softmax.py::softmax_kernel"
ONE_TEST = ("--tests", "tests/test_softmax.py::test_softmax_row_slice")
FLIP = ("kernels/flip.py::flip_kernel", "--tests", "tests/test_flip.py::test_flip_integers")
"""One test each: enough where the run itself is not what is tested."""


def stumbles(project) -> list[str]:
    folder = project.root / "recorded" / "softmax_stumbles"
    return [file.read_text() for file in sorted(folder.glob("*.md"))]


N_CASES = 3
KEY = "sk-a-key-that-must-not-be-seen"


@dataclass
class Stumbled:
    """A run whose model stumbles four times and then answers well, and what it was asked."""

    project: Project
    home: Path
    original: str
    ran: Ran
    asked: list[str]


@pytest.fixture(scope="module")
def stumbled(tmp_path_factory) -> Stumbled:
    """Shared by the tests that only look at a finished run."""
    folder = tmp_path_factory.mktemp("stumbled")
    project = copy_of_examples(folder, folder / "home")
    project.environment["WHET_API_KEY"] = KEY
    project.environment["WHET_LIMITS_DIFFERENTIAL_CASES"] = str(N_CASES)
    original = project.read("kernels/softmax.py")
    with ScriptedOpenAI(stumbles(project), key=KEY) as server:
        ran = project.whet(
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model,
            "--iterations", "5", "--json",
        )  # fmt: skip
        asked = [json.dumps(request.body) for request in server.requests]
    return Stumbled(project, folder / "home", original, ran, asked)


def test_stumbles_then_a_rewrite_with_less_traffic(stumbled):
    """Broken, uncompilable, wrong, changed signature, right: each verdict is shown, the
    right one kept, and no speedup claimed without a clock."""
    ran = stumbled.ran
    assert ran.status == 0, ran.err
    rejected = " ".join(event["reason"] for event in ran.lines if event["event"] == "rejected")
    assert "parse" in rejected or "syntax" in rejected
    assert "signature" in rejected
    verdicts = [
        event["verdict"]
        for event in ran.lines
        if event["event"] == "judged" and not event["candidate"].startswith("s")
    ]
    assert "Failed" in {verdict["kind"] for verdict in verdicts}
    assert verdicts[-1]["kind"] == "Correct"
    generated = verdicts[-1]["differential"]["cases"]
    assert [case["status"] for case in generated] == ["equal"] * N_CASES
    best = ran.finished["best"]
    assert best["speedup"] is None
    before, after = best["counted"]["before"], best["counted"]["after"]
    assert after["loaded_bytes"] * 2 < before["loaded_bytes"]
    assert set(best["tests"]["nodes"].values()) == {"passed"}
    assert "faster" not in ran.out
    assert stumbled.project.read("kernels/softmax.py") == stumbled.original  # nothing unasked


def test_the_journal_holds_every_event_that_was_shown(stumbled):
    shown = stumbled.project.whet("show", stumbled.ran.finished["run"], "--json")
    assert shown.lines == stumbled.ran.lines


def test_the_key_is_in_no_output_prompt_or_store(stumbled):
    assert stumbled.ran.finished["best"] is not None, "the endpoint refuses every other key"
    assert stumbled.asked
    assert KEY not in stumbled.ran.out + stumbled.ran.err + "".join(stumbled.asked)
    stored = [file.read_bytes() for file in stumbled.home.rglob("*") if file.is_file()]
    assert stored
    assert not any(KEY.encode() in content for content in stored)


@pytest.fixture(scope="module")
def replayed_once(tmp_path_factory) -> tuple[Project, Ran, str]:
    folder = tmp_path_factory.mktemp("replayed")
    project = copy_of_examples(folder, folder / "home")
    original = project.read("kernels/softmax.py")
    ran = project.whet("optimize", SOFTMAX, *ONE_TEST, "--replay", "recorded/softmax.md", "--json")
    return project, ran, original


@pytest.fixture
def replayed(replayed_once) -> tuple[Project, Ran]:
    """A run that has a best to offer, and the project as it was when it began."""
    project, ran, original = replayed_once
    (project.root / "kernels/softmax.py").write_text(original)
    return project, ran


def test_accepted_text_is_the_candidates_and_passes_again(replayed):
    project, ran = replayed
    best = ran.finished["best"]
    assert project.whet("apply", ran.finished["run"]).status == 0
    assert project.read("kernels/softmax.py") == best["text"]
    again = project.whet(
        "optimize", SOFTMAX, *ONE_TEST, "--replay", "recorded/softmax.md", "--json"
    )
    assert again.status == 0
    assert again.finished["best"] is None, "the inefficiency is gone: keep yours"
    assert "keep yours" in again.finished["sentence"].lower()


def test_apply_refuses_a_unit_that_was_edited_meanwhile(replayed):
    project, ran = replayed
    path = project.root / "kernels/softmax.py"
    path.write_text(
        path.read_text().replace("def softmax_kernel(", "def softmax_kernel(  # mine\n    ")
    )
    mine = path.read_text()
    refused = project.whet("apply", ran.finished["run"])
    assert refused.status == 1
    assert path.read_text() == mine


def test_a_recorded_run_is_not_resumed_with_a_model(replayed):
    project, ran = replayed
    again = project.whet("resume", ran.finished["run"])
    assert again.status == 1
    assert "--replay" in again.err


def test_fix_turns_red_tests_green_and_keeps_green_ones(examples):
    """Several tests after one flag, one of them a node and one a whole file."""
    ran = examples.whet(
        "fix", "kernels/masked_sum.py::masked_sum_kernel", "--replay", "recorded/masked_sum.md",
        "--json", "--tests", "tests/test_masked_sum.py::test_padded_rows",
        "tests/test_masked_sum.py",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.finished["reason"] == "fixed"
    nodes = ran.finished["best"]["tests"]["nodes"]
    assert set(nodes.values()) == {"passed"}
    assert {node.partition("[")[0].rpartition("::")[2] for node in nodes} == {
        "test_padded_rows",
        "test_unpadded_rows",
    }


def test_a_red_baseline_is_named_and_fix_is_offered(examples):
    ran = examples.whet(
        "optimize", "kernels/masked_sum.py::masked_sum_kernel", "--no-model", "--json"
    )
    assert ran.status == 1
    assert ran.finished["reason"] == "red baseline"
    assert "test_masked_sum" in ran.finished["sentence"]
    assert "fix" in ran.finished["sentence"]


def test_no_model_and_no_key_still_sweeps(examples):
    examples.sweeping()
    ran = examples.whet(
        "optimize", "kernels/flip.py::flip_kernel", "--no-model", "--arch", "sm_90", "--json"
    )
    assert ran.status == 0, ran.err
    assert any(event["event"] == "judged" for event in ran.lines)
    assert ran.finished["tokens"] == 0
    (baseline,) = (e["recorded"] for e in ran.lines if e["event"] == "baseline_recorded")
    assert {one["arch"] for one in baseline["compiled"]} == {"sm_90"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Refused(status=401, message="bad key"), "key"),
        (Refused(status=404, message="no such model", code="model_not_found"), "model"),
    ],
)
def test_a_model_that_cannot_answer_ends_the_run_with_the_cure(examples, script, words):
    with ScriptedOpenAI([script]) as server:
        ran = examples.whet(
            "optimize", SOFTMAX, *ONE_TEST, "--base-url", server.base_url,
            "--model", server.model, "--json",
        )  # fmt: skip
    assert ran.status == 1
    assert ran.finished["reason"] == "model failed"
    assert words in ran.finished["sentence"]


def test_a_detached_run_goes_on_by_itself_and_beside_another_on_the_same_kernel(examples):
    examples.sweeping()
    sweep = ("optimize", *FLIP, "--no-model", "--json")
    detached = examples.whet(*sweep, "--detach").lines[0]["run"]
    beside = examples.whet(*sweep)
    assert beside.status == 0
    assert beside.finished["reason"] == "sweep done"
    ends_at = time.monotonic() + 300
    while True:
        shown = examples.whet("show", detached, "--json")
        if shown.lines[-1]["event"] == "finished" or time.monotonic() > ends_at:
            break
        time.sleep(0.5)
    assert shown.finished["reason"] == "sweep done"


def test_a_project_that_is_installed_nowhere_and_has_no_settings_works(tmp_path, empty):
    """The plainest case: two files in a folder."""
    examples = Path(__file__).resolve().parents[2] / "examples"
    shutil.copy(examples / "kernels/softmax.py", empty.root / "softmax.py")
    test = (examples / "tests/test_softmax.py").read_text()
    (empty.root / "test_softmax.py").write_text(test.replace("kernels.softmax", "softmax"))
    ran = empty.whet(
        "optimize",
        "softmax.py::softmax_kernel",
        "--replay",
        examples / "recorded/softmax.md",
        "--json",
    )
    assert ran.status == 0, ran.err
    assert ran.finished["best"]["speedup"] is None


def test_a_killed_run_is_resumed_with_the_model_it_was_begun_with(examples):
    """No flag need be repeated: the run remembers its endpoint."""
    with ScriptedOpenAI([Held(reply=stumbles(examples)[-1]), stumbles(examples)[-1]]) as server:
        process = examples.start(
            "optimize", SOFTMAX, *ONE_TEST, "--base-url", server.base_url,
            "--model", server.model, "--iterations", "1", "--json",
        )  # fmt: skip
        server.wait_for_requests(1)
        process.kill()
        out, _ = process.communicate()
        run = json.loads(out.splitlines()[0])["run"]
        ran = examples.whet("resume", run, "--json")
    assert ran.status == 0, ran.err
    assert ran.finished["best"] is not None


def test_a_reader_that_goes_away_cancels_the_run_and_loses_nothing(examples):
    examples.sweeping()
    process = examples.start("optimize", *FLIP, "--no-model", "--json")
    run = json.loads(process.stdout.readline())["run"]
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert examples.whet("show", run, "--json").finished["reason"] == "cancelled"
