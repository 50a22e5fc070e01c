"""The hover over a kernel's name, as Markdown. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from whet_server import wording
from whet_server.features import active, progress_text
from whet_server.views import KernelState, KernelView, RunView

if TYPE_CHECKING:
    from whet_agent.evidence import Evidence
    from whet_agent.report import RunSummary
    from whet_server.comparing import Verified

SHOWN_TESTS = 5


def hover(state: KernelState, *, now: float) -> str:
    """Signature, launchers, tests, the last result with its age, and what it costs."""
    parts = [
        f"```python\ndef {state.kernel.name}{state.kernel.signature}: ...\n```",
        _launchers(state.kernel),
        _tests(state),
        *_red(state),
        *_result(state, now=now),
    ]
    return "\n\n".join(part for part in parts if part)


def _launchers(kernel: KernelView) -> str:
    if not kernel.launchers:
        return "Triton kernel; no launcher in this file."
    return f"Triton kernel, launched by {_code(kernel.launchers)}."


def _tests(state: KernelState) -> str:
    if state.tests is None:
        return ""
    if not state.tests:
        return (
            "No test found that reaches it: name one under `tests` in `[tool.whet]` "
            "of pyproject.toml."
        )
    more = len(state.tests) - SHOWN_TESTS
    suffix = f" and {more} more" if more > 0 else ""
    return f"Tests (found without running anything): {_code(state.tests[:SHOWN_TESTS])}{suffix}."


def _red(state: KernelState) -> list[str]:
    if not state.red:
        return []
    when = "before the last change" if state.red_stale else "at the last run"
    return [f"Red {when}: {_code(tuple(o.nodeid for o in state.red[:SHOWN_TESTS]))}."]


def _result(state: KernelState, *, now: float) -> list[str]:
    running = active(state)
    lines = []
    if running is not None:
        lines.append(f"Whet is at work: {progress_text(running.summary)}.")
    for run in state.runs:
        if run.verified is not None:
            return [*lines, *_verified(run, run.verified, now=now)]
        if run.summary is None:
            continue
        if run.summary.best is not None:
            return [*lines, *_best(run, run.summary.best.evidence, now=now)]
        if run.state == "finished":
            return [*lines, f"Last run, {_age(run.summary, now)}: {run.summary.sentence}"]
    return lines


def _best(run: RunView, evidence: Evidence, *, now: float) -> list[str]:
    from whet_agent.evidence_words import checked  # loaded already where there is a best

    match run.fit:
        case "after":
            place = "This text"
        case "before":
            place = "On offer"
        case "stale":
            place = "Stale, the kernel changed since"
    if evidence.speedup is not None:
        lines = [f"{place}: **{wording.measured(evidence.speedup, now=now)}**."]
        lines += [f"Checked: {checked(evidence)}."]
    else:
        lines = [f"{place}: *{wording.UNTIMED}*: {checked(evidence)}."]
    if evidence.measured is not None and evidence.measured.regressions:
        slower = ", ".join(case.name for case in evidence.measured.regressions)
        lines.append(f"Slower in: {slower}.")
    if evidence.strategy:
        lines.append(f"How: {evidence.strategy}")
    costs = wording.cost_lines(evidence.cost_before, evidence.cost_after)
    return [*lines, *(f"{cost}." for cost in costs)]


def _verified(run: RunView, found: Verified, *, now: float) -> list[str]:
    """An edit of the person's own, as it was judged."""
    stale = " (stale, the kernel changed since)" if run.fit == "stale" else ""
    when = f"Verified against {found.against}, {wording.age(now - found.at)}{stale}"
    return [f"{when}: {found.sentence}", *found.notes]


def _age(summary: RunSummary, now: float) -> str:
    return wording.age(now - summary.updated_at)


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
