"""One run of the search policy on a virtual clock: the real `decide` and `apply`, with dice for the
model and the evaluator.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from random import Random

import attrs

from whet_agent.events import (
    Answered,
    Asked,
    BaselineRecorded,
    Confirmed,
    Created,
    Event,
    Finished,
    Judged,
    Opened,
    Proposed,
    Rejected,
    Screened,
    Started,
)
from whet_agent.ports import Message
from whet_agent.roles.context import Context
from whet_agent.search.briefing import Brief
from whet_agent.search.policy import Search, Stop, apply, decide
from whet_agent.search.starts import (
    Start,
    StartAsk,
    StartConfirm,
    StartJudge,
    StartOpen,
    StartRecord,
    StartScreen,
    StartSweep,
)
from whet_agent.search.state import ORIGINAL, Tried, base_id, confirmed_best, turn_of
from whet_agent.task import ModelChoice, Policy, Task
from whet_agent.testing.doubles import (
    baseline,
    broken_verdict,
    counted_verdict,
    interpreter_facts,
    launch,
    wrong_verdict,
)
from whet_evaluator.evaluation import Target
from whet_evaluator.worker.records import WorkerVerdict
from whet_evaluator.worker.unit_ref import UnitRef

COST = 1_000_000_000
"""The original's cost in a unit without meaning; the policy ranks by it as by bytes."""


@attrs.frozen(kw_only=True)
class Dice:
    """The simulated model. All of it is assumption; none of it was measured."""

    p_usable: float = 0.92
    """A reply holds code that passes the screen."""
    p_compiles: float = 0.50
    p_correct_given_compiles: float = 0.35
    p_fixed_given_trace: float = 0.30
    """A debug turn that sees the failing case mends it."""
    gain_median: float = 1.02
    gain_sigma: float = 0.22
    """A correct candidate's cost is its parent's divided by a log-normal factor."""
    gain_ceiling: float = 4.0
    """No candidate is cheaper than a quarter of the original."""
    call_s: tuple[float, float] = (15.0, 60.0)
    judge_s: tuple[float, float] = (2.0, 8.0)


@attrs.frozen(kw_only=True)
class Outcome:
    """One simulated run."""

    found_correct: bool
    ratio: float
    """The original's cost over the best confirmed one's; 1 for "keep yours"."""
    usd: float
    max_committed_usd: float
    """The highest sum of spent and reserved money at any event."""
    seconds: float
    turns: int
    longest_debug_row: int


def simulate(policy: Policy, dice: Dice, seed: int) -> Outcome:
    """Plays one run on a virtual clock, events in the order of their times."""
    return _Run(policy, dice, seed).play()


class _Run:
    def __init__(self, policy: Policy, dice: Dice, seed: int) -> None:
        self._dice = dice
        self._random = Random(seed)
        self._now = 0.0
        self._order = itertools.count()
        self._due: list[tuple[float, int, Start]] = []
        self._max_committed = 0.0
        self._search = apply(None, Created(run=f"s{seed}", task=_task(policy), at=0.0))

    def play(self) -> Outcome:
        while not isinstance(step := decide(self._search, _BRIEF), Stop):
            for start in step:
                self._begin(start)
            self._now, _, start = heapq.heappop(self._due)
            for event in self._end(start):
                self._apply(event)
        self._apply(
            Finished(reason=step.reason, sentence=step.sentence, best=step.best, at=self._now)
        )
        return self._outcome()

    def _begin(self, start: Start) -> None:
        kinds = {StartAsk: "ask", StartScreen: "screen", StartJudge: "judge",
                 StartConfirm: "confirm", StartOpen: "open", StartRecord: "record",
                 StartSweep: "sweep"}  # fmt: skip
        self._apply(Started(id=start.id, work=kinds[type(start)], at=self._now))  # type: ignore[arg-type]
        seconds = 0.0
        if isinstance(start, StartAsk):
            self._apply(
                Asked(
                    id=start.id,
                    role=start.role,
                    reserved_usd=start.reserved_usd,
                    prompt_tokens_bound=start.prompt_tokens_bound,
                    at=self._now,
                )
            )
            seconds = self._random.uniform(*self._dice.call_s)
        elif isinstance(start, StartJudge | StartConfirm):
            seconds = self._random.uniform(*self._dice.judge_s)
        heapq.heappush(self._due, (self._now + seconds, next(self._order), start))

    def _end(self, start: Start) -> Iterator[Event]:
        at = self._now
        match start:
            case StartOpen():
                yield Opened(id=start.id, facts=interpreter_facts(), at=at)
            case StartRecord():
                recorded = baseline(launches=(launch(COST),))
                yield BaselineRecorded(id=start.id, recorded=recorded, at=at)
            case StartSweep():
                yield Screened(id=start.id, at=at)
            case StartAsk():
                yield self._answer(start)
            case StartScreen():
                yield from self._read(start)
            case StartJudge():
                verdict = _verdict(start.candidate)
                name = start.candidate.id
                yield Judged(id=start.id, candidate=name, verdict=verdict, stage_s={}, at=at)
            case StartConfirm():
                verdict = _verdict(start.candidate)
                yield Confirmed(id=start.id, candidate=start.candidate.id, verdict=verdict, at=at)

    def _answer(self, start: StartAsk) -> Answered:
        completion = self._random.randint(400, 3000)
        return Answered(
            id=start.id,
            role=start.role,
            text="",
            finish_reason="stop",
            prompt_tokens=start.prompt_tokens_bound // 4,
            completion_tokens=completion,
            usd=None,
            at=self._now,
        )

    def _read(self, start: StartScreen) -> Iterator[Event]:
        """The dice fall when the reply is read; the text carries how they fell."""
        at = self._now
        if self._random.random() < self._dice.p_usable:
            fate = self._fate(start)
            yield Proposed(
                id=start.id,
                candidate=f"{start.turn}.a",
                parent=start.parent,
                origin="model",
                label=self._random.choice(("memory", "compute", "algorithm")),
                strategy="simulated",
                text=fate,
                syntax_hash=f"{start.turn}",
                at=at,
            )
        else:
            yield Rejected(id=start.id, reason="no code", label="", at=at)
        yield Screened(id=start.id, at=at)

    def _fate(self, start: StartScreen) -> str:
        trajectory, number = turn_of(base_id(start.turn))
        turn = self._search.trajectories[trajectory].turns[number - 1]
        dice, random = self._dice, self._random
        if turn.is_debug and turn.debug_of is not None:
            if random.random() >= dice.p_fixed_given_trace:
                return self._search.candidates[turn.debug_of].text
        else:
            if random.random() >= dice.p_compiles:
                return "broken"
            if random.random() >= dice.p_correct_given_compiles:
                return "wrong"
        parent = self._search.candidates[start.parent]
        cost = COST if parent.id == ORIGINAL else int(parent.text)
        gained = cost / (dice.gain_median * random.lognormvariate(0.0, dice.gain_sigma))
        return str(max(int(gained), int(COST / dice.gain_ceiling)))

    def _apply(self, event: Event) -> None:
        self._search = apply(self._search, event)
        committed = self._search.spent_usd + self._search.reserved_usd
        self._max_committed = max(self._max_committed, committed)

    def _outcome(self) -> Outcome:
        search = self._search
        best = confirmed_best(search)
        turns = [turn for line in search.trajectories for turn in line.turns]
        return Outcome(
            found_correct=any(
                tried.is_correct for tried in search.candidates.values() if tried.id != ORIGINAL
            ),
            ratio=COST / int(best.text) if best else 1.0,
            usd=search.spent_usd,
            max_committed_usd=self._max_committed,
            seconds=self._now,
            turns=len(turns),
            longest_debug_row=_longest_debug_row(search),
        )


def _longest_debug_row(search: Search) -> int:
    rows = [
        len(list(group))
        for line in search.trajectories
        for is_debug, group in itertools.groupby(line.turns, key=lambda turn: turn.is_debug)
        if is_debug
    ]
    return max(rows, default=0)


def _verdict(tried: Tried) -> WorkerVerdict:
    match tried.text:
        case "broken":
            return broken_verdict()
        case "wrong":
            return wrong_verdict()
        case cost:
            return counted_verdict(int(cost))


def _template(search: Search) -> Context:
    unit = search.task.unit
    return Context(goal=search.task.goal, kernel="kernel", path=unit.path, unit_text=unit.text)


_BRIEF = Brief(
    template=_template,
    excerpt=lambda text: text,
    messages=lambda _role, _context: (Message("user", "x" * 12_000),),
    parse_strategies=lambda _text: (),
)


def _task(policy: Policy) -> Task:
    return Task(
        goal="optimize",
        root="/",
        kernel="kernel",
        unit=UnitRef(path="k.py", kernels=("kernel",), launchers=(), text="original"),
        digest="",
        tests=("t",),
        target=Target(),
        arch=None,
        policy=policy,
        model=ModelChoice(
            name="simulated",
            base_url="",
            usd_per_million_input=2.0,
            usd_per_million_output=8.0,
        ),
    )
