"""When a run ends, and what is said then. Every end keeps the best and offers it. Pure."""

from __future__ import annotations

import attrs

from whet_agent.events import Reason
from whet_agent.search import turns, words
from whet_agent.search.score import CostScore, MeasuredScore
from whet_agent.search.state import (
    ORIGINAL,
    Search,
    Tried,
    confirmed_best,
    green_nodes,
    leader,
    red_tests,
    red_to_fix,
)
from whet_agent.search.words import DOUBT, hardware, interval, listed, rejections, tally
from whet_evaluator.worker.records import Recorded, TestOutcome

CLOCK_SLACK_S = 1e-3
"""Sums of time differences are not exact, and the deadline's tick comes only once."""


@attrs.frozen(kw_only=True)
class Stop:
    """The end: `best` is a confirmed candidate, or None for "keep yours"."""

    reason: Reason
    sentence: str
    best: str | None


def stop(search: Search, reason: Reason, *, cause: str = "") -> Stop:
    """The end for `reason`. `cause` is the world's fault in a sentence, if it was one."""
    best = confirmed_best(search)
    said = [_CAUSES[reason], cause or _model_failure(search, reason), _verdict(search, best)]
    if reason in ("model failed", "evaluator failed", "cancelled"):
        said.append(f"`whet resume {search.run}` goes on from here.")
    return Stop(
        reason=reason,
        sentence=" ".join(_ended_by_point(part) for part in said if part),
        best=best.id if best else None,
    )


def unfit_baseline(search: Search) -> Stop | None:
    """Why the user's own tests leave nothing to do, or None when they do."""
    recorded = search.recorded
    assert recorded is not None
    red, green = red_tests(recorded), green_nodes(recorded)
    if search.task.goal == "fix":
        return _unfit_to_fix(search, recorded, red_to_fix(search))
    if red:
        return _ended("red baseline", _red_sentence(search, red) + not_sent(search))
    if not green:
        return _ended("no tests", _nothing_passed(search, recorded) + not_sent(search))
    if not recorded.launches:
        return _ended("no launch recorded", _no_launch(search, recorded))
    return None


def hurried(search: Search) -> Reason | None:
    """A reason to stop without waiting for what is in flight, or None."""
    policy = search.task.policy
    best = confirmed_best(search)
    if search.task.goal == "fix" and best is not None:
        return "fixed"
    if policy.max_seconds is not None and search.active_s >= policy.max_seconds - CLOCK_SLACK_S:
        return "time"
    if policy.patience is not None and search.since_best >= policy.patience:
        return "patience"
    if policy.early_stop is not None and _reached(best, policy.early_stop):
        return "early stop"
    return None


def natural_end(search: Search) -> Reason:
    """Why nothing is left to start when nothing is in flight."""
    if search.model_failure is not None:
        return "model failed"
    if search.task.model is None:
        tried_any = any(tried.origin == "sweep" for tried in search.candidates.values())
        return "sweep done" if tried_any else "nothing to try"
    if any(turns.current(search, index) for index in range(len(search.trajectories))):
        return "money"
    return "iterations"


_CAUSES: dict[Reason, str] = {
    "iterations": "",
    "money": "The money budget allows no further model call.",
    "time": "The time budget is used up.",
    "patience": "No new best within the patience that was set.",
    "early stop": "The speedup asked for was reached.",
    "cancelled": "Cancelled.",
    "sweep done": "",
    "fixed": "Fixed.",
    "red baseline": "",
    "already green": "",
    "no tests": "",
    "no launch recorded": "",
    "model failed": "",
    "evaluator failed": "",
    "nothing to try": "",
}


def _ended_by_point(said: str) -> str:
    return said if said[-1] in ".!?" else f"{said}."


def _ended(reason: Reason, sentence: str) -> Stop:
    return Stop(reason=reason, sentence=sentence, best=None)


def _reached(best: Tried | None, ratio: float) -> bool:
    return (
        best is not None
        and isinstance(best.confirmed_score, MeasuredScore)
        and best.confirmed_score.ratio >= ratio
    )


def _model_failure(search: Search, reason: Reason) -> str:
    return search.model_failure or "" if reason == "model failed" else ""


# ---- the verdict of a run --------------------------------------------------------------


def _verdict(search: Search, best: Tried | None) -> str:
    if best is not None:
        return _offer(search, best)
    ahead = leader(search)
    if ahead is not None:
        return f"{ahead.id} ({ahead.label}) was ahead but not yet confirmed, so nothing is offered."
    if search.recorded is None:
        return "Nothing was tried yet; your code is as it was."
    return _keep_yours(search)


def _offer(search: Search, best: Tried) -> str:
    name = f"{best.label} ({best.id})"
    if search.task.goal == "fix":
        assert search.recorded is not None
        n_red, n_green = len(red_to_fix(search)), len(green_nodes(search.recorded))
        return f"{name} passes {_tests(n_red)} that failed and keeps {_tests(n_green)} passing."
    match best.confirmed_score, search.candidates[ORIGINAL].score:
        case MeasuredScore() as measured, _:
            return (
                f"{name} is {interval(measured)} faster, measured on {hardware(search)}."
                + _caveats(measured)
            )
        case CostScore() as after, CostScore() as before:
            return (
                f"{name} is correct, untimed: it moves {after.traffic_bytes:,} bytes where the "
                f"original moves {before.traffic_bytes:,} (counted on the interpreter)."
            )
        case _:
            raise AssertionError(f"{best.id} is offered without evidence")


def _caveats(measured: MeasuredScore) -> str:
    """What a mean alone would hide."""
    slower = f" Slower in: {'; '.join(measured.regressions)}." if measured.regressions else ""
    return slower + (f" {DOUBT}" if measured.suspicious else "")


def _keep_yours(search: Search) -> str:
    rejected = rejections(search)
    counts = tally(search, rejected)
    n_tried = sum(counts.values())
    if search.task.goal == "fix":
        if search.task.model is None:
            return (
                "A fix needs a model, and none is set: name one with `--model` and give its key. "
                "Your code is as it was."
            )
        return f"No fix in {_tries(n_tried)}: {listed(counts)}." if n_tried else "No fix was found."
    if not n_tried:
        return f"Keep yours: there was nothing to try. {_why_nothing(search)}{_hint(search)}"
    what = "nothing faster" if search.has_clock else "nothing that moves less data"
    return f"Keep yours: {what} in {_tries(n_tried)}: {listed(counts)}."


def _why_nothing(search: Search) -> str:
    """What kept the sweep from trying anything."""
    unit, kernel = search.task.unit, search.task.kernel
    if not search.task.policy.sweep:
        return "The sweep is switched off."
    if not unit.launchers:
        return (
            f"{kernel} is launched from another file, so the parameters of its launches are not "
            f"in {unit.path}, which is all that a run may change."
        )
    if search.has_clock:
        return f"No launch parameter in {unit.path} is free to change."
    return (
        f"No launch parameter in {unit.path} is free to change and moves other bytes; without a "
        "clock no other is tried."
    )


def _hint(search: Search) -> str:
    if search.task.model is not None:
        return ""
    return " A model can rewrite the kernel: name one with `--model`."


# ---- unfit baselines -------------------------------------------------------------------


def _unfit_to_fix(search: Search, recorded: Recorded, red: tuple[TestOutcome, ...]) -> Stop | None:
    if red:
        return None
    green = green_nodes(recorded)
    if not green:
        return _ended("no tests", _nothing_passed(search, recorded))
    return _ended(
        "already green",
        f"Nothing to fix: {_tests(len(green))} of {search.task.kernel} "
        f"{'passes' if len(green) == 1 else 'pass'} already.",
    )


def not_sent(search: Search) -> str:
    """A sentence to append, so that a test that misses a file is no riddle; else nothing."""
    found = search.surroundings
    said = words.not_sent(search.task.target.name, found.shipped) if found is not None else ""
    return f" {said[:1].upper()}{said[1:]}" if said else ""


def _red_sentence(search: Search, red: tuple[TestOutcome, ...]) -> str:
    first = red[0]
    more = f" and {len(red) - 1} more" if len(red) > 1 else ""
    return (
        f"{first.nodeid}{more} fails before any change"
        + (f": {first.gist[:300]}" if first.gist else "")
        + f". Make it pass first: `whet fix {search.task.unit.path}::{search.task.kernel} "
        f"--tests {first.nodeid}`."
    )


def _nothing_passed(search: Search, recorded: Recorded) -> str:
    named = ", ".join(search.task.tests) or "no test"
    if not recorded.tests and not recorded.too_slow:
        return (
            f"No test was found in {named}, so nothing can be verified: name tests of "
            f"{search.task.kernel} with `--tests`."
        )
    not_run = next((test for test in recorded.tests if test.outcome == "not run"), None)
    if not_run is not None:
        return (
            f"{not_run.nodeid} was not run: {not_run.detail}. See what `python -m pytest "
            f"{not_run.nodeid}` says in {search.task.root}, and mend that first."
        )
    limit = next((test for test in recorded.tests if test.uncovered), None)
    if limit is not None:
        return (
            f"No test of {search.task.kernel} can be judged here: {limit.nodeid} needs what "
            f"Triton's interpreter cannot do ({limit.uncovered}). Use a target with a GPU."
        )
    if recorded.too_slow:
        return (
            f"No test of {search.task.kernel} ran within the interpreter's time budget "
            f"({recorded.too_slow[0]} and others were left out): name a smaller one with "
            "`--tests`, or use a target with a GPU."
        )
    return (
        f"No test of {search.task.kernel} passed ({named}: skipped), so nothing can be "
        "verified: name tests that run here with `--tests`."
    )


def _no_launch(search: Search, recorded: Recorded) -> str:
    return (
        f"{_tests(len(recorded.tests))} ran ({', '.join(search.task.tests)}) and none launched "
        f"{search.task.kernel}: name a test that reaches it with `--tests`."
    )


def _tests(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"


def _tries(number: int) -> str:
    return "1 try" if number == 1 else f"{number} tries"
