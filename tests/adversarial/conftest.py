"""Tables of what was judged, printed once at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore = ["projects", "seeded/project"]  # tests of users' projects, run by workers

TABLES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for table in terminalreporter.config.stash.get(TABLES, []):
        terminalreporter.write_line("")
        terminalreporter.write_line(table)


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Shows a line at once, since some of these tests take half an hour."""
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capturing = pytestconfig.pluginmanager.get_plugin("capturemanager")
    assert terminal is not None
    assert capturing is not None

    def say(line: str) -> None:
        with capturing.global_and_fixture_disabled():
            terminal.write_line(line, flush=True)

    return say


@pytest.fixture(scope="session")
def tables(pytestconfig: pytest.Config) -> list[str]:
    """What is appended here is printed after the run."""
    return pytestconfig.stash.setdefault(TABLES, [])
