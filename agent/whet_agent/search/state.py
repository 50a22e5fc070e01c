"""What a run's events add up to, and what can be read from it. Pure.

`fold.apply` makes these values, `search.decide` reads them. Work in flight is part of
the state, so a journal that ends in the middle of a call says which call was lost.

Identity. Work and candidates are named by trajectory and turn, never by a clock:
`t0.3.generator` is the Generator's call in turn 3 of trajectory 0, `t0.3.a` the first
candidate of its reply, `t0.3.a.judge` that candidate's evaluation. A second attempt at
the same work adds `~2`. The original is the candidate `original`, sweep variants are
`s0`, `s1`, ... An event that is repeated (screening begun again after a kill) changes
nothing the second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from whet_agent.events import Finished, Rejected, WorkKind
from whet_agent.search.score import Score, rank, standing, vetoes
from whet_agent.task import Task
from whet_evaluator.evaluation import Shipped
from whet_evaluator.worker.records import Correct, Facts, Recorded, TestOutcome, WorkerVerdict

ORIGINAL = "original"
SWEEP = "sweep"
MAX_CALL_FAILURES = 5
"""Model calls that fail in a row on one trajectory before the run ends: the endpoint is down."""


@attrs.frozen(kw_only=True)
class Surroundings:
    """Where a verdict was reached: host and versions, the files beside the candidate, Whet."""

    facts: Facts
    shipped: Shipped
    whet: str


@attrs.frozen(kw_only=True)
class Tried:
    """A candidate and what became of it. `verdict` None: not judged yet."""

    id: str
    parent: str | None
    origin: str
    label: str
    strategy: str
    text: str
    syntax_hash: str
    verdict: WorkerVerdict | None = None
    score: Score | None = None
    confirmation: WorkerVerdict | None = None
    confirmed_score: Score | None = None
    confirmed_at: float = 0.0
    confirmed_in: Surroundings | None = None
    confirmed_stage_s: Mapping[str, float] = attrs.field(factory=dict)
    reflection: str = ""

    @property
    def is_correct(self) -> bool:
        return isinstance(self.verdict, Correct)


@attrs.frozen(kw_only=True)
class Turn:
    """One iteration of one trajectory: plan, code, screening, verdicts, reflection.

    `debug_of` names the failed candidate a debug turn repairs. Replies are None until
    they arrive. `abandoned`: its model call can never succeed as it stands.
    """

    trajectory: int
    number: int
    parent: str
    debug_of: str | None
    is_debug: bool
    problems: tuple[str, ...] = ()
    """Why the reply before was unusable, told to the model in a debug turn."""
    optimizer: str | None = None
    generator: str | None = None
    finish_reason: str = ""
    screened: bool = False
    candidates: tuple[str, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    reflector: str | None = None
    abandoned: bool = False

    @property
    def id(self) -> str:
        return f"t{self.trajectory}.{self.number}"


@attrs.frozen(kw_only=True)
class Trajectory:
    """One line of turns. `failures` are model calls that failed in a row."""

    turns: tuple[Turn, ...] = ()
    failures: int = 0
    retry_after_s: float | None = None


@attrs.frozen(kw_only=True)
class Flight:
    """Work begun and not ended. `reserved_usd` is what a model call may cost at most."""

    id: str
    work: WorkKind
    reserved_usd: float = 0.0


@attrs.frozen(kw_only=True)
class Search:
    """Everything known of a run. Mappings are never changed in place."""

    run: str
    task: Task
    created_at: float
    now: float
    active_s: float = 0.0
    """Seconds the run was worked on; time between a stop and a resume does not count."""
    is_open: bool = False
    """Whether the evaluator was opened since the run began or was resumed."""
    facts: Facts | None = None
    surroundings: Surroundings | None = None
    """As the last opening found them; its `facts` are `facts`."""
    recorded: Recorded | None = None
    candidates: Mapping[str, Tried] = attrs.field(factory=dict)
    flight: Mapping[str, Flight] = attrs.field(factory=dict)
    starts: Mapping[str, int] = attrs.field(factory=dict)
    """How often each piece of work was begun, by its id without the attempt."""
    trajectories: tuple[Trajectory, ...] = ()
    swept: bool = False
    spent_usd: float = 0.0
    """Paid, plus the reservations of calls that vanished."""
    tokens: int = 0
    prices_known: bool = True
    since_best: int = 0
    """Candidates judged since the best changed, for patience."""
    cancelled: bool = False
    model_failure: str | None = None
    finished: Finished | None = None

    @property
    def reserved_usd(self) -> float:
        return sum(flight.reserved_usd for flight in self.flight.values())

    @property
    def has_clock(self) -> bool:
        return self.facts is not None and self.facts.mode == "device"


def arch_of(search: Search) -> str | None:
    """What candidates are compiled for: the device's own, else what the task names."""
    devices = search.facts.devices if search.facts else ()
    return devices[0].arch if devices else search.task.arch


def base_id(work_id: str) -> str:
    """The id of the work whatever the attempt: `t0.3.generator~2` gives `t0.3.generator`."""
    return work_id.partition("~")[0]


def original_score(search: Search) -> Score | None:
    """The original's score, None before the baseline was recorded."""
    return search.candidates[ORIGINAL].score


def is_better(search: Search, tried: Tried) -> bool:
    """Whether a judged candidate deserves to be offered, before any confirmation."""
    if not tried.is_correct or tried.id == ORIGINAL:
        return False
    if search.task.goal == "fix":
        return True
    return _beats(search, tried.score)


def is_refuted(search: Search, tried: Tried) -> bool:
    """Whether the fresh evaluation did not bear out what the first one said."""
    if tried.confirmation is None:
        return False
    if not isinstance(tried.confirmation, Correct):
        return True
    return search.task.goal == "optimize" and not _beats(search, tried.confirmed_score)


def leader(search: Search) -> Tried | None:
    """The best candidate that is not refuted, confirmed or not; None if none is better."""
    standing_ones = [
        tried
        for tried in search.candidates.values()
        if is_better(search, tried) and not is_refuted(search, tried)
    ]
    return max(standing_ones, key=_order, default=None)


def confirmed_best(search: Search) -> Tried | None:
    """The best candidate a fresh evaluation has borne out: the only one ever offered."""
    upheld = [
        tried
        for tried in search.candidates.values()
        if tried.confirmation is not None
        and is_better(search, tried)
        and not is_refuted(search, tried)
    ]
    return max(upheld, key=_order, default=None)


def ascending(tried: Iterable[Tried]) -> list[Tried]:
    """Correct candidates, worst first."""
    return sorted((one for one in tried if one.score is not None), key=_order)


def turn_of(base: str) -> tuple[int, int]:
    """Trajectory and number (from 1) in an id such as `t0.3.generator`."""
    trajectory, number, *_ = base.split(".")
    return int(trajectory[1:]), int(number)


def red_tests(recorded: Recorded) -> tuple[TestOutcome, ...]:
    """Baseline tests that are red for a reason other than the interpreter's known limits."""
    return tuple(
        test
        for test in recorded.tests
        if test.outcome in ("failed", "error") and test.uncovered is None
    )


def green_nodes(recorded: Recorded) -> tuple[str, ...]:
    """Baseline tests that every candidate must keep green."""
    return tuple(test.nodeid for test in recorded.tests if test.outcome in ("passed", "xpassed"))


def must_pass(search: Search) -> tuple[str, ...]:
    """Test nodes a candidate must pass; for `fix` the red ones too."""
    assert search.recorded is not None
    nodes = green_nodes(search.recorded)
    if search.task.goal == "fix":
        nodes += tuple(test.nodeid for test in red_to_fix(search))
    return nodes


def red_to_fix(search: Search) -> tuple[TestOutcome, ...]:
    """The red tests `fix` must turn green: those the user named, or all of them."""
    assert search.recorded is not None
    named = search.task.to_fix
    return tuple(
        test
        for test in red_tests(search.recorded)
        if not named or any(_is_below(test.nodeid, name) for name in named)
    )


def _is_below(nodeid: str, name: str) -> bool:
    """Whether a folder, file, class, function or node id names this node."""
    return nodeid == name or nodeid.startswith((f"{name}::", f"{name}[", f"{name.rstrip('/')}/"))


def _order(tried: Tried) -> tuple[float, ...]:
    """Fresh samples count before the first ones. On a tie `max` keeps the earlier."""
    found = tried.confirmed_score or tried.score
    return rank(found) if found is not None else (-1.0,)


def _beats(search: Search, value: Score | None) -> bool:
    original = original_score(search)
    if value is None or original is None:
        return False
    return standing(value, original) == "better" and not vetoes(value, original)
