"""What crosses the wire, as frozen records: test outcomes, launches, facts, samples, verdicts.

One definition serves both sides: the worker fills these in, the host reads, stores
and judges them. Raw samples travel; every statistic is derived on the host.
Words matter here: *measured* comes from a clock on the hardware named beside it,
*counted* from running the kernel on Triton's interpreter, *estimated* from reading
code compiled for an architecture.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Literal, Union

from .launch_records import Compiled, Launch

Stage = Literal["screen", "collect", "record", "load", "tests", "differ", "time", "confirm"]
Mode = Literal["device", "interpret", "compile"]
Outcome = Literal["passed", "failed", "error", "skipped", "xfailed", "xpassed", "not run"]
Oracle = Literal["reference", "torch", "float64", "original"]
CaseGroup = Literal["recorded", "shape", "layout", "values", "alias", "arguments"]
CaseStatus = Literal["equal", "differs", "behaviour change", "not run"]
Differences = Literal["contract", "strict", "recorded", "listed"]
"""Which differences from the original are fatal: those in hard cases; all of them; those in calls as the
tests made them (the original passes these tests and fails others); or none (`fix`: the original is
wrong, so they are only listed). A reference decides where the user names one, and what only the
candidate does to memory that is not its own is fatal always."""


@dataclass(frozen=True, kw_only=True)
class TestOutcome:
    """One pytest node. `seconds` covers setup, call and teardown."""

    __test__ = False

    nodeid: str
    outcome: Outcome
    seconds: float
    detail: str = ""
    kernels: tuple[str, ...] = ()
    """Kernels of the unit that this node launched."""
    uncovered: str | None = None
    """The known limit of Triton's interpreter that explains a red result, or None."""

    @property
    def gist(self) -> str:
        """The line of `detail` that says what went wrong; empty where there is no detail."""
        if self.uncovered:
            return f"Triton's interpreter cannot do this: {self.uncovered}"
        return _telling_line(self.detail)


def _telling_line(text: str) -> str:
    """pytest marks the error's lines with `E`; of those that belong together the first
    names it, and the last such error is the one that ended the test."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [n for n, line in enumerate(lines) if line == "E" or line.startswith("E ")]
    if not marked:
        plain = [line for line in lines if not line.startswith("tensors: ")]
        return plain[-1] if plain else ""
    first = marked[-1]
    while first - 1 in marked:
        first -= 1
    block = [lines[n].removeprefix("E ").strip() for n in range(first, marked[-1] + 1)]
    return _syntax_error(block) or block[0]


def _syntax_error(block: list[str]) -> str:
    """`SyntaxError: what (file, line 9)` of a block that begins with the place; else empty."""
    place = re.fullmatch(r'File "(.+)", line (\d+)', block[0])
    if place is None or not re.match(r"\w+Error: ", block[-1]):
        return ""
    return f"{block[-1]} ({PurePath(place[1]).name}, line {place[2]})"


@dataclass(frozen=True, kw_only=True)
class Case:
    """Raw samples of one timed case: rounds of pairs, in microseconds.

    `rounds[r][p]` is `(original_us, candidate_us)`, taken in random order within the
    pair. `method` is `events` or `graph`; `state` is `cold` or `warm`. Never mixed.
    """

    name: str
    method: Literal["events", "graph"]
    state: Literal["cold", "warm"]
    seed: int
    rounds: tuple[tuple[tuple[float, float], ...], ...]
    control: tuple[tuple[tuple[float, float], ...], ...] = ()
    """A/A: the original against itself, taken between the pairs of the same rounds."""
    slowed: tuple[tuple[tuple[float, float], ...], ...] = ()
    """The original against itself with a delay added, likewise: must read SLOWER."""
    slowed_by: float = 0.0
    """That delay, as a share of the original's sample."""
    processes: Literal[1, 2] = 1
    """2: each version in a process of its own, taking turns sample by sample."""
    floor_us: float | None = None
    """No call can be faster, for the bytes it must move; None where nothing is known."""
    retaken: tuple[str, ...] = ()
    """Rounds dropped and taken again, each with its reason: the environment, never a ratio."""
    dropped: tuple[tuple[tuple[float, float], ...], ...] = ()
    """The pairs of those rounds, which nothing is made of: whoever doubts the reason can look."""
    notes: tuple[str, ...] = ()
    """What a reader of the samples should know, such as why there is no device graph."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """All that the clock said. `environment` names device, driver, clocks and versions."""

    cases: tuple[Case, ...]
    environment: dict[str, str]
    not_timed: tuple[str, ...] = ()
    """Recorded calls that could not be replayed, each with its reason."""


@dataclass(frozen=True, kw_only=True)
class Untimed:
    """There was no clock, or nothing to time; `reason` is one sentence."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class CheckedCase:
    """One generated case: equal inputs for both versions, and how far each was from the truth.

    Errors are the largest of any output, in units in the last place of its type, relative
    to the element or its row's root mean square, against `oracle`; None where no number
    says it (exceptions, integers, cases not run). `name` and `seed` make the inputs again.
    """

    name: str
    group: CaseGroup
    hard: bool
    """Within the recorded contract, and the original passed it twice: a difference is fatal."""
    oracle: Oracle
    status: CaseStatus
    seed: int
    original_error: float | None = None
    candidate_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class Differential:
    """What the generated cases said. Everything that was not looked at is named."""

    cases: tuple[CheckedCase, ...]
    behaviour_changes: tuple[str, ...]
    """Sentences about differences outside the recorded contract, or listed for `fix`."""
    not_covered: tuple[str, ...]
    """Calls and kinds of inputs that could not be generated, replayed or judged, with reasons."""
    seed: int
    seconds: float
    budget_s: float
    n_watched: int = 0
    """Of a confirmation on a device: cases that both versions also ran on the interpreter, where
    races, stray accesses and hints that do not hold are seen."""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """The candidate does not import or does not compile (*call accuracy*)."""

    trace: str
    kernel: str | None = None


@dataclass(frozen=True, kw_only=True)
class Misplaced:
    """The tests did not import the candidate's text, so nothing they say counts."""

    detail: str


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Some of the user's tests are red (*execution accuracy*)."""

    cases: tuple[TestOutcome, ...]
    passed: int


@dataclass(frozen=True, kw_only=True)
class Differs:
    """Green tests, but other outputs than the original's on generated or timed inputs.

    Each of `cases` is a sentence: the call, and how far apart the outputs are. `found`
    holds the generated cases behind them; it is empty where the clock's stage noticed.
    """

    cases: tuple[str, ...]
    found: tuple[CheckedCase, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cheated:
    """The candidate was seen not to do the work: `reason` names the trick, `detail` shows it."""

    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Crashed:
    """The process died: `how` is `SIGSEGV`, `exited 3 without a result`, ..."""

    stage: Stage
    how: str
    output: str = ""


@dataclass(frozen=True, kw_only=True)
class TimedOut:
    stage: Stage
    limit_s: float


@dataclass(frozen=True, kw_only=True)
class Exceeded:
    """A limit on memory, disk or output was passed; `what` names it with its figure."""

    stage: Stage
    what: str


@dataclass(frozen=True, kw_only=True)
class Correct:
    """Every stage passed. Performance is a score, never a gate."""

    tests: tuple[TestOutcome, ...]
    launches: tuple[Launch, ...]
    compiled: tuple[Compiled, ...]
    timing: Timing | Untimed
    differential: Differential | None = None
    """None where nothing could be generated or the suite was not asked for."""


WorkerVerdict = Union[
    Broken, Misplaced, Failed, Differs, Cheated, Crashed, TimedOut, Exceeded, Correct
]


@dataclass(frozen=True, kw_only=True)
class Device:
    """`uuid` is the driver's; `arch` is `gfx942` or `sm_90`; `memory_bytes` its total."""

    name: str
    uuid: str
    arch: str
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the handshake found in the user's Python; None where a package is missing."""

    python: str
    platform: str
    host: str
    torch: str | None
    triton: str | None
    pytest: str | None
    devices: tuple[Device, ...]
    mode: Literal["device", "interpret"]
    archs: tuple[str, ...]
    """Architectures the user's Triton can compile for."""
    isolation: Literal["strong", "partial", "none"]
    isolation_detail: str = ""
    slow_start: str | None = None
    """Why children do not fork from a preloaded zygote, or None when they do."""
    device_busy: str | None = None
    """Who else was on the chosen device when it was opened, in words; None where nobody is known."""
    settings: dict[str, str] = field(default_factory=dict)
    """What figures depend on besides versions: driver, runtime, the compiler's variables."""


@dataclass(frozen=True, kw_only=True)
class CollectError:
    """`path` is pytest's name for what it could not collect: a file, a class in it, a folder."""

    path: str
    message: str

    @property
    def gist(self) -> str:
        """The line of `message` that says what went wrong."""
        return _telling_line(self.message)


@dataclass(frozen=True, kw_only=True)
class Collected:
    nodes: tuple[str, ...]
    errors: tuple[CollectError, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The baseline: the original text under the user's tests, with every launch seen."""

    tests: tuple[TestOutcome, ...]
    launches: tuple[Launch, ...]
    compiled: tuple[Compiled, ...]
    not_compiled: tuple[str, ...] = ()
    """Kernels whose compilation failed, each with the compiler's sentence."""
    too_slow: tuple[str, ...] = ()
    """Nodes left out because the interpreter's time budget was spent."""


@dataclass(frozen=True, kw_only=True)
class TestRun:
    __test__ = False

    tests: tuple[TestOutcome, ...]


@dataclass(frozen=True, kw_only=True)
class CompileReport:
    compiled: tuple[Compiled, ...]
    errors: tuple[str, ...] = ()


Result = Union[Facts, Collected, Recorded, TestRun, CompileReport, WorkerVerdict]
