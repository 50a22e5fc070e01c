"""Which tests of a kernel are red, learnt from test runs and from baselines.

What is known belongs to the text that was tested; a changed kernel makes it stale, and
the text of a candidate that passed makes it void.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from whet_server.features import red_tests
from whet_server.runs import Run
from whet_server.views import RunView

if TYPE_CHECKING:
    from whet_evaluator.worker.records import TestOutcome


@attrs.frozen(kw_only=True)
class Red:
    """Failing tests of the unit with this digest; none when all were green."""

    digest: str
    outcomes: tuple[TestOutcome, ...]


class RedTests:
    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], Red] = {}

    def learn(self, run: Run) -> None:
        """Takes what a run has found so far, which may be nothing about tests."""
        outcomes = _outcomes(run)
        if outcomes is not None:
            self._known[run.path, run.kernel] = Red(digest=run.digest, outcomes=red_tests(outcomes))

    def knows(self, path: Path, kernel: str) -> bool:
        return (path, kernel) in self._known

    def of(
        self, path: Path, kernel: str, digest: str, runs: tuple[RunView, ...]
    ) -> tuple[tuple[TestOutcome, ...], bool]:
        """The red tests, and whether the text changed since they ran."""
        red = self._known.get((path, kernel))
        if red is None:
            return (), False
        stale = red.digest != digest
        proven = stale and any(run.fit == "after" for run in runs)
        return (() if proven else red.outcomes), stale


def _outcomes(run: Run) -> tuple[TestOutcome, ...] | None:
    summary = run.summary
    if run.outcomes is not None:
        return run.outcomes
    if summary is None:
        return None
    if summary.red:
        return summary.red
    # `optimize` tries candidates only once the baseline was green.
    return () if run.goal == "optimize" and summary.tried else None
