"""A run as JSON lines and as markdown. Pure; the words keep evidence apart."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs

from whet_agent.events import Created, Event
from whet_agent.search.state import ORIGINAL, Tried
from whet_agent.search.words import listed, outcome, performance
from whet_agent.store.codec import to_plain
from whet_agent.summary import Best, Cost, RunSummary, Speedup, step, summarise, view
from whet_evaluator.worker.protocol import to_json
from whet_evaluator.worker.records import TestOutcome

__all__ = [
    "Best", "Cost", "RunSummary", "Speedup", "event_json", "finished_json", "markdown", "step",
    "summarise", "unified_diff", "view",
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
        parts += [_evidence(summary.best), _diff_block(summary.path, summary.best)]
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
    return {
        "text": best.text,
        "diff": unified_diff(path, best.original_text, best.text),
        "candidate": best.candidate,
        "label": best.label,
        "strategy": best.strategy,
        "speedup": _speedup_json(best.speedup),
        "counted": {
            "before": _counted_json(best.cost_before),
            "after": _counted_json(best.cost_after),
        },
        "estimated": {
            "before": _estimated_json(best.cost_before),
            "after": _estimated_json(best.cost_after),
        },
        "tests": _tests_json(best.tests),
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


def _counted_json(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None or cost.counted is None:
        return None
    fields: dict[str, Any] = to_json(cost.counted)
    del fields["kind"]
    return fields


def _estimated_json(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None or cost.arch is None:
        return None
    return {
        "arch": cost.arch,
        "vgprs": cost.vgprs,
        "spills": cost.spills,
        "lds_bytes": cost.lds_bytes,
    }


def _tests_json(tests: tuple[TestOutcome, ...]) -> dict[str, Any]:
    counts: dict[str, int] = Counter(test.outcome for test in tests)
    return {**counts, "nodes": {test.nodeid: test.outcome for test in tests}}


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
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {_cell(text)} |" for name, text in rows)


def _evidence(best: Best) -> str:
    rows = ["| | before | after | kind |", "|---|---|---|---|"]
    if best.speedup is not None:
        said = f"{best.speedup.ratio:.2f}x [{best.speedup.low:.2f}, {best.speedup.high:.2f}]"
        rows.append(f"| speedup | 1 | {said} | measured on {_cell(best.speedup.hardware)} |")
    before, after = _counted_json(best.cost_before), _counted_json(best.cost_after)
    if before and after:
        rows += [
            f"| {name.replace('_', ' ')} | {before[name]:,} | {after[name]:,} | counted |"
            for name in before
        ]
    before, after = _estimated_json(best.cost_before), _estimated_json(best.cost_after)
    if before and after:
        rows += [
            f"| {name.replace('_', ' ')} | {before[name]} | {after[name]} "
            f"| estimated for {after['arch']} |"
            for name in ("vgprs", "spills", "lds_bytes")
        ]
    tests = _tests_json(best.tests)
    counts = ", ".join(f"{number} {name}" for name, number in tests.items() if name != "nodes")
    said = f"{best.label}: {best.strategy}" if best.strategy else best.label
    return f"## Offered: {said}\n\n" + "\n".join(rows) + f"\n\nTests: {counts}."


def _diff_block(path: str, best: Best) -> str:
    return f"```diff\n{unified_diff(path, best.original_text, best.text)}```"


def _red_list(red: tuple[TestOutcome, ...]) -> str:
    return "\n".join(f"- `{test.nodeid}`" for test in red)


def _candidates_table(summary: RunSummary) -> str:
    search = summary.memo
    if search is None:
        return ""
    tried = [one for one in search.candidates.values() if one.id != ORIGINAL]
    if not tried:
        return ""
    rows = [
        f"| {one.id} | {_cell(one.label)} | {_cell(outcome(search, one))} "
        f"| {_cell(performance(search, one.score)) if one.is_correct else ''} "
        f"| {_confirmation_word(one)} |"
        for one in tried
    ]
    head = "| candidate | label | outcome | first evaluation | confirmed |\n|---|---|---|---|---|\n"
    return head + "\n".join(rows)


def _confirmation_word(tried: Tried) -> str:
    if tried.confirmation is None:
        return ""
    return "correct again" if tried.confirmed_score is not None else "failed"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
