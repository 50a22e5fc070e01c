"""A run as JSON lines and as markdown. Pure; the words keep evidence apart."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from whet_agent.events import Created, Event
from whet_agent.evidence import Cost, Evidence, Speedup
from whet_agent.evidence_words import (
    cell,
    counted_json,
    estimated_json,
    evidence_json,
    page,
    tests_json,
)
from whet_agent.search.state import ORIGINAL, Tried
from whet_agent.search.words import listed, outcome, performance
from whet_agent.store.codec import to_plain
from whet_agent.summary import Best, RunSummary, step, summarise, view
from whet_evaluator.worker.records import TestOutcome

__all__ = [
    "Best", "Cost", "Evidence", "RunSummary", "Speedup", "event_json", "finished_json", "markdown",
    "step", "summarise", "unified_diff", "view",
]  # fmt: skip


def finished_json(summary: RunSummary) -> dict[str, Any]:
    """The last line of `--json`. `best.text` is the new text of the whole file."""
    return {
        "event": "finished",
        "run": summary.run,
        "reason": summary.reason,
        "sentence": summary.sentence,
        "best": _best_json(summary.path, summary.best) if summary.best else None,
        "tally": summary.tally,
        "spent_usd": summary.spent_usd,
        "tokens": summary.tokens,
    }


def event_json(event: Event) -> dict[str, Any]:
    """One line of `--json`. A target's environment never leaves with it."""
    name = _snake(type(event).__name__)
    if isinstance(event, Created):
        return {"event": name, **_created_json(event)}
    plain = to_plain(event)
    del plain["_type"]
    return {"event": name, **_with_kinds(plain)}


def unified_diff(path: str, old: str, new: str) -> str:
    """As `diff -u` writes it; lines end at `\\n` alone, so CRLF and form feeds survive."""
    lines = difflib.unified_diff(_lines(old), _lines(new), f"a/{path}", f"b/{path}", lineterm="\n")
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )


def markdown(summary: RunSummary, events: Iterable[Event] = ()) -> str:
    """The run as a page: outcome, evidence, every candidate, diff.

    `events` are counted by kind at the end, so that a reader sees what the journal holds.
    """
    parts = [
        f"# {summary.goal} {summary.path}::{summary.kernel}",
        summary.sentence or f"Running: {summary.stage}.",
        _facts_table(summary),
    ]
    if summary.best is not None:
        parts += [_offered(summary.best.evidence), _diff_block(summary.path, summary.best)]
    if summary.red:
        parts.append("## Red before any change\n\n" + _red_list(summary.red))
    if candidates := _candidates_table(summary):
        parts.append("## Candidates, in the order they came\n\n" + candidates)
    counts = Counter(_snake(type(event).__name__) for event in events)
    if counts:
        parts.append(f"Journal: {sum(counts.values())} events ({listed(dict(counts))}).")
    return "\n\n".join(parts) + "\n"


# ---- JSON ------------------------------------------------------------------------------


def _best_json(path: str, best: Best) -> dict[str, Any]:
    evidence = best.evidence
    return {
        "text": best.text,
        "diff": unified_diff(path, best.original_text, best.text),
        "candidate": best.candidate,
        "label": evidence.label,
        "strategy": evidence.strategy,
        "speedup": _speedup_json(evidence.speedup),
        "counted": {
            "before": counted_json(evidence.cost_before),
            "after": counted_json(evidence.cost_after),
        },
        "estimated": {
            "before": estimated_json(evidence.cost_before),
            "after": estimated_json(evidence.cost_after),
        },
        "tests": tests_json(evidence.tests),
        "evidence": evidence_json(evidence),
    }


def _speedup_json(speedup: Speedup | None) -> dict[str, Any] | None:
    if speedup is None:
        return None
    return {
        "ratio": speedup.ratio,
        "low": speedup.low,
        "high": speedup.high,
        "measured": True,
        "hardware": speedup.hardware,
    }


def _created_json(event: Created) -> dict[str, Any]:
    task = event.task
    return {
        "run": event.run,
        "goal": task.goal,
        "root": task.root,
        "path": task.unit.path,
        "kernel": task.kernel,
        "tests": list(task.tests),
        "target": task.target.name,
        "arch": task.arch,
        "model": task.model.name if task.model else None,
        "policy": attrs.asdict(task.policy),
        "at": event.at,
    }


def _with_kinds(value: Any) -> Any:
    """Nested unions say their `kind`, as the worker's messages do."""
    if isinstance(value, dict):
        return {"kind" if key == "_type" else key: _with_kinds(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_kinds(item) for item in value]
    return value


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)


# ---- markdown --------------------------------------------------------------------------


def _facts_table(summary: RunSummary) -> str:
    facts = summary.memo.facts if summary.memo else None
    money = "price unknown" if summary.spent_usd is None else f"${summary.spent_usd:.4f}"
    rows = [
        ("run", summary.run),
        ("target", summary.target + (f" ({summary.arch})" if summary.arch else "")),
        ("tries", f"{summary.tried}" + (f": {listed(summary.tally)}" if summary.tally else "")),
        ("model turns", str(summary.iterations)),
        ("tokens", f"{summary.tokens:,} ({money})"),
    ]
    if facts is not None:
        names = ", ".join(device.name for device in facts.devices) or "no GPU: interpreter"
        rows.append(("hardware", names))
        rows.append(("versions", f"torch {facts.torch}, triton {facts.triton}, {facts.python}"))
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {cell(text)} |" for name, text in rows)


def _offered(evidence: Evidence) -> str:
    said = f"{evidence.label}: {evidence.strategy}" if evidence.strategy else evidence.label
    return f"## Offered: {said}\n\n{page(evidence)}"


def _diff_block(path: str, best: Best) -> str:
    return f"```diff\n{unified_diff(path, best.original_text, best.text)}```"


def _red_list(red: tuple[TestOutcome, ...]) -> str:
    return "\n".join(
        f"- `{test.nodeid}`" + (f": {test.gist[:300]}" if test.gist else "") for test in red
    )


def _candidates_table(summary: RunSummary) -> str:
    search = summary.memo
    if search is None:
        return ""
    tried = [one for one in search.candidates.values() if one.id != ORIGINAL]
    if not tried:
        return ""
    rows = [
        f"| {one.id} | {cell(one.label)} | {cell(outcome(search, one))} "
        f"| {cell(performance(search, one.score)) if one.is_correct else ''} "
        f"| {_confirmation_word(one)} |"
        for one in tried
    ]
    head = "| candidate | label | outcome | first evaluation | confirmed |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows)


def _confirmation_word(tried: Tried) -> str:
    if tried.confirmation is None:
        return ""
    return "correct again" if tried.confirmed_score is not None else "failed"
