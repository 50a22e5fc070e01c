"""Editors and the scripted model for the scenarios, each of them fresh and ended after it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import home, processes, vscode
from tests.e2e.editor import Editor
from tests.e2e.nvim import Neovim
from tests.e2e.openai_server import ScriptedOpenAI
from tests.e2e.project import Project

EDITORS = ("nvim-trixie", "nvim-forky", "code-server")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Leaves on the item whether its own part failed, for the fixtures that clean up after it."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call":
        item.stash[FAILED] = report.failed


FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def extensions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An extensions folder with ours in it."""
    folder = tmp_path_factory.mktemp("vscode") / "extensions"
    vscode.install_extension(folder)
    return folder


StartEditor = Callable[[Project, ScriptedOpenAI], Editor]


@pytest.fixture(params=EDITORS)
def start_editor(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StartEditor]:
    """Starts the editor under test on a project, with a model behind `server`."""
    kind: str = request.param
    started: list[tuple[Editor, Project]] = []

    def start(project: Project, server: ScriptedOpenAI, **more: Any) -> Editor:
        options = {
            "trusted": True, "python": sys.executable, "model": server.model,
            "baseUrl": server.base_url, **more,
        }  # fmt: skip
        if kind == "code-server":
            extensions = request.getfixturevalue("extensions")
            editor: Editor = vscode.VSCode(extensions, project, options)
        else:
            editor = Neovim(kind.removeprefix("nvim-"), project, options)
        started.append((editor, project))
        return editor

    yield start
    for editor, project in started:
        try:
            if request.node.stash.get(FAILED, True):
                leave_traces(request.node.name, editor)
        finally:
            editor.close()
            left = processes.survivors(processes.marked(project.mark), within_s=3)
            processes.kill(left)
        assert not left, f"processes outlived the editor: {left}"


def leave_traces(test: str, editor: Editor) -> None:
    folder = home.TRACES / re.sub(r"[^\w.-]+", "-", test)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    editor.leave_traces(folder)
