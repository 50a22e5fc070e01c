"""Evidence as people and programs read it: a page, a sentence, plain values. Pure.

Nothing is looked up here: what the record does not hold is not said.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from typing import Any

import attrs

from whet_agent.evidence import Cost, Evidence
from whet_agent.search.words import DOUBT, listed
from whet_evaluator.statistics import CaseResult, Measured
from whet_evaluator.worker.codec import to_json
from whet_evaluator.worker.records import Case, TestOutcome, Timing

_SHOWN = 12
_SHA_CHARS = 12


def checked(evidence: Evidence) -> str:
    """What was checked, in one line: `3 tests passed, 40 generated cases equal; isolation
    partial`."""
    tests = f"{evidence.n_passed} test{'' if evidence.n_passed == 1 else 's'} passed"
    said = [tests, *_case_words(evidence)]
    return f"{', '.join(said)}; isolation {evidence.environment.isolation}"


def figures_table(evidence: Evidence) -> str:
    """Before and after, each row with the kind of evidence it is."""
    rows = ["| | before | after | kind |", "|---|---|---|---|"]
    measured, place = evidence.measured, evidence.environment.device or "no device"
    if measured is not None:
        said = interval(measured)
        if not measured.control_ok:
            said += " (device too noisy: no claim)"
        rows.append(f"| speedup | 1 | {said} | measured on {cell(place)} |")
    before, after = counted_json(evidence.cost_before), counted_json(evidence.cost_after)
    if before and after:
        rows += [
            f"| {name.replace('_', ' ')} | {before[name]:,} | {after[name]:,} | counted |"
            for name in before
        ]
    before, after = estimated_json(evidence.cost_before), estimated_json(evidence.cost_after)
    if before and after:
        rows += [
            f"| {name.replace('_', ' ')} | {before[name]} | {after[name]} "
            f"| estimated for {after['arch']} |"
            for name in ("vgprs", "spills", "lds_bytes")
        ]
    return "\n".join(rows)


def page(evidence: Evidence) -> str:
    """Figures, checks, timed cases, hashes: the whole record as markdown sections."""
    outcomes = Counter(test.outcome for test in evidence.tests)
    counts = ", ".join(f"{number} {name}" for name, number in outcomes.items()) or "none"
    parts = [
        figures_table(evidence),
        DOUBT if evidence.measured is not None and evidence.measured.suspicious else "",
        f"Tests: {counts}. This text was judged in a fresh process with empty caches.",
        _checks_table(evidence),
        _timed_table(evidence),
        _list("Behaviour changes outside the recorded contract", _behaviour_changes(evidence)),
        _list("Not covered", not_covered(evidence)),
        _hash_table(evidence),
    ]
    return "\n\n".join(part for part in parts if part)


def evidence_json(evidence: Evidence) -> dict[str, Any]:
    """All but texts and raw samples, which the journal's events hold."""
    differential = evidence.verdict.differential
    return {
        "how": evidence.how,
        "at": evidence.at,
        "hashes": _plain(attrs.asdict(evidence.hashes)),
        "environment": _plain(attrs.asdict(evidence.environment)),
        "stage_s": {name: round(seconds, 3) for name, seconds in evidence.stage_s.items()},
        "timing": _timing_json(evidence),
        "differential": None if differential is None else to_json(differential),
        "not_covered": list(not_covered(evidence)),
    }


def not_covered(evidence: Evidence) -> tuple[str, ...]:
    """Everything that the verdict says nothing about, each with its reason."""
    differential = evidence.verdict.differential
    generated = tuple(differential.not_covered) if differential is not None else ()
    return (*evidence.left_out, *generated)


def interval(measured: Measured) -> str:
    """`1.27x [1.25, 1.29]`."""
    return f"{measured.ratio:.2f}x [{measured.low:.2f}, {measured.high:.2f}]"


def counted_json(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None or cost.counted is None:
        return None
    fields: dict[str, Any] = to_json(cost.counted)
    del fields["kind"]
    return fields


def estimated_json(cost: Cost | None) -> dict[str, Any] | None:
    if cost is None or cost.arch is None:
        return None
    return {
        "arch": cost.arch,
        "vgprs": cost.vgprs,
        "spills": cost.spills,
        "lds_bytes": cost.lds_bytes,
    }


def tests_json(tests: tuple[TestOutcome, ...]) -> dict[str, Any]:
    counts: dict[str, int] = Counter(test.outcome for test in tests)
    return {**counts, "nodes": {test.nodeid: test.outcome for test in tests}}


def cell(text: str) -> str:
    """Text inside a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


# ---- parts -----------------------------------------------------------------------------


def _case_words(evidence: Evidence) -> list[str]:
    found = evidence.verdict.differential
    if found is None:
        return []
    n_equal = sum(case.status == "equal" for case in found.cases)
    said = [f"{n_equal} generated case{'' if n_equal == 1 else 's'} equal"]
    if found.behaviour_changes:
        said.append(f"{len(found.behaviour_changes)} behaviour changes")
    return said


def _behaviour_changes(evidence: Evidence) -> tuple[str, ...]:
    found = evidence.verdict.differential
    return () if found is None else tuple(found.behaviour_changes)


def _checks_table(evidence: Evidence) -> str:
    here = evidence.environment
    device = f"{here.device} ({here.arch})" if here.device else f"no GPU, compiled for {here.arch}"
    rows = [
        ("target", here.target),
        ("hardware", device),
        ("versions", f"Python {here.python}, torch {here.torch}, triton {here.triton}"),
        ("whet", here.whet or "unknown"),
        ("generated cases", _cases_cell(evidence)),
        ("isolation", " - ".join(filter(None, (here.isolation, here.isolation_detail)))),
        ("settings", listed_settings(here.settings)),
        ("stages", ", ".join(f"{n} {s:.1f} s" for n, s in evidence.stage_s.items() if s >= 0.1 and ":" not in n)),
    ]  # fmt: skip
    lines = [f"| {name} | {cell(text)} |" for name, text in rows if text]
    return "\n".join(["| checked | |", "|---|---|", *lines])


def listed_settings(settings: Mapping[str, str]) -> str:
    """`driver 550.54, TRITON_DEFAULT_FP_FUSION unset`."""
    return ", ".join(f"{name} {value}" for name, value in sorted(settings.items()))


def _cases_cell(evidence: Evidence) -> str:
    found = evidence.verdict.differential
    if found is None:
        return "none were run"
    counts: Counter[str] = Counter(case.status for case in found.cases)
    oracles = ", ".join(sorted({case.oracle for case in found.cases}))
    watched = f"; {found.n_watched} watched on the interpreter" if found.n_watched else ""
    return (
        f"{listed(dict(counts)) or 'none'}; against {oracles or 'nothing'}; seed {found.seed}; "
        f"{found.seconds:.1f} s of {found.budget_s:g} s{watched}"
    )


def _timed_table(evidence: Evidence) -> str:
    measured, timing = evidence.measured, evidence.verdict.timing
    if measured is None or not isinstance(timing, Timing):
        return ""
    rows = [
        f"| {cell(case.name)} | {case.ratio:.2f}x [{case.low:.2f}, {case.high:.2f}] "
        f"| {case.verdict} | {_method(case, raw)} |"
        for case, raw in zip(measured.cases, timing.cases, strict=True)
    ]
    head = ["| timed case | ratio | verdict | method |", "|---|---|---|---|"]
    control = "The original against itself read SAME, and slowed on purpose it read SLOWER."
    if measured.noise:
        control = f"The device is noisy, so no verdict counts: {'; '.join(measured.noise)}."
    remarks = tuple(note for raw in timing.cases for note in (*raw.notes, *raw.retaken))
    return "\n\n".join(
        part for part in ("\n".join([*head, *rows]), control, _list("Remarks", remarks)) if part
    )


def _method(case: CaseResult, raw: Case) -> str:
    n_pairs = sum(map(len, raw.rounds))
    processes = ", two processes" if raw.processes == 2 else ""
    return f"{case.method}, {case.state}, {n_pairs} pairs in {len(raw.rounds)} rounds{processes}"


def _hash_table(evidence: Evidence) -> str:
    hashes = evidence.hashes
    rows = [
        (f"{evidence.path} before", hashes.original),
        (f"{evidence.path} after", hashes.candidate),
        (f"unit of {evidence.kernel} before", hashes.original_unit),
        (f"unit of {evidence.kernel} after", hashes.candidate_unit),
        *sorted(hashes.tests.items()),
        *sorted(hashes.configuration.items()),
        (f"all that was there ({len(hashes.helpers)} other sources, {hashes.n_data} data files)",
         hashes.manifest),
    ]  # fmt: skip
    lines = [f"| {cell(name)} | `{sha[:_SHA_CHARS]}` |" for name, sha in rows]
    return "\n".join(["| content | sha256 |", "|---|---|", *lines])


def _list(title: str, lines: tuple[str, ...]) -> str:
    if not lines:
        return ""
    shown = [f"- {line}" for line in lines[:_SHOWN]]
    more = [f"- and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join([f"{title}:", "", *shown, *more])


def _timing_json(evidence: Evidence) -> dict[str, Any]:
    measured, timing = evidence.measured, evidence.verdict.timing
    if measured is None:
        reason = "no case could be timed" if isinstance(timing, Timing) else timing.reason
        return {"timed": False, "reason": reason}
    return {
        "timed": True,
        "ratio": measured.ratio,
        "low": measured.low,
        "high": measured.high,
        "verdict": measured.verdict,
        "suspicious": measured.suspicious,
        "noise": list(measured.noise),
        "cases": [dataclasses.asdict(case) for case in measured.cases],
    }


def _plain(value: Any) -> Any:
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, Mapping) else value
