"""The installed `whet` on a copy of the examples, with a store and settings of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import doubling

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
WHET = Path(sys.executable).with_name("whet")


@dataclass
class Ran:
    """A finished command."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def finished(self) -> dict:
        last = self.lines[-1]
        assert last["event"] == "finished", self
        return last


class Project:
    """A user's project and the commands run in it."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("WHET_")
        } | {
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
            "WHET_PYTHON": sys.executable,
            "WHET_STORE": str(home / "runs.sqlite"),
            "WHET_SWEEP": "false",  # the tests that are about the sweep turn it on
            "WHET_LIMITS_DIFFERENTIAL_CASES": "0",  # on where a test is about them
            # What else is installed beside pytest here is no part of a user's project.
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        self.environment.pop("OPENAI_API_KEY", None)

    def start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [WHET, *map(str, arguments)], cwd=self.root, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def whet(self, *arguments: str, limit_s: float = 400.0) -> Ran:
        process = self.start(*arguments)
        try:
            out, err = process.communicate(timeout=limit_s)
        finally:
            process.kill()
        return Ran(process.returncode, out, err)

    def sweeping(self) -> Project:
        del self.environment["WHET_SWEEP"]
        return self

    def read(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def copy_of_examples(folder: Path, home: Path) -> Project:
    """A trusted copy of `examples/` below `folder`."""
    root = folder / "examples"
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(EXAMPLES, root, ignore=ignored)
    home.mkdir(exist_ok=True)
    project = Project(root, home)
    project.whet("trust")
    return project


@pytest.fixture
def examples(tmp_path: Path, home: Path) -> Project:
    """A trusted copy of `examples/`."""
    return copy_of_examples(tmp_path, home)


@pytest.fixture
def empty(tmp_path: Path, home: Path) -> Project:
    """A trusted project without files."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'kernels'\nversion = '0'\n")
    project = Project(root, home)
    project.whet("trust")
    return project


@pytest.fixture(scope="module")
def doubling_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The small project of `doubling`, trusted, for all tests of one file."""
    home, root = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("project")
    doubling.write(root)
    project = Project(root, home)
    project.whet("trust")
    return project
