"""The evaluator's public face: what is judged, where, and the `Evaluator` protocol.

`Evaluator` is the seam between search and evaluation: the search knows nothing of
workers, ssh or lanes, and a fleet can later stand behind the same seven methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from whet_evaluator.worker.launch_records import Launch
from whet_evaluator.worker.protocol import Limits
from whet_evaluator.worker.records import (
    Collected,
    CompileReport,
    Differences,
    Facts,
    Recorded,
    TestRun,
    WorkerVerdict,
)
from whet_evaluator.worker.unit_ref import UnitRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where candidates are evaluated and for which architecture.

    `via` is an argv prefix (empty: this machine); everything else is the same for
    local, ssh, containers and nested shells. `root` is the project's place on the
    target, None to ship the files. `arch` names what to compile for (`gfx942`,
    `sm_90`) where there is no device; where there is one, candidates are compiled for it.
    """

    name: str = "local"
    via: tuple[str, ...] = ()
    python: str = "python3"
    root: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    setup: str = ""
    """A shell line run before the worker on the target, such as `module load rocm`."""
    device: str = "auto"
    arch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The user's project as it is now. `overlay` maps root-relative paths to the text
    of unsaved buffers, which count instead of the file on disk."""

    root: Path
    overlay: Mapping[str, str] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    max_file_bytes: int = 5 << 20
    max_total_bytes: int = 64 << 20
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """What surrounds a candidate, by content. `sources` are sha256 by root-relative path of
    Python files and of what configures them; `data_digest` covers all other files, of
    which there are `n_data`."""

    sources: Mapping[str, str] = field(default_factory=dict)
    data_digest: str = ""
    n_data: int = 0
    left_out: tuple[str, ...] = ()
    """Files that the target does not get, each with why; none where it reads the project itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """New text for a unit, with the baseline it is judged against."""

    unit: UnitRef
    text: str
    nodes: tuple[str, ...]
    """Test nodes that must pass: those the baseline passed, or for `fix` the red ones too."""
    launches: tuple[Launch, ...]
    seed: int
    timed: bool = True
    """False where speed is not asked for, and the original's outputs are no reference: `fix`."""
    differences: Differences = "contract"
    """Which differences from the original in generated cases are fatal."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Launcher to `file.py::function`, which the user trusts more than the original."""
    benchmark: str | None = None
    """As for `Evaluator.record`; the same function for both."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one request is. `done` of `total` where both are known, else zeros."""

    stage: str
    detail: str = ""
    done: int = 0
    total: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    """With the last word on a candidate alone: where its time went, by stage and, as
    `stage:phase`, within stages. Counted on the worker's host."""


OnProgress = Callable[[Progress], None]


class Evaluator(Protocol):
    """Judges candidates. Every method raises `EvaluatorError` for the world's faults.

    Cancelling the awaiting task cancels the work on the target. Calls may overlap.
    """

    @property
    def shipped(self) -> Shipped:
        """The files of the workspace that was opened last."""

    async def open(self, workspace: Workspace) -> Facts:
        """Starts the worker, ships what it needs and returns the handshake's facts.

        May be called again with a changed workspace.
        """

    async def collect(self, tests: tuple[str, ...]) -> Collected:
        """Lists the pytest nodes below `tests` (paths or node ids, relative to root)."""

    async def record(
        self,
        unit: UnitRef,
        tests: tuple[str, ...],
        on_progress: OnProgress,
        *,
        benchmark: str | None = None,
    ) -> Recorded:
        """Runs the original under `tests` and records every launch of the unit.

        `benchmark`, `file.py::function`, is called after them: its calls are then timed
        instead of theirs.
        """

    async def evaluate(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        """Runs the cascade load, tests, time; the first failure ends it."""

    async def confirm(self, candidate: Candidate, on_progress: OnProgress) -> WorkerVerdict:
        """The same in a fresh process with empty caches and a new seed."""

    async def run_tests(
        self, tests: tuple[str, ...], unit: UnitRef | None, on_progress: OnProgress
    ) -> TestRun:
        """Runs tests as they are, with `unit`'s text in place of its file if given."""

    async def compile(
        self, unit: UnitRef, text: str, launches: tuple[Launch, ...], arch: str
    ) -> CompileReport:
        """Compiles recorded launches of `text` for `arch`; needs no GPU."""

    async def close(self) -> None:
        """Ends the worker and everything it started. Never raises; may be called twice."""
