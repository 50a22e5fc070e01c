"""What an offered edit rests on, as one frozen record: hashes, environment, checks, figures.

Pure: derived from a run's events (or from a comparison's parts) and from nothing else.
Hover, hints, lenses and reports draw on it, and `whet verify` repeats it. Words matter
here as everywhere: *measured* comes from a clock on the hardware that is named,
*counted* from Triton's interpreter, *estimated* from compiled code.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal

import attrs

from whet_agent.search.score import cost
from whet_agent.search.state import Search, Surroundings, Tried
from whet_agent.source.units import unit_digest
from whet_agent.task import Goal, Task
from whet_evaluator.evaluation import Shipped
from whet_evaluator.files import shipped_digest, text_digest
from whet_evaluator.statistics import Measured, analyse
from whet_evaluator.worker.launch_records import Counted
from whet_evaluator.worker.records import Correct, Recorded, TestOutcome, Timing

How = Literal["measured", "counted", "estimated", "tested"]
"""What the strongest claim about cost rests on; *tested*: only correctness is claimed."""

_CONFIGURATION = ("pyproject.toml", "pytest.ini", ".pytest.ini", "tox.ini", "setup.cfg")


@attrs.frozen(kw_only=True)
class Speedup:
    """Measured and confirmed on fresh samples: original time over candidate time.

    `low` and `high` bound the geometric mean over cases with 95 % confidence; that it is
    faster at all rests on the wider interval that several looks leave (`statistics`).
    """

    ratio: float
    low: float
    high: float
    hardware: str
    at: float


@attrs.frozen(kw_only=True)
class Cost:
    """Traffic of one text over the recorded launches: *counted*, not measured."""

    counted: Counted | None
    vgprs: int | None
    """Largest over the compiled kernels: *estimated*."""
    spills: int | None
    lds_bytes: int | None
    arch: str | None


@attrs.frozen(kw_only=True)
class Hashes:
    """sha256 of everything the verdict depends on, files by root-relative path.

    `original_unit` and `candidate_unit` cover the unit's definitions alone, so that an
    edit elsewhere in the file is told from one that matters. `tests` are the files that
    ran, `configuration` conftests and what configures pytest, `helpers` all other sources
    that were there, `data_digest` one digest over the `n_data` remaining files.
    """

    original: str
    original_unit: str
    candidate: str
    candidate_unit: str
    tests: Mapping[str, str]
    configuration: Mapping[str, str]
    helpers: Mapping[str, str]
    data_digest: str
    n_data: int
    manifest: str
    """One digest over all of the above but the candidate."""


@attrs.frozen(kw_only=True)
class Environment:
    """Where it ran. `arch` is the device's, or what was compiled for where there is none."""

    target: str
    mode: Literal["device", "interpret"]
    device: str | None
    arch: str | None
    python: str
    torch: str | None
    triton: str | None
    whet: str
    isolation: Literal["strong", "partial", "none"]
    isolation_detail: str
    settings: Mapping[str, str]
    """Driver, runtime, compiler variables, and with a clock what the timing stage noted."""


@attrs.frozen(kw_only=True)
class Evidence:
    """One edit and all that speaks for it. `run` is empty for a comparison without a run."""

    run: str
    goal: Goal
    path: str
    kernel: str
    candidate: str
    label: str
    strategy: str
    at: float
    how: How
    hashes: Hashes
    environment: Environment
    verdict: Correct
    """The fresh evaluation: tests, launches, generated cases, raw samples."""
    stage_s: Mapping[str, float]
    measured: Measured | None
    """Statistics of the raw samples, None where nothing was timed."""
    speedup: Speedup | None
    """Only what fresh samples on a quiet device call FASTER."""
    cost_before: Cost | None
    cost_after: Cost | None
    left_out: tuple[str, ...]
    """What of the original's tests and kernels was not judged, each with its reason."""

    @property
    def tests(self) -> tuple[TestOutcome, ...]:
        return self.verdict.tests

    @property
    def n_passed(self) -> int:
        return sum(test.outcome in ("passed", "xpassed") for test in self.tests)


def of_candidate(search: Search, tried: Tried) -> Evidence:
    """The evidence for a confirmed candidate of a run."""
    assert isinstance(tried.confirmation, Correct), f"{tried.id} is not confirmed"
    assert tried.confirmed_in is not None
    assert search.recorded is not None
    return gather(
        task=search.task, run=search.run, candidate=tried.id, text=tried.text, label=tried.label,
        strategy=tried.strategy, surroundings=tried.confirmed_in, recorded=search.recorded,
        verdict=tried.confirmation, stage_s=tried.confirmed_stage_s, at=tried.confirmed_at,
    )  # fmt: skip


def gather(
    *, task: Task, run: str, candidate: str, text: str, label: str, strategy: str,
    surroundings: Surroundings, recorded: Recorded, verdict: Correct,
    stage_s: Mapping[str, float], at: float,
) -> Evidence:  # fmt: skip
    """Puts the parts together. `text` is the candidate's whole file, `recorded` the
    original's baseline, `verdict` the candidate's fresh evaluation."""
    environment = _environment(task, surroundings, verdict)
    timed = isinstance(verdict.timing, Timing) and verdict.timing.cases
    measured = analyse(verdict.timing) if timed else None  # type: ignore[arg-type]
    before, after = _cost(recorded), _cost(verdict)
    return Evidence(
        run=run, goal=task.goal, path=task.unit.path, kernel=task.kernel, candidate=candidate,
        label=label, strategy=strategy, at=at, how=_how(task, measured, before, after),
        hashes=_hashes(task, text, surroundings.shipped, verdict), environment=environment,
        verdict=verdict, stage_s=stage_s, measured=measured,
        speedup=_speedup(measured, environment, at), cost_before=before, cost_after=after,
        left_out=_left_out(recorded, verdict),
    )  # fmt: skip


def configuration_of(tests: Mapping[str, str], sources: Mapping[str, str]) -> dict[str, str]:
    """Of `sources`, conftests and pytest's configuration in the folders above `tests`."""
    folders = {folder for test in tests for folder in PurePosixPath(test).parents}
    names = {str(folder / name) for folder in folders for name in ("conftest.py", *_CONFIGURATION)}
    return {path: sha for path, sha in sources.items() if path in names}


def _hashes(task: Task, text: str, shipped: Shipped, verdict: Correct) -> Hashes:
    sources, own = shipped.sources, task.unit.path
    ran = {test.nodeid.partition("::")[0] for test in verdict.tests}
    tests = {path: sources[path] for path in sorted(ran) if path in sources}
    configuration = configuration_of(tests, sources)
    known = {own, *tests, *configuration}
    return Hashes(
        original=text_digest(task.unit.text),
        original_unit=task.digest,
        candidate=text_digest(text),
        candidate_unit=_unit_digest(text, task.kernel) or "",
        tests=tests,
        configuration=configuration,
        helpers={path: sha for path, sha in sources.items() if path not in known},
        data_digest=shipped.data_digest,
        n_data=shipped.n_data,
        manifest=shipped_digest(shipped),
    )


@functools.lru_cache(maxsize=64)
def _unit_digest(text: str, kernel: str) -> str | None:
    """A summary is made anew with each event; the text of its best is not."""
    return unit_digest(text, kernel)


def _environment(task: Task, surroundings: Surroundings, verdict: Correct) -> Environment:
    facts = surroundings.facts
    noted = verdict.timing.environment if isinstance(verdict.timing, Timing) else {}
    device = facts.devices[0] if facts.devices else None
    return Environment(
        target=task.target.name,
        mode=facts.mode,
        device=noted.get("device") or (device.name if device else None),
        arch=device.arch if device else _compiled_for(verdict) or task.arch,
        python=facts.python,
        torch=facts.torch,
        triton=facts.triton,
        whet=surroundings.whet,
        isolation=facts.isolation,
        isolation_detail=facts.isolation_detail,
        settings={**facts.settings, **noted},
    )


def _compiled_for(verdict: Correct) -> str | None:
    return verdict.compiled[0].arch if verdict.compiled else None


def _how(task: Task, measured: Measured | None, before: Cost | None, after: Cost | None) -> How:
    if task.goal == "fix" or before is None or after is None:
        return "measured" if measured is not None else "tested"
    if measured is not None:
        return "measured"
    return "counted" if before.counted is not None and after.counted is not None else "estimated"


def _speedup(measured: Measured | None, environment: Environment, at: float) -> Speedup | None:
    if measured is None or measured.verdict != "FASTER" or not measured.control_ok:
        return None
    hardware = environment.device or "no device"
    return Speedup(
        ratio=measured.ratio, low=measured.low, high=measured.high, hardware=hardware, at=at
    )


def _cost(seen: Recorded | Correct) -> Cost | None:
    found = cost(seen.launches, seen.compiled)
    if found.counted is None and found.arch is None:
        return None
    return Cost(
        counted=found.counted,
        vgprs=found.vgprs,
        spills=found.spills,
        lds_bytes=found.lds_bytes,
        arch=found.arch,
    )


def _left_out(recorded: Recorded, verdict: Correct) -> tuple[str, ...]:
    limits = [f"{t.nodeid}: {t.uncovered}" for t in recorded.tests if t.uncovered]
    slow = [f"{node}: over the interpreter's time budget" for node in recorded.too_slow]
    red = [
        f"{test.nodeid}: {test.outcome} before any change"
        for test in recorded.tests
        if test.outcome in ("failed", "error", "not run") and not test.uncovered
    ]
    untimed = verdict.timing.not_timed if isinstance(verdict.timing, Timing) else ()
    return (*limits, *slow, *red, *untimed, *recorded.not_compiled)
