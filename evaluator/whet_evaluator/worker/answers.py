"""From how a stage ended to what the protocol says about it. Pure."""

from __future__ import annotations

from typing import Any

from . import records
from .codec import from_json
from .launch_records import Compiled, Launch
from .records import WorkerVerdict
from .stage_ends import Answered, Caught, Died, OutOfTime, OverLimit, Raised, StageEnd
from .workspace import WorkspaceError


class Rejected(Exception):
    """Ends a candidate's cascade with a verdict."""

    def __init__(self, verdict: WorkerVerdict) -> None:
        super().__init__()
        self.verdict = verdict


def answer(stage: records.Stage, end: StageEnd) -> dict[str, Any]:
    """What a stage of the candidate's answered. Raises `Rejected` where it did not."""
    if not isinstance(end, Answered):
        raise Rejected(verdict_of(stage, end))
    answered: dict[str, Any] = end.answer
    return answered


def verdict_of(stage: records.Stage, end: StageEnd) -> WorkerVerdict:
    """The verdict on a candidate whose stage gave no answer."""
    if isinstance(end, Raised):
        return records.Crashed(
            stage=stage, how="raised an exception outside the tests", output=end.trace
        )
    if isinstance(end, Caught):
        return records.Cheated(reason=end.reason, detail=end.detail)
    if isinstance(end, OutOfTime):
        return records.TimedOut(stage=stage, limit_s=end.limit_s)
    if isinstance(end, OverLimit):
        return records.Exceeded(stage=stage, what=end.what)
    assert isinstance(end, Died), end
    return records.Crashed(stage=stage, how=end.how, output=end.output)


def sound(end: StageEnd) -> dict[str, Any]:
    """The answer of a stage that ran the user's own code, whose death is nobody's verdict.

    Raises `WorkspaceError`.
    """
    if isinstance(end, Answered):
        answer: dict[str, Any] = end.answer
        return answer
    if isinstance(end, Raised):
        raise WorkspaceError("internal", end.trace)
    raise WorkspaceError(
        "tests",
        f"the tests of the code as it is now {_sentence(end)}; make them pass outside Whet first",
    )


_GREEN = frozenset({"passed", "xpassed"})


def red(answer: dict[str, Any], nodes: tuple[str, ...]) -> records.Failed | None:
    """The verdict where any demanded node is not green, or pytest itself says failure."""
    results = outcomes(answer)
    bad = [outcome for outcome in results if outcome.outcome not in _GREEN]
    if not bad and len(results) < len(nodes):
        bad.append(_whole_run(f"{len(nodes)} tests were asked for, {len(results)} ran"))
    if not bad and answer["exit_status"] != 0:
        status = answer["exit_status"]
        bad.append(_whole_run(f"pytest ended with status {status} though every test passed"))
    passed = sum(outcome.outcome in _GREEN for outcome in results)
    return records.Failed(cases=tuple(bad), passed=passed) if bad else None


def outcomes(answer: dict[str, Any]) -> tuple[records.TestOutcome, ...]:
    return tuple(from_json(records.TestOutcome, outcome) for outcome in answer["outcomes"])


def launches(answer: dict[str, Any]) -> tuple[Launch, ...]:
    return tuple(from_json(Launch, launch) for launch in answer["launches"])


def compiled(answer: dict[str, Any]) -> tuple[Compiled, ...]:
    return tuple(from_json(Compiled, one) for one in answer["compiled"])


def compile_errors(answer: dict[str, Any]) -> tuple[str, ...]:
    broken = answer.get("broken")
    return (*answer["not_compiled"], *([broken["trace"]] if broken else []))


def specialisations(launched: tuple[Launch, ...]) -> set[str]:
    """What distinguishes compiled code: kernel, argument types and constants, options."""
    return {
        repr(
            (
                launch.kernel,
                [
                    (a.name, a.type, a.divisible_by_16, a.value if a.type == "constexpr" else None)
                    for a in launch.arguments
                ],
                sorted(launch.options.items()),
            )
        )
        for launch in launched
    }


def missing_package(name: str, facts: records.Facts) -> str:
    """One sentence naming the package, the Python that lacks it, and the cure."""
    return (
        f"Python {facts.python} on {facts.host} has no {name}; "
        f"install {name} there, or set the target's python to one that has it"
    )


def _whole_run(detail: str) -> records.TestOutcome:
    return records.TestOutcome(nodeid="", outcome="error", seconds=0.0, detail=detail)


def _sentence(end: StageEnd) -> str:
    if isinstance(end, OutOfTime):
        return f"did not finish within {end.limit_s:.0f} s"
    if isinstance(end, OverLimit):
        return f"went over a limit ({end.what})"
    assert isinstance(end, Died), end
    tail = end.output.strip().splitlines()
    return f"crashed ({end.how})" + (f": {tail[-1]}" if tail else "")
