"""Tests written for a GPU run unchanged on the interpreter; what cannot is said why."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

HABITS = Path(__file__).parent / "projects" / "habits"
NAMES = re.findall(r"^def (test_\w+)", (HABITS / "test_habits.py").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def habits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    tmp_path = tmp_path_factory.mktemp("habits")
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    shutil.copytree(HABITS, root)
    shutil.copytree(HABITS, scratch)
    job = make_job(root, scratch, tmp_path / "out", "kernels.py", arch="sm_90")
    result = run_stage("tests:run", {**job, "nodes": ["test_habits.py"]})
    by_name: dict[str, list[dict]] = {}
    for outcome in result["outcomes"]:
        by_name.setdefault(re.split(r"::|\[", outcome["nodeid"])[1], []).append(outcome)
    return by_name


@pytest.mark.parametrize("name", NAMES)
def test_habit(habits: dict[str, list[dict]], name: str) -> None:
    for outcome in habits[name]:
        assert outcome["outcome"] == "passed", outcome["detail"]
