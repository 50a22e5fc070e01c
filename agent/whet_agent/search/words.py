"""How a run's results are said. The words keep evidence apart: *measured* comes from a
clock, *counted* from the interpreter, *estimated* from compiled code. Where there was
no clock nothing here says that a candidate is quicker. Pure.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import assert_never

from whet_agent.events import Rejected
from whet_agent.search.score import CostScore, MeasuredScore, Score, standing, vetoes
from whet_agent.search.state import ORIGINAL, Search, Tried, is_refuted, original_score
from whet_evaluator.evaluation import Shipped
from whet_evaluator.worker.records import (
    Broken,
    Cheated,
    Correct,
    Crashed,
    Differs,
    Exceeded,
    Failed,
    Misplaced,
    TimedOut,
    WorkerVerdict,
)

MAX_DETAIL_CHARS = 4000
_FRAME = re.compile(r"\S+\.py:\d+: ")
_NAMED = 5
"""Files that are named one by one."""


def outcome(search: Search, tried: Tried) -> str:
    """One or two words for what became of a judged candidate: the tally's keys."""
    match tried.verdict:
        case None:
            return "not judged"
        case Correct() if is_refuted(search, tried):
            return "not confirmed"
        case Correct():
            return _performance_word(search, tried)
        case _ as verdict:
            return failure_word(verdict)


def failure_word(verdict: WorkerVerdict) -> str:  # noqa: PLR0911 - a table
    """What kind of failure a verdict is."""
    match verdict:
        case Broken():
            return "compile error"
        case Misplaced():
            return "not imported by the tests"
        case Failed() | Differs():
            return "wrong result"
        case Cheated():
            return "does not do the work"
        case Crashed():
            return "crash"
        case TimedOut():
            return "timeout"
        case Exceeded():
            return "limit passed"
        case Correct():
            return "correct"
        case _:
            assert_never(verdict)


def tally(search: Search, rejected: tuple[Rejected, ...]) -> dict[str, int]:
    """Judged and rejected candidates by outcome, most frequent first."""
    counts: Counter[str] = Counter(
        outcome(search, tried)
        for tried in search.candidates.values()
        if tried.id != ORIGINAL and tried.verdict is not None
    )
    counts.update("duplicate" if is_duplicate(one) else "unusable reply" for one in rejected)
    return dict(counts.most_common())


def is_duplicate(rejected: Rejected) -> bool:
    """Whether a candidate was dropped because it was tried before."""
    return "duplicate" in rejected.reason or "already tried" in rejected.reason


def rejections(search: Search) -> tuple[Rejected, ...]:
    """Everything that was screened out of the model's replies."""
    return tuple(
        rejected
        for line in search.trajectories
        for turn in line.turns
        for rejected in turn.rejected
    )


def listed(counts: dict[str, int]) -> str:
    """`wrong result 12, compile error 5`."""
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def performance(search: Search, value: Score | None) -> str:
    """One phrase in the words of evidence, for prompts and reports."""
    match value:
        case MeasuredScore() as measured:
            return f"{interval(measured)} measured on {hardware(search)}"
        case CostScore() as known if known.traffic_bytes is not None:
            return f"{known.traffic_bytes:,} bytes counted"
        case _:
            return "untimed"


DOUBT = "More than ten times faster is likelier a trick than a discovery: read the diff."
"""Said wherever such a figure is."""


def interval(measured: MeasuredScore) -> str:
    """`1.27x [1.25, 1.29]`."""
    return f"{measured.ratio:.2f}x [{measured.low:.2f}, {measured.high:.2f}]"


def hardware(search: Search) -> str:
    """The device's name, or what stood in for one."""
    if search.facts is None or not search.facts.devices:
        return "no device"
    return search.facts.devices[0].name


def failure_case(verdict: WorkerVerdict) -> tuple[str, str]:  # noqa: PLR0911 - a table
    """Stage and the part of a failure that explains it, for prompts: never a whole log."""
    match verdict:
        case Broken(trace=trace):
            return "load", trace[-MAX_DETAIL_CHARS:]
        case Misplaced(detail=detail):
            return "load", detail[-MAX_DETAIL_CHARS:]
        case Failed(cases=cases, passed=passed):
            first = cases[0]
            others = f"\n({len(cases) - 1} more red, {passed} green)" if len(cases) > 1 else ""
            return "tests", f"{first.nodeid}\n{first.detail[-MAX_DETAIL_CHARS:]}{others}"
        case Differs(cases=cases, found=found):
            return "differ" if found else "time", "\n".join(cases)[:MAX_DETAIL_CHARS]
        case Cheated(reason=reason, detail=detail):
            return "differ", f"{reason}: {detail}"[:MAX_DETAIL_CHARS]
        case Crashed(stage=stage, how=how, output=output):
            return stage, f"the process died: {how}\n{output[-MAX_DETAIL_CHARS:]}"
        case TimedOut(stage=stage, limit_s=limit_s):
            return stage, f"still running after {limit_s:g} s"
        case Exceeded(stage=stage, what=what):
            return stage, what
        case Correct():
            return "time", ""
        case _:
            assert_never(verdict)


def failure_gist(verdict: WorkerVerdict) -> str:
    """The one line of a failure that tells the error, with the red test's name where it is one."""
    match verdict:
        case Failed(cases=(first, *_)):
            return f"{first.nodeid}: {first.gist}"
        case Broken(trace=trace):
            return _raised_line(trace)
        case _:
            return _first_line(failure_case(verdict)[1])


def _raised_line(trace: str) -> str:
    """A trace begins with the unit's frames; Triton says the place first and the reason last."""
    lines = [line.strip() for line in trace.splitlines() if line.strip()]
    said = [line for line in lines if not _FRAME.match(line)] or lines
    if not said:
        return ""
    return f"{said[0]} {said[-1]}" if said[0].endswith(":") and len(said) > 1 else said[0]


def failed_line(search: Search, tried: Tried) -> str:
    """A strategy that did not help, in one line, for the prompts that follow."""
    what = _first_line(tried.strategy) or tried.label
    assert tried.verdict is not None
    if isinstance(tried.verdict, Correct):
        known = performance(search, tried.score)
        return f"{tried.label}: {what} - {outcome(search, tried)} ({known})"
    _, case = failure_case(tried.verdict)
    return f"{tried.label}: {what} - {failure_word(tried.verdict)}: {_last_line(case)}"


def _performance_word(search: Search, tried: Tried) -> str:
    original = original_score(search)
    if tried.score is None or original is None:
        return "correct, untimed"
    if search.task.goal == "fix":
        return "correct"
    if isinstance(tried.score, MeasuredScore) and tried.score.noisy:
        return "device too noisy"
    words = _CLOCK_WORDS if isinstance(tried.score, MeasuredScore) else _TRAFFIC_WORDS
    word = words[standing(tried.score, original)]
    if word == "less traffic" and vetoes(tried.score, original):
        return "less traffic at a price"
    return word


_CLOCK_WORDS = {
    "better": "faster",
    "same": "no difference",
    "worse": "slower",
    "undecided": "undecided",
    "unknown": "correct, untimed",
}
_TRAFFIC_WORDS = {
    "better": "less traffic",
    "same": "same traffic",
    "worse": "more traffic",
    "undecided": "correct, untimed",
    "unknown": "correct, untimed",
}


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")[:200]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""


def not_sent(target: str, shipped: Shipped) -> str:
    """Which of the project's files the target lacks and the cure; empty where it has all."""
    if not shipped.left_out:
        return ""
    named = ", ".join(shipped.left_out[:_NAMED])
    more = len(shipped.left_out) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    cure = "raise max_file_bytes or max_total_bytes, or set the target's `root`"
    return f"not sent to {target}: {named}{rest}; {cure}."
