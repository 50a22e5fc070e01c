"""`whet verify` and `whet compare`: evidence repeated, and edits that Whet did not make."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from whet_agent.app import App
from whet_agent.compare import Order
from whet_agent.compare import compare as judge_edit
from whet_agent.compare_words import comparison_json, exit_status, page_of
from whet_agent.verify import Verification
from whet_agent.verify import verify as repeat_evidence
from whet_evaluator.evaluation import Progress

_COLOURS = {"holds": "green", "changed": "red", "not repeated": "yellow", "said": "yellow"}


async def verify(
    app: App, run: str, root: Path, *, repeat: bool, as_json: bool, console: Console
) -> int:
    """0 when the evidence holds, 1 when it does not."""
    try:
        with _progress(console, quiet=as_json) as on_progress:
            found = await repeat_evidence(
                app, run, root=root, repeat=repeat, on_progress=on_progress
            )
    finally:
        await app.close()
    if as_json:
        _print_json(_verification_json(found))
    else:
        for check in found.checks:
            word = f"[{_COLOURS[check.status]}]{check.status:<12}[/]"
            console.print(f"  {word} {escape(check.sentence)}", soft_wrap=True)
        console.print(f"[bold]{escape(found.sentence)}[/]", soft_wrap=True)
    return 0 if found.holds else 1


async def compare(app: App, order: Order, *, as_json: bool, console: Console) -> int:
    """The evidence as markdown on standard output; status by verdict."""
    try:
        with _progress(Console(stderr=True, highlight=False), quiet=as_json) as on_progress:
            found = await judge_edit(app, order, on_progress=on_progress)
    finally:
        await app.close()
    if as_json:
        _print_json(comparison_json(found))
    else:
        console.print(page_of(found), markup=False, soft_wrap=True, end="")
    return exit_status(found)


def _verification_json(found: Verification) -> dict[str, Any]:
    return {
        "run": found.run,
        "kernel": found.kernel,
        "holds": found.holds,
        "sentence": found.sentence,
        "checks": [attrs.asdict(check) for check in found.checks],
    }


class _progress:  # noqa: N801 - used as a statement
    """A line that moves while work goes on, on a terminal alone."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._status = Status("starting", console=console)
        self._is_shown = console.is_terminal and not quiet

    def __enter__(self) -> Any:
        if self._is_shown:
            self._status.start()
        return self._on_progress

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def _on_progress(self, progress: Progress) -> None:
        share = f" {progress.done}/{progress.total}" if progress.total else ""
        self._status.update(escape(f"{progress.stage}{share} {progress.detail}"[:160]))


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
