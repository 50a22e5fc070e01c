"""What the subcommands do, each a function of plain arguments. Returns exit statuses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from whet_agent import orders
from whet_agent.app import App, OnEvent, OnProgress, RunHandle
from whet_agent.commandline import terminal
from whet_agent.events import Event, Finished
from whet_agent.project import Selector, UserError
from whet_agent.report import RunSummary, event_json, finished_json, markdown
from whet_agent.source.codebase import load_text
from whet_agent.source.launchers import kernels_json
from whet_agent.source.units import Conflict, Spliced, splice
from whet_agent.task import Task

Begin = Callable[[OnEvent, OnProgress | None], RunHandle]

_WORLDS_FAULTS = frozenset(
    {"red baseline", "no tests", "no launch recorded", "model failed", "evaluator failed"}
)


def kernels(paths: list[Path], *, as_json: bool, console: Console) -> None:
    """Lists kernels; files that cannot be read are named on standard error."""
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UserError(f"There is no file or folder {missing[0]}.")
    note = Console(stderr=True, highlight=False)
    rows = kernels_json(
        paths, Path.cwd(), on_skip=lambda path, why: note.print(f"whet: {path} skipped: {why}")
    )
    if as_json:
        _emit(rows)
        return
    table = Table("kernel", "place", "launchers", "tests", box=None, pad_edge=False)
    for row in rows:
        place = f"{row['file']}:{row['line']}"
        table.add_row(row["qualname"], place, ", ".join(row["launchers"]), str(len(row["tests"])))
    console.print(table)


async def tests(
    app: App, chosen: Selector, *, record: bool, as_json: bool, console: Console
) -> int:
    """Tests by reading, and with `record` by running them and watching the launches."""
    kernel = orders.find_kernel(load_text(chosen.path), chosen.path, chosen.kernel)
    named = app.loaded.settings.tests
    static = () if named else orders.find_tests(app.root, chosen.path, kernel)
    found_by = "settings" if named else "reading"
    rows: list[dict[str, Any]] = [
        {"nodeid": nodeid, "found_by": found_by} for nodeid in named or static
    ]
    if record:
        recorded = await app.record(app.task("optimize", chosen.path, kernel.qualname))
        rows = [
            {
                "nodeid": test.nodeid, "outcome": test.outcome, "seconds": round(test.seconds, 3),
                "launches": kernel.qualname in test.kernels, "not_covered": test.uncovered,
                "found_by": "recording", "why": test.gist,
            }
            for test in recorded.tests
        ]  # fmt: skip
        rows += [
            {"nodeid": one, "outcome": "too slow", "found_by": found_by}
            for one in recorded.too_slow
        ]
    await app.close()
    if as_json:
        _emit({"kernel": kernel.qualname, "static": list(static), "tests": rows})
        return 0
    for row in rows:
        launched = {True: "launches it", False: "does not launch it", None: ""}[row.get("launches")]
        why = f": {row['why'][:200]}" if row.get("why") else ""
        line = f"{row['nodeid']}  {row.get('outcome', '')}  {launched}{why}"
        console.print(line, markup=False, soft_wrap=True)
    return 0


async def follow(app: App, begin: Begin, *, as_json: bool, console: Console) -> int:
    """Carries a run out in this process, showing it; SIGINT and SIGTERM cancel it kindly."""
    try:
        summary = await _json_lines(begin) if as_json else await _on_terminal(begin, console)
    finally:
        await app.close()
    return 1 if _is_worlds_fault(summary) else 0


def _is_worlds_fault(summary: RunSummary) -> bool:
    """A fix that no model was asked for was not tried: its tests are as red as before."""
    search = summary.memo
    no_model = search is not None and search.task.model is None
    is_untried = summary.goal == "fix" and no_model and summary.best is None
    return summary.reason in _WORLDS_FAULTS or is_untried


def detach(app: App, task: Task, *, replay: Path | None, as_json: bool, console: Console) -> None:
    """Stores the run and leaves it to a process of its own, which outlives this one."""

    async def store() -> str:
        run = await app.store_only(task)
        await app.close()
        return run

    run = asyncio.run(store())
    command = [sys.executable, "-m", "whet_server", "resume", run, "--json", "--trust"]
    command += ["--replay", str(replay.absolute())] if replay else []
    subprocess.Popen(
        command, cwd=task.root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True, env=_with_model(task),
    )  # fmt: skip
    if as_json:
        _emit({"event": "detached", "run": run})
    else:
        console.print(f"Run {run} goes on by itself; `whet show {run}` tells how far it is.")


def runs(app: App, root: Path | None, *, as_json: bool, console: Console) -> None:
    """Lists runs, newest first."""
    summaries = app.history.runs(root=root)
    running = (one.run for one in summaries if one.state == "running")
    live = {run for run in running if app.history.holder(run) is not None}
    if as_json:
        _emit([_run_json(one, live) for one in summaries])
    elif summaries:
        console.print(terminal.runs_table(summaries, live))
    else:
        console.print("No runs yet: `whet optimize FILE::KERNEL` begins one.")


def show(app: App, run: str, *, as_json: bool, console: Console) -> None:
    """Every event as JSON lines, or the report as markdown."""
    events = app.history.events(run)
    summary = app.history.summary(run)
    if as_json:
        for event in events:
            if not isinstance(event, Finished):
                _emit(event_json(event))
        if summary.state == "finished":
            _emit(finished_json(summary))
        return
    console.print(markdown(summary, events), markup=False, soft_wrap=True)


def apply(app: App, run: str, *, console: Console) -> None:
    """Writes the best candidate into the file as it is now, or says why not."""
    summary = app.history.summary(run)
    path = Path(summary.root) / summary.path
    if summary.best is None:
        raise UserError(
            f"Run {summary.run} has nothing to apply: {summary.sentence or 'it goes on'}"
        )
    encoding, now = _load(path)
    match splice(now, summary.best.original_text, summary.best.text, summary.kernel):
        case Spliced(text=text):
            _replace(path, text.encode(encoding))
            console.print(f"Applied to {path}.", markup=False)
        case Conflict(reason=reason):
            raise UserError(
                f"Nothing was written to {path.name}: {reason}. "
                "Begin a new run on the text as it is now."
            )


async def _on_terminal(begin: Begin, console: Console) -> RunSummary:
    with terminal.RunView(console) as view:
        handle = begin(view.on_event, view.on_progress)
        with _cancelled_by_signals(handle):
            summary = await handle.wait()
    terminal.show_outcome(console, summary)
    return summary


async def _json_lines(begin: Begin) -> RunSummary:
    def on_event(_run: str, event: Event, _summary: RunSummary) -> None:
        if not isinstance(event, Finished) and not _emit(event_json(event)):
            handle.cancel()

    handle = begin(on_event, None)
    with _cancelled_by_signals(handle):
        summary = await handle.wait()
    _emit(finished_json(summary))
    return summary


@contextlib.contextmanager
def _cancelled_by_signals(handle: RunHandle) -> Iterator[None]:
    """A second signal ends the process in the ordinary way."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def cancel() -> None:
        handle.cancel()
        for number in numbers:
            loop.remove_signal_handler(number)

    with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
        for number in numbers:
            loop.add_signal_handler(number, cancel)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)


def _emit(value: Any) -> bool:
    """One line of JSON, at once: a program may be reading along. False when it went away."""
    try:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def _with_model(task: Task) -> dict[str, str]:
    """The model chosen by a flag counts in the detached process too; keys come by name."""
    chosen = {}
    if task.model is not None and task.model.base_url.startswith("http"):
        chosen = {"WHET_MODEL": task.model.name, "WHET_BASE_URL": task.model.base_url}
    return {**os.environ, **chosen}


def _run_json(summary: RunSummary, live: set[str]) -> dict[str, Any]:
    state = summary.state
    if state == "running" and summary.run not in live:
        state = "stopped"  # type: ignore[assignment]
    speedup = summary.best.evidence.speedup if summary.best else None
    return {
        "run": summary.run, "goal": summary.goal, "file": f"{summary.root}/{summary.path}",
        "kernel": summary.kernel, "state": state, "reason": summary.reason,
        "sentence": summary.sentence, "tried": summary.tried, "has_best": summary.best is not None,
        "speedup": speedup and {"ratio": speedup.ratio, "low": speedup.low, "high": speedup.high},
        "spent_usd": summary.spent_usd, "tokens": summary.tokens, "started_at": summary.started_at,
    }  # fmt: skip


def _load(path: Path) -> tuple[str, str]:
    """Encoding and text, so that the file is written as it was read."""
    try:
        with path.open("rb") as file:
            encoding, _ = tokenize.detect_encoding(file.readline)
        return encoding, load_text(path)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path} cannot be read as Python source ({error}).") from None


def _replace(path: Path, data: bytes) -> None:
    """In one step, so that a killed process leaves the old file or the new one."""
    scratch = path.with_name(f".{path.name}.whet")
    try:
        scratch.write_bytes(data)
        scratch.chmod(path.stat().st_mode)
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written ({error}); the file is as it was.") from None
