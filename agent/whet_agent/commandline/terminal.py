"""A run as a person at a terminal sees it: one line a verdict, one line that moves.

Nothing here says *faster* of what no clock has measured: the words come from `words`.
"""

from __future__ import annotations

from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from whet_agent.events import (
    Answered,
    BaselineRecorded,
    CallFailed,
    Confirmed,
    Created,
    Event,
    Judged,
    Opened,
    Proposed,
    Rejected,
)
from whet_agent.evidence_words import checked
from whet_agent.report import RunSummary, finished_json, unified_diff
from whet_agent.search import words
from whet_agent.search.state import Search
from whet_evaluator.evaluation import Progress
from whet_evaluator.worker.records import Correct, Facts, Recorded


class RunView:
    """Prints a run's events as they come. Use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("starting", console=console)
        self._stage = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def on_progress(self, _work: str, progress: Progress) -> None:
        """How far the work in flight is: shown, never kept."""
        share = f" {progress.done}/{progress.total}" if progress.total else ""
        detail = f" {progress.detail}" if progress.detail else ""
        self._status.update(escape(f"{self._stage}: {progress.stage}{share}{detail}"[:160]))

    def on_event(self, _run: str, event: Event, summary: RunSummary) -> None:
        """One line for each event that tells a person something."""
        self._stage = summary.stage
        self._status.update(escape(f"{summary.stage} {_standing(summary)}"))
        line = _line(event, summary)
        if line:
            self._console.print(line, soft_wrap=True)


def show_outcome(console: Console, summary: RunSummary) -> None:
    """The end of a run: sentence, evidence, tests, diff, and what to do next."""
    console.print()
    console.print(f"[bold]{escape(summary.sentence or summary.stage)}[/]", soft_wrap=True)
    if summary.best is None:
        return
    diff = unified_diff(summary.path, summary.best.original_text, summary.best.text)
    for line in diff.splitlines():
        console.print(line, style=_DIFF_STYLES.get(line[:1], ""), markup=False, soft_wrap=True)
    console.print(_evidence(summary))
    console.print(f"Checked: {checked(summary.best.evidence)}.", markup=False, soft_wrap=True)
    console.print(f"Accept it with: whet apply {summary.run}", markup=False)


_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan"}


_RUN_ID_CHARS = len("20261120-161205-3fa9")


def runs_table(summaries: list[RunSummary], live: set[str]) -> Table:
    """`whet runs`. A run that is not finished and that nobody works on can be resumed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("run", no_wrap=True, overflow="ignore", min_width=_RUN_ID_CHARS)
    for name in ("what", "kernel", "state", "tried", "best"):
        table.add_column(name, overflow="fold")
    for one in summaries:
        state = one.reason or "finished"
        if one.state == "running":
            state = "running" if one.run in live else "stopped: resume it"
        best = _best_word(one) if one.best else ""
        place = f"{one.path}::{one.kernel}"
        table.add_row(one.run, one.goal, escape(place), state, str(one.tried), best)
    return table


def _line(event: Event, summary: RunSummary) -> str:  # noqa: PLR0911 - a table
    search = summary.memo
    assert search is not None
    match event:
        case Created(run=run, task=task):
            model = task.model.name if task.model else "no model: the sweep alone"
            return f"[bold]{task.goal} {escape(task.kernel)}[/]  run {run}, {escape(model)}"
        case Opened(facts=facts, shipped=shipped):
            lacks = words.not_sent(search.task.target.name, shipped)
            said = f"\n  files     [yellow]{escape(lacks)}[/]" if lacks else ""
            return f"  target    {escape(_facts(facts))}{said}"
        case BaselineRecorded(recorded=recorded):
            return f"  baseline  {escape(_baseline(search, recorded))}"
        case Proposed(candidate=candidate, strategy=strategy, label=label):
            return f"  [dim]{candidate:<9} {label}: {escape(_short(strategy))}[/]"
        case Rejected(reason=reason):
            return f"  screened  [yellow]{escape(reason)}[/]"
        case Judged(candidate=candidate, verdict=verdict, known_from=known_from):
            known = f" [dim](known from run {known_from})[/]" if known_from else ""
            return f"  {candidate:<9} {_verdict(search, candidate, verdict)}{known}"
        case Confirmed(candidate=candidate, verdict=verdict):
            word = "holds" if isinstance(verdict, Correct) else "does not hold"
            return f"  {candidate:<9} {word} in a fresh process"
        case CallFailed(sentence=sentence):
            return f"  model     [yellow]{escape(sentence)}[/]"
        case Answered(role=role, completion_tokens=tokens):
            return f"  [dim]model     {role}: {tokens} tokens[/]"
        case _:
            return ""


def _facts(facts: Facts) -> str:
    versions = f"torch {facts.torch}, triton {facts.triton}, Python {facts.python}"
    if facts.mode == "device":
        return f"{facts.devices[0].name} ({facts.devices[0].arch}), {versions}"
    return f"no GPU: tests run on Triton's interpreter, nothing is timed; {versions}"


def _baseline(search: Search, recorded: Recorded) -> str:
    counts: dict[str, int] = {}
    for test in recorded.tests:
        word = "not covered" if test.uncovered else test.outcome
        counts[word] = counts.get(word, 0) + 1
    if recorded.too_slow:
        counts["too slow"] = len(recorded.too_slow)
    tests = ", ".join(f"{number} {word}" for word, number in counts.items()) or "no test ran"
    launches = sum(launch.count for launch in recorded.launches)
    score = search.candidates["original"].score if "original" in search.candidates else None
    known = "" if search.has_clock or score is None else f", {words.performance(search, score)}"
    return f"tests: {tests}; {launches} launches{known}"


def _verdict(search: Search, candidate: str, verdict: Any) -> str:
    tried = search.candidates[candidate]
    word = words.outcome(search, tried)
    if isinstance(verdict, Correct):
        colour = "green" if word in ("less traffic", "faster", "correct") else "default"
        known = words.performance(search, tried.score)
        said = "correct" if word.startswith("correct") else f"correct, {word}"
        return f"[{colour}]{escape(said)}[/] ({escape(known)})"
    _, case = words.failure_case(verdict)
    lines = [line.strip() for line in case.splitlines() if line.strip()]
    return f"[red]{word}[/] {escape(_short(lines[-1] if lines else ''))}"


def _evidence(summary: RunSummary) -> Table:
    best = finished_json(summary)["best"]
    table = Table("", "before", "after", "kind", box=None, pad_edge=False)
    if best["speedup"]:
        s = best["speedup"]
        ratio = f"{s['ratio']:.2f}x [{s['low']:.2f}, {s['high']:.2f}]"
        table.add_row("speed", "1.00x", ratio, f"measured on {escape(s['hardware'])}")
    for kind in ("counted", "estimated"):
        before, after = best[kind]["before"], best[kind]["after"]
        if not before or not after:
            continue
        for name in before:
            if name != "arch":
                said = kind if kind == "counted" else f"estimated for {after['arch']}"
                label = name.replace("_", " ")
                table.add_row(label, _figure(before[name]), _figure(after[name]), said)
    counts = {k: v for k, v in best["tests"].items() if k != "nodes"}
    table.add_row("tests", "", ", ".join(f"{v} {k}" for k, v in counts.items()), "run")
    return table


def _figure(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _best_word(summary: RunSummary) -> str:
    assert summary.best is not None
    speedup = summary.best.evidence.speedup
    return f"{speedup.ratio:.2f}x measured" if speedup else "correct, untimed"


def _standing(summary: RunSummary) -> str:
    best = f", best {_best_word(summary)}" if summary.best else ""
    return f"({summary.tried} tried{best})"


def _short(text: str) -> str:
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first if len(first) <= 100 else first[:97] + "..."
