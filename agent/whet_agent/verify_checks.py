"""What has become of the tests, the cases, the counts and the times of stored evidence. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from whet_agent.evidence import Evidence
from whet_agent.rests_on import Check, Status
from whet_agent.search.score import cost
from whet_agent.search.words import failure_case, failure_gist, failure_word
from whet_agent.task import Task
from whet_evaluator.statistics import ZONE, Measured, analyse
from whet_evaluator.worker.launch_records import Counted
from whet_evaluator.worker.records import (
    CollectError,
    Correct,
    Facts,
    Recorded,
    Timing,
    WorkerVerdict,
)

_SETTINGS = {"driver": "the driver", "cuda": "CUDA", "hip": "HIP"}
"""All others are variables, which are unset where a version is missing."""
_EXCEPTION = re.compile(r"\w*(Error|Exception|Exit|Interrupt)\b")


def environment_checks(
    evidence: Evidence, settings: Mapping[str, str], facts: Facts
) -> tuple[Check, ...]:
    """Other versions are no failure by themselves: the repetition decides. Pure.

    `settings` are those of the run's own `Facts`: the evidence's are mixed with what the timing
    noted, which names a driver in other words. Empty: the run is older than their record.
    """
    then = evidence.environment
    device = facts.devices[0].name if facts.devices else None
    pairs = [
        ("Python", then.python, facts.python),
        ("torch", then.torch, facts.torch),
        ("triton", then.triton, facts.triton),
        ("the device", then.device if then.mode == "device" else None, device),
        ("isolation", then.isolation, facts.isolation),
        *(_setting_pairs(settings, facts.settings) if settings else ()),
    ]
    return tuple(
        Check(
            what=name, status="said", sentence=f"{name} was {old or 'none'} and is {new or 'none'}."
        )
        for name, old, new in pairs
        if old != new
    )


def _setting_pairs(
    then: Mapping[str, str], now: Mapping[str, str]
) -> list[tuple[str, str | None, str | None]]:
    """Driver, runtime and compiler variables: name, value then, value now."""
    pairs = []
    for name in sorted(then.keys() | now.keys()):
        missing = None if name in _SETTINGS else "unset"
        pairs.append((_SETTINGS.get(name, name), then.get(name, missing), now.get(name, missing)))
    return pairs


def baseline_checks(
    task: Task, wanted: list[str], recorded: Recorded, errors: tuple[CollectError, ...]
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """What of the tests is gone or red on the stored original, and the nodes that remain. Pure.

    What cannot be collected is one check, however many tests are in it. With `fix` the original
    may be what cannot be imported, so there the candidate is asked.
    """
    found = {test.nodeid: test for test in recorded.tests}
    checks: list[Check] = []
    nodes: list[str] = []
    for node in wanted:
        test = found.get(node)
        error = next((one for one in errors if _is_below(node, one.path)), None)
        if error is not None and task.goal == "fix":
            nodes.append(node)
        elif error is not None:
            checks.append(_uncollected(error))
        elif node in recorded.too_slow:
            checks.append(Check(what=node, status="not repeated",
                                sentence=f"{node} is over the interpreter's time budget now."))  # fmt: skip
        elif test is None:
            checks.append(
                Check(
                    what=node, status="changed", sentence=f"The test {node} is not there any more."
                )
            )
        elif task.goal == "optimize" and test.outcome not in ("passed", "xpassed"):
            why = f" ({test.gist[:300]})" if test.gist else ""
            said = f"The stored original does not pass {node} any more: {test.outcome}{why}."
            checks.append(Check(what=node, status="changed", sentence=said))
        else:
            nodes.append(node)
    return tuple(dict.fromkeys(checks)), tuple(nodes)


def _uncollected(error: CollectError) -> Check:
    gist = error.gist[:300]
    done = "imported" if "::" not in error.path and _EXCEPTION.match(gist) else "collected"
    said = f"{error.path or 'A test'} cannot be {done} any more: {gist}"
    return Check(what=f"{error.path} (collected)", status="changed", sentence=said)


def _is_below(node: str, path: str) -> bool:
    """Whether `path` (a file, class or folder; empty or a dot: everything) holds the node."""
    return path in ("", ".", node) or node.startswith((f"{path}::", f"{path}/"))


def verdict_checks(
    evidence: Evidence, recorded: Recorded, verdict: WorkerVerdict
) -> tuple[Check, ...]:
    """The fresh verdict beside the stored one. Pure."""
    if not isinstance(verdict, Correct):
        stage, _ = failure_case(verdict)
        gist = failure_gist(verdict)
        why = f": {gist[:300]}" if gist else ""
        said = f"The candidate does not pass again ({failure_word(verdict)} in {stage}{why})."
        return (Check(what="correctness", status="changed", sentence=said),)
    n_passed = sum(test.outcome in ("passed", "xpassed") for test in verdict.tests)
    passed = "1 test" if n_passed == 1 else f"{n_passed} tests"
    again = f"The candidate passes {passed} again, in a fresh process."
    return (
        Check(what="correctness", status="holds", sentence=again),
        *_case_checks(evidence, verdict),
        *_counted_checks(evidence, recorded, verdict),
        *_timing_checks(evidence, verdict),
    )


def _case_checks(evidence: Evidence, verdict: Correct) -> tuple[Check, ...]:
    """A generated case that differs would have ended the evaluation before this."""
    then, now = evidence.verdict.differential, verdict.differential
    if then is None or not then.cases:
        return ()
    if now is None or not now.cases:
        said = "The generated cases could not be repeated here."
        return (Check(what="generated cases", status="not repeated", sentence=said),)
    old, new = (sum(case.status == "equal" for case in found.cases) for found in (then, now))
    said = f"{new} generated cases are equal again (there were {old})."
    return (Check(what="generated cases", status="holds", sentence=said),)


def _counted_checks(evidence: Evidence, recorded: Recorded, verdict: Correct) -> tuple[Check, ...]:
    """Counting is exact, so the figures must be equal."""
    before, after = evidence.cost_before, evidence.cost_after
    found = []
    for word, old, seen in (
        ("original", before.counted if before else None, recorded),
        ("candidate", after.counted if after else None, verdict),
    ):
        if old is None:
            continue
        new = cost(seen.launches, seen.compiled).counted
        if new == old:
            said = f"Counted again of the {word}: the same figures."
            found.append(Check(what=f"counted ({word})", status="holds", sentence=said))
        else:
            said = f"Counted of the {word}: {_difference(old, new)}."
            found.append(Check(what=f"counted ({word})", status="changed", sentence=said))
    return tuple(found)


def _difference(old: Counted, new: Counted | None) -> str:
    if new is None:
        return "no figures now"
    names = [name for name in old.__dataclass_fields__ if getattr(old, name) != getattr(new, name)]
    return ", ".join(
        f"{name.replace('_', ' ')} {getattr(old, name):,} then, {getattr(new, name):,} now"
        for name in names
    )


def _timing_checks(evidence: Evidence, verdict: Correct) -> tuple[Check, ...]:
    then = evidence.measured
    timing = verdict.timing
    now = analyse(timing) if isinstance(timing, Timing) and timing.cases else None
    if then is None and now is None:
        return ()
    status, said = _timing_words(evidence, then, now, verdict)
    return (Check(what="timing", status=status, sentence=said),)


def _timing_words(
    evidence: Evidence, then: Measured | None, now: Measured | None, verdict: Correct
) -> tuple[Status, str]:
    """Other hardware and a noisy device say nothing either way."""
    place = evidence.environment.device or "no device"
    if then is None:
        assert now is not None
        return "said", f"Nothing was timed then; it measures {_interval(now)} now."
    if now is None:
        assert not isinstance(verdict.timing, Timing) or not verdict.timing.cases
        return "not repeated", f"The time measured on {place} was not repeated: no clock here."
    here = verdict.timing.environment.get("device") if isinstance(verdict.timing, Timing) else None
    if here != evidence.environment.device:
        return "not repeated", f"Measured on {place} then; {_interval(now)} on {here} now."
    if not now.control_ok:
        return "not repeated", f"{here} is too noisy now to repeat the measurement."
    return _compared(then, now, here)


def _compared(then: Measured, now: Measured, here: str | None) -> tuple[Status, str]:
    """Intervals that overlap agree, and so do those whose gap nobody would notice: each is of one
    session, and what a session keeps throughout is in neither."""
    both = f"{_interval(then)} then, {_interval(now)} now"
    if now.low <= then.high and then.low <= now.high:
        return "holds", f"Measured again on {here}: {both}."
    if now.low <= then.high * ZONE and then.low <= now.high * ZONE:
        gap = f"the intervals lie less than {ZONE - 1:.0%} apart, as two sessions may"
        return "holds", f"Measured again on {here}: {both}; {gap}."
    return "changed", f"Measured on {here}: {both}, and the intervals do not overlap."


def _interval(measured: Measured) -> str:
    return f"{measured.ratio:.2f}x [{measured.low:.2f}, {measured.high:.2f}]"
