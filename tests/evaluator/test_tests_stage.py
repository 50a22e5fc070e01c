"""What the tests stage reports about a run of pytest, each in a real child."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

UNIT = "def double(x):\n    return 2 * x\n"


def stage(tmp_path: Path, files: dict[str, str], call: str = "tests:run", **job: Any) -> dict:
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        for path, text in {"k.py": UNIT, **files}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
    job = {"mode": "device", "record": False, **job}
    return run_stage(call, make_job(root, scratch, tmp_path / "out", "k.py", **job))


def outcomes(result: dict) -> dict[str, str]:
    return {o["nodeid"].partition("::")[2]: o["outcome"] for o in result["outcomes"]}


def test_every_outcome_is_told_apart(tmp_path: Path) -> None:
    text = """
import pytest, k
def test_passed(): assert k.double(1) == 2
def test_failed(): assert k.double(1) == 3
@pytest.fixture
def broken(): raise RuntimeError("no device")
def test_setup(broken): pass
@pytest.fixture
def leaky():
    yield
    raise RuntimeError("leak")
def test_teardown(leaky): pass
def test_skipped(): pytest.skip("needs eight GPUs")
@pytest.mark.xfail
def test_xfailed(): assert 0
@pytest.mark.xfail
def test_xpassed(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
"""
    result = stage(tmp_path, {"test_it.py": text}, nodes=["test_it.py"])
    assert outcomes(result) == {
        "test_passed": "passed",
        "test_failed": "failed",
        "test_setup": "error",
        "test_teardown": "error",
        "test_skipped": "skipped",
        "test_xfailed": "xfailed",
        "test_xpassed": "xpassed",
        "test_strict": "failed",
    }
    assert result["exit_status"] == 1
    details = {o["nodeid"].partition("::")[2]: o["detail"] for o in result["outcomes"]}
    assert "assert 2 == 3" in details["test_failed"]
    assert "needs eight GPUs" in details["test_skipped"]
    assert details["test_passed"] == ""


def test_a_failure_is_short_and_names_shapes(tmp_path: Path) -> None:
    text = """
import torch, k
def test_it():
    x = torch.ones(3, 5)
    got = k.double(x) + torch.arange(15.).reshape(3, 5)
    torch.testing.assert_close(got, 2 * x)
"""
    result = stage(tmp_path, {"test_it.py": text}, nodes=["test_it.py"])
    (only,) = result["outcomes"]
    assert "Mismatched elements: 14 / 15" in only["detail"]
    assert "x: float32[3, 5]" in only["detail"]
    assert len(only["detail"].splitlines()) <= 30


def test_demanded_nodes_that_do_not_run_are_named(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = -m 'not slow'\nmarkers =\n    slow: slow\n",
        "test_it.py": "import pytest, k\n@pytest.mark.slow\ndef test_slow(): pass\n"
        "def test_fast(): pass\n",
    }
    nodes = ["test_it.py::test_slow", "test_it.py::test_fast"]
    result = stage(tmp_path, files, nodes=nodes)
    assert outcomes(result) == {"test_fast": "passed", "test_slow": "not run"}


def test_a_faked_exit_status_does_not_hide_a_failure(tmp_path: Path) -> None:
    files = {
        "conftest.py": "def pytest_sessionfinish(session, exitstatus):\n"
        "    session.exitstatus = 0\n    session.testsfailed = 0\n",
        "test_it.py": "import k\ndef test_it(): assert k.double(1) == 3\n",
    }
    result = stage(tmp_path, files, nodes=["test_it.py::test_it"])
    assert result["exit_status"] == 0
    assert outcomes(result) == {"test_it": "failed"}


def test_a_collection_error_does_not_stop_the_others(tmp_path: Path) -> None:
    files = {
        "test_bad.py": "import k\nimport does_not_exist\ndef test_bad(): pass\n",
        "test_good.py": "import k\ndef test_good(): pass\n",
    }
    nodes = ["test_bad.py", "test_good.py::test_good"]
    result = stage(tmp_path, files, nodes=nodes)
    by_node = {o["nodeid"]: o for o in result["outcomes"]}
    assert by_node["test_good.py::test_good"]["outcome"] == "passed"
    assert by_node["test_bad.py"]["outcome"] == "error"
    assert "does_not_exist" in by_node["test_bad.py"]["detail"]


def test_options_that_would_stop_or_spread_the_run_are_off(tmp_path: Path) -> None:
    files = {
        "pytest.ini": "[pytest]\naddopts = -x -n 2 --ff\n",
        "test_it.py": "import k\ndef test_a(): assert 0\ndef test_b(): assert k.double(1) == 2\n",
    }
    result = stage(tmp_path, files, nodes=["test_it.py"])
    assert outcomes(result) == {"test_a": "failed", "test_b": "passed"}


def test_collect_lists_nodes_and_errors(tmp_path: Path) -> None:
    files = {
        "tests/test_it.py": "import pytest, k\n@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_a(n): pass\nclass TestB:\n    def test_c(self): pass\n",
        "tests/test_bad.py": "def broken(:\n",
    }
    result = stage(tmp_path, files, "tests:collect", tests=["tests"])
    assert sorted(result["nodes"]) == [
        "tests/test_it.py::TestB::test_c",
        "tests/test_it.py::test_a[1]",
        "tests/test_it.py::test_a[2]",
    ]
    (error,) = result["errors"]
    assert error["path"] == "tests/test_bad.py"
    assert "SyntaxError" in error["message"]


def test_nodes_past_the_interpreter_budget_are_named_not_run(tmp_path: Path) -> None:
    text = "import k\ndef test_a(): pass\ndef test_b(): pass\n"
    result = stage(
        tmp_path, {"test_it.py": text}, nodes=["test_it.py"], mode="interpret", budget_s=0.0
    )
    assert result["too_slow"] == ["test_it.py::test_a", "test_it.py::test_b"]
    assert outcomes(result) == {"test_a": "not run", "test_b": "not run"}


def test_a_test_far_past_the_interpreter_budget_ends_alone(tmp_path: Path) -> None:
    text = (
        "import k\n"
        "def test_before(): pass\n"
        "def test_endless():\n"
        "    try:\n"
        "        while True: k.double(1)\n"
        "    except Exception: pass\n"
        "def test_after(): pass\n"
    )
    result = stage(
        tmp_path, {"test_it.py": text}, nodes=["test_it.py"], mode="interpret", budget_s=1.0
    )
    assert result["too_slow"] == ["test_it.py::test_endless", "test_it.py::test_after"]
    expected = {"test_before": "passed", "test_endless": "not run", "test_after": "not run"}
    assert outcomes(result) == expected
