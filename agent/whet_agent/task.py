"""What a person asked for: one frozen value, made once, stored with the run.

Nothing here knows of LSP, terminals, models or workers.
"""

from __future__ import annotations

from typing import Literal

import attrs

from whet_evaluator.evaluation import Target
from whet_evaluator.worker.unit_ref import UnitRef

Goal = Literal["optimize", "fix"]


@attrs.frozen(kw_only=True)
class Policy:
    """The search's switches. Every module of GEAK can be turned off for an ablation.

    `max_usd` is a hard bound: each model call reserves its worst case before it
    starts. `early_stop` is a speedup ratio at which to end sooner, None to use the
    whole budget. `patience` counts judged candidates without a new best.
    """

    iterations: int = 20
    trajectories: int = 1
    max_usd: float | None = None
    max_seconds: float | None = None
    knowledge: bool = True
    one_shot: bool = True
    reflection: bool = True
    optimizer: bool = True
    sweep: bool = True
    ancestors: int = 5
    max_perf_debug_num: int = 2
    """Debug turns in a row before a fresh strategy from the best parent is asked for."""
    temperature: float = 1.0
    max_completion_tokens: int = 8192
    patience: int | None = None
    early_stop: float | None = None
    strict: bool = False
    """Differences outside what the tests recorded (NaN, denormals, other shapes) reject too."""


@attrs.frozen(kw_only=True)
class ModelChoice:
    """Which model answers. `usd_per_million_*` None: the price is unknown."""

    name: str
    base_url: str
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None


@attrs.frozen(kw_only=True)
class Task:
    """One run's order. `root` is absolute; `unit.path` and `tests` are relative to it.

    `overlay` holds unsaved buffers (root-relative path to text) besides the unit's
    own text, which is `unit.text`. `model` None: the sweep alone.
    """

    goal: Goal
    root: str
    kernel: str
    unit: UnitRef
    digest: str
    """Of the unit, as `source.units.unit_digest` gives it: results are looked up by it."""
    tests: tuple[str, ...]
    target: Target
    arch: str | None
    policy: Policy
    model: ModelChoice | None
    overlay: dict[str, str] = attrs.field(factory=dict)
    references: dict[str, str] = attrs.field(factory=dict)
    """Launchers of the unit to `file.py::function`: what the user trusts to be right."""
    benchmark: str | None = None
    """`file.py::function` whose calls are timed instead of the tests'."""
    to_fix: tuple[str, ...] = ()
    """For `fix`: the tests to turn green (files or node ids). Empty: every red one."""
