"""Real workers for real projects: what the tests of the worker share."""
# ruff: noqa: ASYNC240 - a test may block its own loop: nothing else runs in it

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from whet_evaluator.client import WorkerEvaluator
from whet_evaluator.evaluation import Candidate, Progress, Target, Workspace
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import WorkerVerdict
from whet_evaluator.worker.unit_ref import UnitRef

collect_ignore = ["projects"]  # tests of users' projects, run by workers

HABITS = "# Uses ctypes, subprocess, thread, socket, environ, open(, write_text and gc.\n"
"""What an original does itself is no trick in a candidate: these tests are about what holds
a candidate that does it, not about `integrity`, which would end most of them first."""
TEST_FILE = "from unit import value\n\n\ndef test_value():\n    assert value() == 1\n"


class SmallProject:
    """A unit `unit.py` and one test of it, plain Python: what is judged here is the worker."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.original = HABITS + "def value():\n    return 1\n"
        self.write("unit.py", self.original)
        self.write("test_unit.py", TEST_FILE)
        self.write("conftest.py", "")

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def workspace(self, **limits: float) -> Workspace:
        return Workspace(root=self.root, limits=Limits(**limits))  # type: ignore[arg-type]

    @property
    def unit(self) -> UnitRef:
        return UnitRef(path="unit.py", kernels=(), launchers=("value",), text=self.original)

    def candidate(self, text: str) -> Candidate:
        return Candidate(
            unit=self.unit, text=text, nodes=("test_unit.py::test_value",), launches=(), seed=1
        )

    async def judge(
        self, worker: WorkerEvaluator, text: str, *, fresh: bool = False, **limits: float
    ) -> WorkerVerdict:
        """The verdict on `text` as the unit's new content."""
        await worker.open(self.workspace(**limits))
        judge = worker.confirm if fresh else worker.evaluate
        return await judge(self.candidate(text), ignore)


def ignore(progress: Progress) -> None:
    """Takes progress and does nothing."""


@pytest.fixture(scope="session", autouse=True)
def no_plugins_of_ours() -> Iterator[None]:
    """What else is installed beside pytest here is no part of a user's project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    root = tmp_path / "project"
    root.mkdir()
    return SmallProject(root)


@pytest.fixture(scope="module")
def worker_tmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The module's worker's TMPDIR: everything it leaves would lie here."""
    folder = tmp_path_factory.mktemp("worker-tmp")
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(worker_tmp: Path) -> AsyncIterator[WorkerEvaluator]:
    """One local worker for a whole module; nothing of it may be left at the end."""
    async with WorkerEvaluator(Target(python=sys.executable)) as evaluator:
        yield evaluator
    _sweep(worker_tmp)
    assert list(worker_tmp.iterdir()) == []
    assert processes_naming(str(worker_tmp)) == []


def _sweep(folder: Path) -> None:
    """What a worker does when it starts: workers that a test killed left their folders."""
    code = "from whet_evaluator.worker import folders; folders.remove_stale()"
    subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(folder)}, check=True
    )


def processes_naming(text: str) -> list[int]:
    """Live processes whose command line contains `text`, this one excepted."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if text.encode() in command and int(process.name) != os.getpid():
            found.append(int(process.name))
    return found


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Polls until `condition` holds; False if it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture(name="processes_naming")
def _processes_naming() -> Callable[[str], list[int]]:
    return processes_naming


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], bool], float], bool]:
    return wait_until
