"""Tables of what was judged, printed once at the end."""

from __future__ import annotations

import sys
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
def tables(pytestconfig: pytest.Config) -> list[str]:
    """What is appended here is printed after the run."""
    return pytestconfig.stash.setdefault(TABLES, [])
