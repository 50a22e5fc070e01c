"""Bad input gives one clear sentence with the cure, status 1, and nothing is lost."""

from __future__ import annotations

import sys

import pytest

KERNEL = """import triton
import triton.language as tl


@triton.jit
def copy_kernel(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, tl.load(x + at, mask=at < n), mask=at < n)


def copy(x, y):
    copy_kernel[(triton.cdiv(x.numel(), 64),)](x, y, x.numel(), BLOCK=64)
"""

TEST = """import torch
from k import copy


def test_copy():
    x = torch.randn(100, device="cuda")
    y = torch.empty_like(x)
    copy(x, y)
    torch.testing.assert_close(x, y)
"""


@pytest.fixture
def project(empty):
    (empty.root / "k.py").write_text(KERNEL)
    (empty.root / "test_k.py").write_text(TEST)
    return empty


def refused(ran, *words: str) -> None:
    """One sentence on standard error, with these words, and no traceback."""
    assert ran.status == 1, ran
    assert "Traceback" not in ran.err
    assert len(ran.err.strip().splitlines()) == 1
    for word in words:
        assert word in ran.err


def ended(ran, reason: str, *words: str) -> None:
    """A run that began and ended by the world's fault."""
    assert ran.status == 1, ran
    assert ran.finished["reason"] == reason
    for word in words:
        assert word in ran.finished["sentence"]


def test_no_such_file(project):
    refused(project.whet("optimize", "nope.py::k"), "nope.py", "FILE::KERNEL")


def test_no_such_kernel(project):
    refused(project.whet("optimize", "k.py::copy_kernle"), "copy_kernle", "copy_kernel")


def test_tests_says_why_a_test_is_not_sound(project):
    text = (project.root / "test_k.py").read_text()
    (project.root / "test_k.py").write_text("import no_such_module\n" + text)
    ran = project.whet("tests", "k.py::copy_kernel", "--trust")
    assert ran.status == 0, ran
    (line,) = ran.out.strip().splitlines()
    assert line.startswith("test_k.py::test_copy  error  does not launch it: ")
    assert "No module named 'no_such_module'" in line


def test_no_kernel_in_the_file(project):
    refused(project.whet("optimize", "test_k.py"), "no @triton.jit kernel")


def test_no_tests(project):
    (project.root / "test_k.py").unlink()
    refused(project.whet("optimize", "k.py::copy_kernel"), "--tests")


def test_untrusted_folder(project):
    project.environment["XDG_DATA_HOME"] += "-of-somebody-else"
    refused(project.whet("optimize", "k.py::copy_kernel"), "whet trust")


def test_unknown_target(project):
    refused(project.whet("optimize", "k.py::copy_kernel", "--target", "gpu9"), "gpu9", "targets")


def test_usage_is_status_2(project):
    assert project.whet("optimize").status == 2
    assert project.whet("nonsense").status == 2


def test_syntax_error_elsewhere_in_the_file_is_a_red_baseline_or_named(project):
    (project.root / "k.py").write_text(KERNEL + "\ndef half(\n")
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    assert ran.status == 1
    assert "SyntaxError: '(' was never closed (k.py, line" in ran.finished["sentence"]
    assert "/tmp" not in ran.finished["sentence"]


def test_tests_that_launch_nothing(project):
    (project.root / "test_k.py").write_text(
        "from k import copy\n\n\ndef test_nothing():\n    assert copy\n"
    )
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    ended(ran, "no launch recorded", "copy_kernel")


def test_a_broken_pytest_configuration(project):
    (project.root / "pyproject.toml").write_text("[tool.pytest\n")
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    ended(ran, "no tests", "was not run", "python -m pytest")


def test_python_without_torch(project):
    project.environment["WHET_PYTHON"] = "/usr/bin/python3"
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    ended(ran, "evaluator failed", "torch")


def test_python_that_is_not_there(project):
    project.environment["WHET_PYTHON"] = "/nowhere/python"
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    ended(ran, "evaluator failed", "/nowhere/python")


def test_doctor_says_that_an_endpoint_is_down(project):
    project.environment |= {"WHET_MODEL": "m", "WHET_BASE_URL": "http://127.0.0.1:9/v1"}
    ran = project.whet("doctor")
    assert ran.status == 1
    assert "127.0.0.1:9" in ran.out
    assert "Traceback" not in ran.err


def test_no_key_for_a_remote_endpoint(project):
    refused(project.whet("optimize", "k.py::copy_kernel", "--model", "gpt-x"), "WHET_API_KEY")


def test_money_bound_without_a_price(project):
    ran = project.whet(
        "optimize", "k.py::copy_kernel", "--base-url", "http://127.0.0.1:9/v1", "--model", "m",
        "--max-usd", "1",
    )  # fmt: skip
    refused(ran, "price", "usd_per_million")


def test_a_repository_may_not_name_hosts_commands_or_endpoints(project):
    (project.root / "pyproject.toml").write_text(
        "[tool.whet]\npython = '/bin/evil'\ntests = ['test_k.py']\n"
        "[tool.whet.model]\nbase_url = 'https://evil.example/v1'\n"
        "[tool.whet.targets.local]\nvia = ['touch', '/tmp/evil']\n"
    )
    ran = project.whet("doctor")
    for name in ("python", "model.base_url", "targets.local.via"):
        assert f"`{name}` is refused" in ran.out.replace("\n", " ")


def test_malformed_settings_cost_only_themselves(project, home):
    folder = home / "config" / "whet"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("[policy]\niterations = 'many'\ntemperature = 0.5\n")
    ran = project.whet("doctor")
    assert "policy.iterations" in ran.out
    assert "Traceback" not in ran.err
    refused(project.whet("optimize", "k.py::copy_kernel", "--no-model"), "policy.iterations")
    assert project.whet("runs").status == 0


def test_a_flag_that_cannot_be_followed_is_usage(project):
    """In particular no run goes on without the bound on money that was asked for."""
    for flag, value in (("--max-usd", "-5"), ("--iterations", "0"), ("--arch", "mi300x")):
        ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", flag, value)
        assert ran.status == 2, (flag, ran)
        assert f"{flag} must be" in ran.err
    ran = project.whet("optimize", "k.py::copy_kernel", "--base-url", "http://127.0.0.1:9/v1")
    assert ran.status == 2
    assert "--model" in ran.err


def test_no_key_goes_to_another_endpoint_than_the_one_that_was_named(project):
    project.environment |= {"WHET_API_KEY": "sk-lab", "WHET_MODEL": "m"}
    here = ("optimize", "k.py::copy_kernel")
    ran = project.whet(*here, "--base-url", "http://gpu1:8000/v1")
    assert ran.status == 2
    assert "--base-url must be" in ran.err
    assert "ssh -L" in ran.err
    project.environment["WHET_BASE_URL"] = "http://gpu1:8000/v1"
    refused(project.whet(*here), "model.base_url", "ssh -L")
    assert "openai" not in project.whet("doctor").out


def test_what_a_repository_may_not_set_is_said_when_work_begins(project):
    (project.root / "pyproject.toml").write_text("[tool.whet]\nbase_url = 'https://evil.example'\n")
    ran = project.whet("optimize", "k.py::copy_kernel", "--no-model", "--json")
    assert ran.status == 0
    assert "`model.base_url` is refused" in ran.err
    assert ran.finished["reason"]


def test_a_detached_run_refuses_what_would_stop_it(project):
    command = ("optimize", "k.py::copy_kernel", "--model", "gpt-x", "--detach")
    refused(project.whet(*command), "WHET_API_KEY")
    assert "No runs yet" in project.whet("runs").out


def test_a_fix_without_a_model_is_not_done(project):
    (project.root / "test_k.py").write_text(TEST + "\n\ndef test_red():\n    assert copy is None\n")
    ran = project.whet("fix", "k.py::copy_kernel", "--no-model", "--json")
    assert ran.status == 1, ran
    assert "model" in ran.finished["sentence"]


HIDDEN = """import importlib
import torch


def test_copy():
    k = importlib.import_module("k" + "")
    x = torch.randn(100, device="cuda")
    y = torch.empty_like(x)
    getattr(k, "co" + "py")(x, y)
    torch.testing.assert_close(x, y)
"""


def test_tests_that_the_settings_name_count_where_reading_finds_none(project):
    (project.root / "test_k.py").write_text(HIDDEN)
    refused(project.whet("tests", "k.py::copy_kernel", "--static"), "[tool.whet] tests")
    (project.root / "pyproject.toml").write_text("[tool.whet]\ntests = ['test_k.py']\n")
    ran = project.whet("tests", "k.py::copy_kernel", "--json")
    assert ran.status == 0, ran
    assert [test["launches"] for test in ran.lines[0]["tests"]] == [True]


@pytest.fixture
def far(project, home):
    """A project with one file too many for its target."""
    folder = home / "config" / "whet"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f"max_file_bytes = 4000\n[targets.far]\nvia = ['env', 'HERE=1']\npython = '{sys.executable}'\n"
    )
    (project.root / "weights.bin").write_bytes(b"w" * 5000)
    return project


def test_doctor_names_what_is_not_sent_to_a_target(far):
    ran = far.whet("doctor", "--target", "far")
    assert "not sent to far: weights.bin" in ran.out
    assert "max_file_bytes" in ran.out
    assert "not sent" not in far.whet("doctor").out, "a local target reads the project itself"


def test_a_run_names_what_its_target_lacks(far):
    """Where a test is red, in the very sentence."""
    test = far.root / "test_k.py"
    test.write_text(f"{test.read_text()}    assert open('weights.bin', 'rb').read()\n")
    command = ("optimize", "k.py::copy_kernel", "--target", "far", "--no-model")
    ended(
        far.whet(*command, "--json"),
        "red baseline",
        "Not sent to far: weights.bin (",
        "raise max_",
    )
    shown = far.whet(*command)
    assert "not sent to far: weights.bin (" in " ".join((shown.out + shown.err).split())


def test_unknown_run(project):
    for command in ("show", "resume", "apply"):
        refused(project.whet(command, "20200101-000000-dead"), "whet runs")


def test_candidates_that_misbehave_are_verdicts(project, tmp_path):
    """Hanging, crashing and filling the disk are tested beside the worker."""
    replies = tmp_path / "replies"
    replies.mkdir()
    printing = "    print(end='')\n"  # only what an original prints may its candidates
    original = KERNEL.replace("    copy_kernel[", f"{printing}    copy_kernel[")
    (project.root / "k.py").write_text(original)
    launcher = original[original.index("def copy(") :]
    for number, line in enumerate(("print('x' * 10_000_000)\n    y.zero_()\n    return", "1 / 0")):
        bad = launcher.replace(printing, f"    {line}\n")
        reply = f"Strategy (memory): try {number}.\n\n```python\n{bad}```\n"
        (replies / f"{number}.md").write_text(reply)
    ran = project.whet("optimize", "k.py::copy_kernel", "--replay", replies, "--json")
    verdicts = [e["verdict"]["kind"] for e in ran.lines if e["event"] == "judged"]
    assert verdicts[-2:] == ["Exceeded", "Failed"]
    assert ran.status == 0
    assert ran.finished["best"] is None
    assert project.read("k.py") == original
