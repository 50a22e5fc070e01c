"""`whet verify` on one stored run: what holds, and exactly what does not any more."""

from __future__ import annotations

import hashlib
import json
import shutil

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


def test_a_test_file_that_no_longer_imports_is_one_check_with_its_error(project):
    edit(project, "test_k.py", "import pytest", "import nosuch\nimport pytest")
    status, checks = verify(project)
    assert status == 1
    changed = {what: one["sentence"] for what, one in checks.items() if one["status"] == "changed"}
    assert changed.keys() == {"test_k.py", "test_k.py (collected)"}
    assert changed["test_k.py (collected)"] == (
        "test_k.py cannot be imported any more: ModuleNotFoundError: No module named 'nosuch'"
    )


@pytest.fixture
def moved(project, tmp_path):
    """The project in a new and untrusted folder, and where it was."""
    old = project.root
    project.root = tmp_path / "moved"
    shutil.move(old, project.root)
    yield old
    shutil.move(project.root, old)
    project.root = old


def test_a_moved_project_is_verified_where_it_is_now(project, moved):
    refused = project.whet("verify", project.run)
    assert refused.status == 1
    assert f"{project.root} is not trusted" in refused.err
    status, checks = verify(project, "--trust")
    assert status == 0
    said = f"The project was at {moved}; verifying it here in {project.root}."
    assert checks["project"]["sentence"] == said
    assert "passes 2 tests again" in checks["correctness"]["sentence"]


def test_a_project_that_is_neither_there_nor_here_is_one_sentence_with_the_cure(
    project, moved, tmp_path
):
    (project.root / "k.py").rename(tmp_path / "k.py")
    ran = project.whet("verify", project.run)
    (tmp_path / "k.py").rename(project.root / "k.py")
    assert ran.status == 1
    assert ran.err == (
        f"whet: Run {project.run} was in {moved}, which is not there, and this folder's project has "
        f"no k.py: run `whet verify {project.run}` from the project's new folder.\n"
    )
