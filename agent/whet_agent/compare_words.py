"""A comparison as a page, a sentence, an exit status and plain values. Pure.

Without a clock nothing here says that a version is quicker, and a loss on one target is
never outweighed by a gain on another.
"""

from __future__ import annotations

from typing import Any, Literal, assert_never

from whet_agent.compare import Comparison, CompiledOnly, Judged, NotJudged, OnTarget
from whet_agent.evidence import Evidence
from whet_agent.evidence_words import checked, evidence_json, interval, page
from whet_agent.report import unified_diff
from whet_agent.search.words import DOUBT, failure_case, failure_gist, failure_word
from whet_evaluator.statistics import Measured
from whet_evaluator.worker.codec import to_json
from whet_evaluator.worker.records import CompileReport, Correct, Timing, Untimed

Word = Literal[
    "wrong", "slower", "faster", "same speed", "undecided", "noisy", "correct, untimed",
    "tests alone", "does not compile", "compiled only", "not judged",
]  # fmt: skip
_FAILURES: frozenset[Word] = frozenset({"wrong", "slower", "does not compile", "not judged"})


def exit_status(comparison: Comparison) -> int:
    """0: correct and not slower wherever it was judged, and compiled where a target was out of reach.
    1: wrong, slower or uncompilable, or nothing at all can be said of a target."""
    return int(any(word_for(one) in _FAILURES for one in comparison.on))


def word_for(one: OnTarget) -> Word:
    """The verdict on one target, in a word."""
    match one:
        case CompiledOnly(report=None) | NotJudged():
            return "not judged"
        case CompiledOnly(report=CompileReport(errors=errors)):
            return "does not compile" if errors else "compiled only"
        case Judged(evidence=None):
            return "wrong"
        case Judged(without_reference=True):
            return "tests alone"
        case Judged(evidence=Evidence(measured=None)):
            return "correct, untimed"
        case Judged(evidence=Evidence(measured=Measured() as measured)):
            return _WORDS[measured.verdict] if measured.control_ok else "noisy"
        case _:
            raise AssertionError(one)


_WORDS: dict[str, Word] = {
    "FASTER": "faster",
    "SLOWER": "slower",
    "SAME": "same speed",
    "AMBIGUOUS": "undecided",
}


def sentence(comparison: Comparison) -> str:
    """The whole outcome in a sentence for each target."""
    if not comparison.on:
        return comparison.notes[0]
    return " ".join(said_of(one, comparison.against) for one in comparison.on)


def said_of(one: OnTarget, against: str) -> str:
    """One target's outcome. Counted figures are called counted."""
    match one:
        case CompiledOnly():
            return _compiled_words(one)
        case NotJudged(target=target, why=why):
            return f"{target}: not judged. {why}"
        case Judged():
            return f"{one.target}: {_judged_words(one, against)}"
        case _:
            assert_never(one)


def page_of(comparison: Comparison) -> str:
    """The evidence as markdown: verdict, notes, one section for each target, the diff."""
    parts = [
        f"# {comparison.path}::{comparison.kernel} against {comparison.against}{_commit(comparison)}",
        "\n".join(
            f"- **{word_for(one)}** on {said_of(one, comparison.against)}" for one in comparison.on
        )
        or sentence(comparison),
        "\n".join(f"- {note}" for note in comparison.notes) if comparison.on else "",
        *(_section(one) for one in comparison.on),
    ]
    if comparison.on:
        diff = unified_diff(comparison.path, comparison.original_text, comparison.text)
        parts.append(f"```diff\n{diff}```")
    return "\n\n".join(part for part in parts if part) + "\n"


def _commit(comparison: Comparison) -> str:
    """What the name stood for then, where it is not the commit itself."""
    commit = comparison.commit
    return f" ({commit[:12]})" if commit and not commit.startswith(comparison.against) else ""


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    return {
        "file": comparison.path,
        "kernel": comparison.kernel,
        "against": comparison.against,
        "commit": comparison.commit or None,
        "status": exit_status(comparison),
        "sentence": sentence(comparison),
        "notes": list(comparison.notes),
        "targets": [_target_json(one) for one in comparison.on],
    }


# ---- sentences -------------------------------------------------------------------------


def _judged_words(one: Judged, against: str) -> str:
    evidence = one.evidence
    if evidence is None:
        stage, _ = failure_case(one.verdict)
        why = failure_gist(one.verdict)[:400]
        return f"{failure_word(one.verdict)} in stage {stage}{': ' if why else ''}{why}."
    mended = f" It passes {_tests(len(one.mended))} that {against} fails." if one.mended else ""
    red = f" {_tests(len(one.still_red))} fail in both versions." if one.still_red else ""
    said = f"{_cost_words(evidence, against)} {checked(evidence)}."
    if one.without_reference:
        said = (
            f"Correct by {_tests(evidence.n_passed)} alone: {against} passes none of them, so there is "
            f"nothing to compare with or to time against. {checked(evidence)}."
        )
    return f"{said}{mended}{red}"


def _cost_words(evidence: Evidence, against: str) -> str:
    measured = evidence.measured
    if measured is None:
        return _untimed_words(evidence, against)
    place = evidence.environment.device
    if not measured.control_ok:
        return f"Correct; {place} was too noisy to say how fast it is."
    said = f"{interval(measured)}, measured on {place}"
    slower = ", ".join(case.name for case in measured.regressions)
    but = f" Slower in {slower}." if slower else ""
    but += f" {DOUBT}" if measured.suspicious else ""
    match measured.verdict:
        case "FASTER":
            return f"Correct and faster: {said}.{but}"
        case "SLOWER":
            return f"Correct but slower: {said}.{but}"
        case "SAME":
            return f"Correct, at the same speed: {said}.{but}"
        case "AMBIGUOUS":
            return f"Correct, and no difference in speed could be shown: {said}.{but}"
        case _:
            assert_never(measured.verdict)


def _untimed_words(evidence: Evidence, against: str) -> str:
    before, after = evidence.cost_before, evidence.cost_after
    if before is None or after is None or before.counted is None or after.counted is None:
        timing = evidence.verdict.timing
        why = f" ({timing.reason})" if isinstance(timing, Untimed) else ""
        return f"Correct, untimed{why}."
    old, new = (
        one.loaded_bytes + one.stored_bytes + one.atomic_bytes
        for one in (before.counted, after.counted)
    )
    return f"Correct, untimed: it moves {new:,} bytes where {against} moves {old:,} (counted)."


def _compiled_words(one: CompiledOnly) -> str:
    if one.report is None:
        return f"{one.target}: not judged. {one.why}"
    if one.report.errors:
        first = one.report.errors[0]
        return f"{one.target}: it does not compile for {one.arch} ({first[:300]}). {one.why}"
    return f"{one.target}: compiled for {one.arch}, nothing else. {one.why}"


def _tests(number: int) -> str:
    return "1 test" if number == 1 else f"{number} tests"


# ---- sections --------------------------------------------------------------------------


def _section(one: OnTarget) -> str:
    match one:
        case Judged(evidence=None):
            stage, case = failure_case(one.verdict)
            body = f"{failure_word(one.verdict)} in stage {stage}:\n\n```\n{case.strip()}\n```"
        case Judged(evidence=Evidence() as evidence):
            body = page(evidence)
        case CompiledOnly():
            body = _compiled_table(one)
        case NotJudged(why=body):
            pass
        case _:
            raise AssertionError(one)
    return f"## {one.target}: {word_for(one)}\n\n{body}"


def _compiled_table(one: CompiledOnly) -> str:
    if one.report is None:
        return one.why
    rows = [
        f"| {unit.kernel} | {unit.vgprs} | {unit.spills} | {unit.lds_bytes} | {unit.occupancy} |"
        for unit in one.report.compiled
    ]
    head = [
        f"Estimated from code compiled for {one.arch}:", "",
        "| kernel | vgprs | spills | lds bytes | occupancy |", "|---|---|---|---|---|",
    ]  # fmt: skip
    errors = [f"- {error}" for error in one.report.errors]
    return "\n".join([one.why, "", *head, *rows, *([""] if errors else []), *errors])


# ---- plain values ----------------------------------------------------------------------


def _target_json(one: OnTarget) -> dict[str, Any]:
    shared = {"target": one.target, "verdict": word_for(one)}
    match one:
        case CompiledOnly():
            report = None if one.report is None else to_json(one.report)
            return {**shared, "arch": one.arch, "why": one.why, "compiled": report}
        case NotJudged(why=why):
            return {**shared, "why": why}
        case Judged():
            evidence = evidence_json(one.evidence) if one.evidence is not None else None
            failure = None if isinstance(one.verdict, Correct) else to_json(one.verdict)
            timing = one.verdict.timing if isinstance(one.verdict, Correct) else None
            return {
                **shared, "hardware": one.hardware, "evidence": evidence, "failure": failure,
                "mended": list(one.mended), "still_red": list(one.still_red),
                "samples": to_json(timing.cases) if isinstance(timing, Timing) else None,
            }  # fmt: skip
        case _:
            assert_never(one)
