"""The main job through the command line: real pytest, real Triton, a real HTTP model."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from openai_server import Held, Refused, ScriptedOpenAI

SOFTMAX = "kernels/softmax.py::softmax_kernel"


def stumbles(project) -> list[str]:
    folder = project.root / "recorded" / "softmax_stumbles"
    return [file.read_text() for file in sorted(folder.glob("*.md"))]


def test_stumbles_then_a_rewrite_with_less_traffic(examples):
    """Broken, uncompilable, wrong, changed signature, right: each verdict is shown, the
    right one kept, and no speedup claimed without a clock."""
    original = examples.read("kernels/softmax.py")
    with ScriptedOpenAI(stumbles(examples)) as server:
        ran = examples.whet(
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model,
            "--iterations", "5", "--json",
        )  # fmt: skip
    assert ran.status == 0, ran.err
    rejected = " ".join(event["reason"] for event in ran.lines if event["event"] == "rejected")
    assert "parse" in rejected or "syntax" in rejected
    assert "signature" in rejected
    verdicts = [
        event["verdict"]["kind"]
        for event in ran.lines
        if event["event"] == "judged" and not event["candidate"].startswith("s")
    ]
    assert "Failed" in verdicts
    assert verdicts[-1] == "Correct"
    best = ran.finished["best"]
    assert best["speedup"] is None
    before, after = best["counted"]["before"], best["counted"]["after"]
    assert after["loaded_bytes"] * 2 < before["loaded_bytes"]
    assert set(best["tests"]["nodes"].values()) == {"passed"}
    assert "faster" not in ran.out
    assert examples.read("kernels/softmax.py") == original  # nothing is written unasked


def test_the_journal_holds_every_event_that_was_shown(examples):
    with ScriptedOpenAI([stumbles(examples)[-1]]) as server:
        ran = examples.whet(
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model,
            "--iterations", "1", "--json",
        )  # fmt: skip
    shown = examples.whet("show", ran.finished["run"], "--json")
    assert shown.lines == ran.lines


def test_accepted_text_is_the_candidates_and_passes_again(examples):
    ran = examples.whet("optimize", SOFTMAX, "--replay", "recorded/softmax.md", "--json")
    best = ran.finished["best"]
    assert examples.whet("apply", ran.finished["run"]).status == 0
    assert examples.read("kernels/softmax.py") == best["text"]
    again = examples.whet("optimize", SOFTMAX, "--replay", "recorded/softmax.md", "--json")
    assert again.status == 0
    assert again.finished["best"] is None, "the inefficiency is gone: keep yours"
    assert "keep yours" in again.finished["sentence"].lower()


def test_apply_refuses_a_unit_that_was_edited_meanwhile(examples):
    ran = examples.whet("optimize", SOFTMAX, "--replay", "recorded/softmax.md", "--json")
    path = examples.root / "kernels/softmax.py"
    path.write_text(
        path.read_text().replace("def softmax_kernel(", "def softmax_kernel(  # mine\n    ")
    )
    mine = path.read_text()
    refused = examples.whet("apply", ran.finished["run"])
    assert refused.status == 1
    assert path.read_text() == mine


def test_fix_turns_red_tests_green_and_keeps_green_ones(examples):
    ran = examples.whet(
        "fix", "kernels/masked_sum.py::masked_sum_kernel", "--tests", "tests/test_masked_sum.py",
        "--replay", "recorded/masked_sum.md", "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.finished["reason"] == "fixed"
    assert set(ran.finished["best"]["tests"]["nodes"].values()) == {"passed"}


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
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model, "--json"
        )
    assert ran.status == 1
    assert ran.finished["reason"] == "model failed"
    assert words in ran.finished["sentence"]


def test_detached_run_goes_on_by_itself(examples):
    examples.sweeping()
    ran = examples.whet(
        "optimize", "kernels/flip.py::flip_kernel", "--no-model", "--detach", "--json"
    )
    run = ran.lines[0]["run"]
    for _ in range(600):
        shown = examples.whet("show", run, "--json")
        if shown.lines[-1]["event"] == "finished":
            break
    assert shown.finished["reason"] == "sweep done"


def test_two_runs_on_one_kernel_do_not_disturb_each_other(examples):
    examples.sweeping()
    first = examples.start("optimize", "kernels/flip.py::flip_kernel", "--no-model", "--json")
    second = examples.whet("optimize", "kernels/flip.py::flip_kernel", "--no-model", "--json")
    out, _ = first.communicate(timeout=300)
    assert second.status == 0
    assert first.returncode == 0
    assert '"event": "finished"' in out.splitlines()[-1]


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
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model,
            "--iterations", "1", "--json",
        )  # fmt: skip
        server.wait_for_requests(1)
        process.kill()
        out, _ = process.communicate()
        run = json.loads(out.splitlines()[0])["run"]
        ran = examples.whet("resume", run, "--json")
    assert ran.status == 0, ran.err
    assert ran.finished["best"] is not None


def test_a_recorded_run_is_not_resumed_with_a_model(examples):
    ran = examples.whet("optimize", SOFTMAX, "--replay", "recorded/softmax.md", "--json")
    again = examples.whet("resume", ran.finished["run"])
    assert again.status == 1
    assert "--replay" in again.err


def test_fix_takes_several_tests_after_one_flag(examples):
    ran = examples.whet(
        "fix", "kernels/masked_sum.py::masked_sum_kernel", "--replay", "recorded/masked_sum.md",
        "--json", "--tests", "tests/test_masked_sum.py::test_padded_rows",
        "tests/test_masked_sum.py::test_unpadded_rows",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert ran.finished["reason"] == "fixed"


def test_a_reader_that_goes_away_cancels_the_run_and_loses_nothing(examples):
    examples.sweeping()
    process = examples.start("optimize", "kernels/flip.py::flip_kernel", "--no-model", "--json")
    run = json.loads(process.stdout.readline())["run"]
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert examples.whet("show", run, "--json").finished["reason"] == "cancelled"


def test_the_key_is_in_no_output_prompt_or_store(examples, home):
    key = "sk-a-key-that-must-not-be-seen"
    examples.environment["WHET_API_KEY"] = key
    with ScriptedOpenAI([stumbles(examples)[-1]], key=key) as server:
        ran = examples.whet(
            "optimize", SOFTMAX, "--base-url", server.base_url, "--model", server.model,
            "--iterations", "1", "--json",
        )  # fmt: skip
        asked = [json.dumps(request.body) for request in server.requests]
    assert ran.finished["best"] is not None, "the endpoint refuses every other key"
    assert asked
    assert key not in ran.out + ran.err + "".join(asked)
    stored = [file.read_bytes() for file in home.rglob("*") if file.is_file()]
    assert stored
    assert not any(key.encode() in content for content in stored)
