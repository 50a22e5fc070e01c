"""What a role is told: one frozen value, filled by the search, read by the roles.

Everything in it leaves the machine with the prompt, so nothing in it may be a secret
or lie outside what `share` allows. The search decides what a role knows by what it
puts here; a role decides only how to say it.
"""

from __future__ import annotations

from typing import Literal

import attrs

from whet_agent.task import Goal

Label = Literal["memory", "compute", "launch", "algorithm", "fusion"]
"""What a strategy is about. One reply holds at most one candidate of each label."""

LABELS: tuple[Label, ...] = ("memory", "compute", "launch", "algorithm", "fusion")

LABEL_MEANINGS: dict[Label, str] = {
    "memory": "fewer or wider accesses: one pass instead of two, coalescing, reuse, cache hints",
    "compute": "fewer or cheaper operations: matrix units, precision, loop-invariant work",
    "launch": "the shape of the launch: block sizes, warps, stages, order of programs, persistence",
    "algorithm": "another way to the same result: online or split reductions, other tilings",
    "fusion": "fewer launches and fewer round trips: merge kernels, fold host work into the kernel",
}


@attrs.frozen(kw_only=True)
class Ancestor:
    """An earlier correct version, with how it fared.

    `performance` is one phrase in the words of evidence (`1.31x [1.28, 1.34] measured on
    MI300X`, `256,128 bytes counted`, `untimed`). `reflection` is the Reflector's, empty if
    none was written. The original is an ancestor too, with label `original`.
    """

    candidate: str
    label: str
    strategy: str
    unit_text: str
    performance: str
    reflection: str = ""


@attrs.frozen(kw_only=True)
class Failure:
    """The last attempt that did not pass, cut down to what explains it.

    `case` is the minimised failing case or the end of a compiler's message, never a
    whole log. `unit_text` is the attempt's code, `reflection` what the Reflector made
    of it (empty before it was asked, or when reflection is off).
    """

    label: str
    strategy: str
    unit_text: str
    stage: str
    case: str
    reflection: str = ""


@attrs.frozen(kw_only=True)
class Strategy:
    """A plan in words, as the Optimizer states it for the Generator to write."""

    label: str
    text: str


@attrs.frozen(kw_only=True)
class Context:
    """All that may be said to the Optimizer, Generator or Reflector in one turn.

    `ancestors` are ascending by performance, so the best comes last. `failed` are one
    line each. `last_failure` set makes it a debug turn; `strategies` set is the
    Optimizer's answer handed to the Generator. Texts that a switch turned off are empty.
    """

    goal: Goal
    kernel: str
    path: str
    unit_text: str
    """Imports and the unit's definitions as they are now: the original."""
    launchers: tuple[str, ...] = ()
    arch: str | None = None
    hardware: str = ""
    """Name of the device, if there is one: `AMD Instinct MI300X`."""
    triton: str | None = None
    """Version in the user's Python; it decides what compiles."""
    parent: Ancestor | None = None
    """The version to start from. None: the original."""
    ancestors: tuple[Ancestor, ...] = ()
    failed: tuple[str, ...] = ()
    last_failure: Failure | None = None
    problems: tuple[str, ...] = ()
    """Why parts of the last reply were unusable, one sentence each."""
    strategies: tuple[Strategy, ...] = ()
    labels: tuple[Label, ...] = LABELS
    """Labels to try in this turn; the search has masked the others."""
    exemplars: tuple[str, ...] = ()
    knowledge: str = ""
    tests: str = ""
    """Source of the tests that must pass, or an excerpt."""
    launches: str = ""
    """Recorded launches as short lines: shapes, types, constexprs, grid, bytes counted."""
    profile: str = ""
    """What is known of the original's cost, in the words of evidence."""
