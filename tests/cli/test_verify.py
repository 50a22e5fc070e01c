"""`whet verify` on one stored run: what holds, and exactly what does not any more."""

from __future__ import annotations

import hashlib
import json

import doubling
import pytest


@pytest.fixture(scope="module")
def project(doubling_project):
    """With one finished run, whose id is `project.run`."""
    made = doubling_project
    made.environment["WHET_LIMITS_DIFFERENTIAL_CASES"] = "6"
    ran = made.whet("optimize", "k.py::double_kernel", "--replay", "replies", "--json")
    assert ran.finished["best"] is not None, ran
    made.run, made.best = ran.finished["run"], ran.finished["best"]
    return made


@pytest.fixture(autouse=True)
def _as_it_was(project):
    yield
    doubling.write(project.root)


def verify(project, *arguments: str) -> tuple[int, dict[str, dict]]:
    """Exit status, and the checks by what they are about."""
    ran = project.whet("verify", project.run, "--json", *arguments)
    assert ran.err == "", ran
    found = json.loads(ran.out)
    assert found["holds"] == (ran.status == 0)
    return ran.status, {check["what"]: check for check in found["checks"]}


def edit(project, path: str, old: str, new: str) -> None:
    text = project.read(path)
    assert old in text
    (project.root / path).write_text(text.replace(old, new, 1))


def short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_record_that_a_run_keeps(project):
    evidence = project.best["evidence"]
    hashes, here = evidence["hashes"], evidence["environment"]
    for path, kept in (("test_k.py", "tests"), ("pyproject.toml", "configuration"),
                       ("helpers.py", "helpers")):  # fmt: skip
        expected = hashlib.sha256(doubling.FILES[path].encode()).hexdigest()
        assert hashes[kept][path] == expected
    for text, kept in ((doubling.KERNEL, "original"), (project.best["text"], "candidate")):
        assert hashes[kept] == hashlib.sha256(text.encode()).hexdigest()
    assert evidence["how"] == "counted"
    assert evidence["timing"] == {"timed": False, "reason": evidence["timing"]["reason"]}
    assert {"load", "tests"} <= evidence["stage_s"].keys()
    assert here["isolation"] in ("strong", "partial", "none")
    assert here["triton"]
    assert here["whet"]
    assert "TRITON_DEFAULT_FP_FUSION" in here["settings"]


def test_an_untouched_project_holds_and_is_judged_again(project):
    status, checks = verify(project)
    assert status == 0
    assert {one["status"] for one in checks.values()} <= {"holds", "said"}
    assert "passes 2 tests again" in checks["correctness"]["sentence"]
    assert "equal again" in checks["generated cases"]["sentence"]
    assert checks["counted (original)"]["status"] == "holds"
    assert checks["counted (candidate)"]["status"] == "holds"


def test_one_character_of_the_test_file(project):
    edit(project, "test_k.py", "[1, 100]", "[1, 101]")
    status, checks = verify(project, "--hashes")
    assert status == 1
    changed = [what for what, check in checks.items() if check["status"] == "changed"]
    assert changed == ["test_k.py"]
    sentence = checks["test_k.py"]["sentence"]
    assert sentence.startswith("The test file test_k.py changed since")
    assert short(doubling.FILES["test_k.py"]) in sentence
    assert short(project.read("test_k.py")) in sentence


def test_one_character_of_the_kernel_and_of_a_module_it_imports(project):
    edit(project, "k.py", "x + again", "x - again")
    edit(project, "helpers.py", "size - 1", "size - 2")
    (project.root / "conftest.py").write_text("")
    status, checks = verify(project, "--hashes")
    (project.root / "conftest.py").unlink()
    assert status == 1
    changed = {what: one["sentence"] for what, one in checks.items() if one["status"] == "changed"}
    assert changed.keys() == {"k.py", "helpers.py", "conftest.py"}
    assert "unit of double_kernel in k.py changed" in changed["k.py"]
    assert "imported module helpers.py changed" in changed["helpers.py"]
    assert "conftest.py is new" in changed["conftest.py"]


def test_edits_that_no_verdict_rests_on_are_said_and_end_nothing(project):
    project.whet("apply", project.run)
    edit(project, "k.py", "return 1", "return 2")
    edit(project, "other.py", "42", "43")
    status, checks = verify(project, "--hashes")
    assert status == 0
    assert checks["k.py"]["status"] == "said"
    assert "outside the unit" in checks["k.py"]["sentence"]
    assert "as the run offered it" in checks["k.py"]["sentence"]
    assert checks["other sources"]["status"] == "said"
    assert "other.py" in checks["other sources"]["sentence"]
