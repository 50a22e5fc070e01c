"""For how long a run of several candidates used its device."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time

import attrs

from whet_evaluator.evaluation import Progress

ON_DEVICE = frozenset({"tests", "differ", "time"})
"""Stages that hold the device while they run."""


@attrs.frozen(kw_only=True)
class Busy:
    """`spans`: when some stage ran on the device, seconds from the start."""

    n_candidates: int
    wall: float
    spans: tuple[tuple[float, float], ...]
    utilisation: float | None
    """Mean of what nvidia-smi reported meanwhile, 0 to 1."""

    @property
    def share(self) -> float:
        """Of the wall time, how much had at least one stage on the device."""
        covered, reached = 0.0, 0.0
        for began, ended in sorted(self.spans):
            covered += max(0.0, ended - max(began, reached))
            reached = max(reached, ended)
        return covered / self.wall


class Watch:
    """When one candidate's stages ran on the device: from a stage's first sign of life
    (a test begins, a round ends) to the first sign of the next stage."""

    def __init__(self, began: float) -> None:
        self._began = began
        self._spans: list[tuple[float, float]] = []
        self._since: float | None = None
        self._stage = ""

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic() - self._began
        if progress.stage != self._stage and self._since is not None:
            self._spans.append((self._since, now))
            self._since = None
        self._stage = progress.stage
        if progress.stage in ON_DEVICE and progress.total and self._since is None:
            self._since = now

    def ended(self) -> list[tuple[float, float]]:
        self(Progress("end"))
        return self._spans


class Utilisation:
    """Samples what nvidia-smi says, where there is one."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> None:
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "200"]
        try:
            self._process = await asyncio.create_subprocess_exec(
                "nvidia-smi", *query, stdout=subprocess.PIPE
            )
        except OSError:
            return

    async def __aexit__(self, *_why: object) -> None:
        if self._process is None:
            return
        self._process.terminate()
        output, _ = await self._process.communicate()
        values = [int(line) for line in output.decode().split() if line.isdigit()]
        self.mean = statistics.fmean(values) / 100 if values else None
