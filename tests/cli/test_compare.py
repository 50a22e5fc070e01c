"""`whet compare`: edits that Whet did not make, judged by the same cascade."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
    git = ("git", "rev-parse", "HEAD")
    head = subprocess.run(git, cwd=project.root, capture_output=True, text=True, check=True)
    assert found["commit"] == head.stdout.strip()
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


@pytest.fixture
def second(project):
    """A further live target, of which the tests can know that they run there; by a prefix of argv."""
    folder = Path(project.environment["XDG_CONFIG_HOME"], "whet")
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(
        f"[targets.second]\nvia = ['env']\npython = '{sys.executable}'\nenv = {{ SECOND = '1' }}\n"
    )
    yield project
    config.unlink()


def test_a_further_target_that_lives_judges_too(second):
    write(second, doubling.ONE_LOAD)
    ran = second.whet("compare", KERNEL, "--against", "HEAD", "--also", "second", "--json")
    assert ran.status == 0, ran
    here, there = json.loads(ran.out)["targets"]
    assert [here["target"], there["target"]] == ["local", "second"]
    assert here["verdict"] == there["verdict"] == "correct, untimed"
    assert there["evidence"]["how"] == "counted"


@pytest.mark.parametrize("is_wrong_there", [False, True], ids=["red before", "wrong there"])
def test_what_a_further_target_objects_to_is_said_and_is_status_1(second, is_wrong_there):
    """The tests are red there before and after, or with the new version alone."""
    test = doubling.FILES["test_k.py"]
    excused = "KERNELS and " if is_wrong_there else ""
    red = f"    assert not ({excused}'SECOND' in os.environ)\n"
    new = f"{doubling.ONE_LOAD}\n\nNEW = True\n"
    head = "import os\n\nimport k\n\nKERNELS = hasattr(k, 'NEW')\n"
    (second.root / "test_k.py").write_text(head + test + red)
    write(second, new)
    ran = second.whet("compare", KERNEL, "--against", "HEAD", "--also", "second", "--json")
    assert ran.status == 1, ran
    here, there = json.loads(ran.out)["targets"]
    assert here["verdict"] == "correct, untimed"
    assert there["verdict"] == ("wrong" if is_wrong_there else "not judged")
    assert "test_k.py::test_double" in json.dumps(there)
    page = second.whet("compare", KERNEL, "--against", "HEAD", "--also", "second")
    assert page.status == 1
    assert f"## second: {there['verdict']}" in page.out


def test_a_further_target_out_of_reach_is_compiled_for(second):
    config = Path(second.environment["XDG_CONFIG_HOME"], "whet", "config.toml")
    config.write_text("[targets.second]\nvia = ['false']\npython = 'python3'\narch = 'gfx942'\n")
    write(second, doubling.ONE_LOAD)
    ran = second.whet("compare", KERNEL, "--against", "HEAD", "--also", "second", "--json")
    assert ran.status == 0, ran
    _, there = json.loads(ran.out)["targets"]
    assert (there["verdict"], there["arch"]) == ("compiled only", "gfx942")


def test_a_wrong_edit_is_status_1_with_the_case(project):
    write(project, doubling.KERNEL.replace("x + again, mask=at < n", "x + again, mask=at < n - 1"))
    ran = project.whet("compare", KERNEL, "--against", "HEAD")
    assert ran.status == 1, ran
    assert "local: wrong result" in ran.out
    assert "test_k.py::test_double" in ran.out
    assert "```diff" in ran.out


@pytest.fixture
def broken(project, tmp_path) -> Path:
    """Right for one block alone, so that it passes one of the two tests."""
    before = tmp_path / "before.py"
    before.write_text(doubling.KERNEL.replace("blocks(x.numel(), 64)", "1"))
    kept = dict(project.environment)
    project.environment |= {
        "WHET_LIMITS_DIFFERENTIAL_S": "8",
        "WHET_LIMITS_DIFFERENTIAL_CASES": "6",
    }
    yield before
    project.environment.update(kept)


def test_an_edit_that_mends_a_red_test(project, broken):
    """Where the original fails its outputs are no reference: those differences are listed."""
    ran = project.whet("compare", KERNEL, "--against", broken, "--json")
    assert ran.status == 0, ran
    (here,) = json.loads(ran.out)["targets"]
    assert here["mended"] == ["test_k.py::test_double[100]"]
    assert here["still_red"] == []
    assert here["verdict"] == "correct, untimed"
    assert here["evidence"]["timing"]["reason"] == "no GPU on this host, so nothing was timed"
    assert "bytes" not in ran.out.partition("targets")[0], "each made other calls"


def test_an_edit_that_mends_one_call_may_spoil_no_other(project, broken):
    """What the tests call and the original does right must stay so, and all memory its own."""
    again = "again = tl.load(x_ptr + at, mask=at < n"
    write(project, doubling.KERNEL.replace(again, again + " + 28"))
    ran = project.whet("compare", KERNEL, "--against", broken)
    assert ran.status == 1, ran.out
    assert "outside every tensor" in ran.out


def test_an_edit_whose_original_passes_nothing_stands_on_tests_alone(project, tmp_path):
    before = tmp_path / "before.py"
    before.write_text(doubling.KERNEL.replace("return 1\n", "return 1\n\n\nraise RuntimeError\n"))
    ran = project.whet("compare", KERNEL, "--against", before)
    assert ran.status == 0, ran
    assert "**tests alone** on local: Correct by 2 tests alone" in ran.out
    assert "passes none of them" in ran.out


def test_what_changed_in_a_file_below_is_not_called_the_same(project):
    """One file's text is exchanged, so what it imports is the same in both versions."""
    helpers = project.root / "helpers.py"
    helpers.write_text(helpers.read_text().replace("size - 1", "size"))
    ran = project.whet("compare", KERNEL, "--against", "HEAD")
    assert ran.status == 1, ran
    assert "what it imports is not: helpers.py" in " ".join(ran.err.split())


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
