"""Reads pytest's reports: one outcome per node, and of a failure only what helps.

A model or a hover has no use for a screen of traceback. Kept are the assertion, the
lines of the error, where it was raised, and dtype and shape of the tensors around it.
"""

from __future__ import annotations

import re
from typing import Any

from .records import Outcome

MAX_LINES = 30
MAX_COLUMNS = 240
_LOCATION = re.compile(r"^[^\s:]+\.py:\d+: ")


def merged(reports: list[Any]) -> tuple[Outcome, Any]:
    """The node's outcome and the report that decided it (None when it passed).

    A failing setup or teardown is an `error`; xfail marks are told apart.
    """
    for report in reports:
        if report.failed:
            return ("failed" if report.when == "call" else "error"), report
    for report in reports:
        if report.skipped:
            return ("xfailed" if hasattr(report, "wasxfail") else "skipped"), report
    called = [report for report in reports if report.when == "call"]
    if not called:
        return "not run", None
    return ("xpassed" if hasattr(called[0], "wasxfail") else "passed"), None


def minimised(report: Any) -> str:
    """At most `MAX_LINES` lines of a failed or skipped report."""
    if report.skipped:
        return _skip_reason(report)
    text = shortened(str(report.longrepr))
    tensors = getattr(report, "whet_tensors", [])
    if tensors:
        lines = text.splitlines()[: MAX_LINES - 1]
        text = "\n".join([*lines, "tensors: " + ", ".join(tensors)])
    return text


def shortened(text: str) -> str:
    """The lines of pytest's text that carry the error; all of a short one."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("E ", ">")) or _LOCATION.match(line)]
    chosen = telling or lines
    if len(chosen) > MAX_LINES:
        half = MAX_LINES // 2
        chosen = [*chosen[: half - 1], "...", *chosen[-half:]]
    return "\n".join(line[:MAX_COLUMNS] for line in chosen)


def tensors_of(excinfo: Any, item: Any) -> list[str]:
    """`name: dtype[shape]` for each tensor in the test function's frame."""
    test_file = str(getattr(item, "path", ""))
    for entry in excinfo.traceback:
        if str(entry.path) == test_file:
            return [
                f"{name}: {str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
                for name, value in entry.frame.f_locals.items()
                if hasattr(value, "dtype") and hasattr(value, "stride")
            ][:12]
    return []


def _skip_reason(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)[:MAX_COLUMNS]
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])[:MAX_COLUMNS]
    return shortened(str(report.longrepr))
