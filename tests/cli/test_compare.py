"""`whet compare`: edits that Whet did not make, judged by the same cascade."""

from __future__ import annotations

import json
import subprocess

import doubling
import pytest

KERNEL = "k.py::double_kernel"


@pytest.fixture(scope="module")
def project(doubling_project):
    """A git repository; `HEAD` is the project as `doubling` writes it."""
    git = ("git", "-c", "user.name=n", "-c", "user.email=n@localhost")
    for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "one")):
        subprocess.run([*git, *command], cwd=doubling_project.root, check=True)
    # Generated cases are part of what `test_verify` repeats; here they would only cost time.
    doubling_project.environment["WHET_LIMITS_DIFFERENTIAL_S"] = "0"
    return doubling_project


@pytest.fixture(autouse=True)
def _as_it_was(project):
    yield
    doubling.write(project.root)


def write(project, text: str) -> None:
    (project.root / "k.py").write_text(text)


def test_a_good_edit_with_more_than_the_unit_changed(project):
    write(project, doubling.ONE_LOAD.replace("return 1", "return 2"))
    (project.root / "other.py").write_text("ANSWER = 43\n")
    ran = project.whet("compare", KERNEL, "--against", "HEAD", "--also", "sm_90", "--json")
    assert ran.status == 0, ran
    found = json.loads(ran.out)
    assert found["against"] == "HEAD"
    here, there = found["targets"]
    assert here["verdict"] == "correct, untimed"
    assert here["evidence"]["how"] == "counted"
    assert "bytes where HEAD moves" in found["sentence"]
    assert "faster" not in ran.out
    assert there["verdict"] == "compiled only"
    assert {unit["arch"] for unit in there["compiled"]["compiled"]} == {"sm_90"}
    notes = " ".join(found["notes"])
    assert "compared as whole files" in notes
    assert "other.py" in notes
    assert project.read("k.py").endswith("return 2\n"), "nothing is written"


def test_a_wrong_edit_is_status_1_with_the_case(project):
    write(project, doubling.KERNEL.replace("x + again, mask=at < n", "x + again, mask=at < n - 1"))
    ran = project.whet("compare", KERNEL, "--against", "HEAD")
    assert ran.status == 1, ran
    assert "local: wrong result" in ran.out
    assert "test_k.py::test_double" in ran.out
    assert "```diff" in ran.out


def test_an_edit_that_mends_a_red_test(project, tmp_path):
    """The original's outputs are no reference then, so only the tests decide."""
    broken = tmp_path / "before.py"
    broken.write_text(doubling.KERNEL.replace("blocks(x.numel(), 64)", "1"))
    ran = project.whet("compare", KERNEL, "--against", broken, "--json")
    assert ran.status == 0, ran
    (here,) = json.loads(ran.out)["targets"]
    assert here["mended"] == ["test_k.py::test_double[100]"]
    assert here["still_red"] == []
    assert here["evidence"]["timing"]["timed"] is False


def test_nothing_to_compare_runs_nothing(project):
    ran = project.whet("compare", KERNEL, "--against", "HEAD", "--json")
    assert ran.status == 0
    found = json.loads(ran.out)
    assert found["targets"] == []
    assert "nothing to compare" in found["sentence"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((KERNEL, "--against", "no-such-branch"), "no-such-branch"),
        (("k.py::nope", "--against", "HEAD"), "nope"),
    ],
)
def test_what_was_misnamed_is_status_2(project, arguments, word):
    ran = project.whet("compare", *arguments)
    assert ran.status == 2
    assert word in ran.err
    assert "Traceback" not in ran.err
