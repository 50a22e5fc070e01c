"""What the scenarios need of an editor. `vscode.py` and `nvim.py` each drive a real one."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")


class Editor(Protocol):
    """A running editor with one file open. Every method acts as a person would."""

    def open(self, file: Path) -> None: ...

    def go_to(self, line: int) -> None:
        """Puts the cursor on a line, counted from 1."""

    def choose_action(self, title: str) -> None:
        """Picks a code action at the cursor, waiting until it is offered."""

    def offers_action(self, title: str) -> bool: ...

    def type_line_above(self, text: str) -> None:
        """Types one new line above the line that `go_to` went to."""

    def text(self) -> str:
        """All of the buffer."""

    def undo(self) -> None: ...

    def progress(self) -> str:
        """What is shown of runs, such as `softmax_kernel 4/20`; empty when nothing runs."""

    def offer(self) -> str:
        """The label of a result that waits to be accepted; empty when none does."""

    def problems(self) -> list[str]:
        """Messages of the diagnostics at the file."""

    def accept(self) -> None: ...

    def cancel(self) -> None: ...

    def show_diff(self) -> tuple[str, str]:
        """Opens the diff; the texts of both sides, the candidate's first."""

    def messages(self) -> str:
        """What the editor told its user so far."""

    def kill(self) -> dict[int, str]:
        """SIGKILL, no goodbye; the processes that the editor had started until then, with
        their command lines."""

    def leave_traces(self, folder: Path) -> None:
        """Writes what explains a failure."""

    def close(self) -> None: ...


def wait_until(what: str, ask: Callable[[], T], *, timeout_s: float) -> T:
    """Asks again and again until the answer is true. Raises `TimeoutError` that names `what`."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: still {answer!r} after {timeout_s:g} s")
        time.sleep(0.05)
