"""Stage *judge*: reads what the versions wrote and says where they differ.

Runs in a process that has imported neither version: nothing that a candidate patches,
caches or returns lazily is here.
"""

from __future__ import annotations

import math
from typing import Any

from .. import proof_verdict
from . import outputs
from .bounds import only_reads
from .compare import Comparison, Finding, Truth
from .outputs import Run
from .tolerance import Errors, errors

_ORDER = ("reference", "torch", "float64", "original")
_COMPARED = ("first", "again", "other", "back")


def run(job: dict[str, Any]) -> dict[str, Any]:
    """`{"rows": [...]}`, one for each of `job["cases"]`, whose `original`, `wide` and
    `candidate` are folders of runs."""
    import torch

    torch.set_num_threads(1)  # many small comparisons, while other lanes hold the other cores
    return {"rows": [judge(torch, item) for item in job["cases"]]}


def judge(torch: Any, item: dict[str, Any]) -> dict[str, Any]:
    """`{sentence, hard, oracle, original_error, candidate_error, unjudged, ran, watched, cheated,
    by_reference}` of one case; `ran` says that both versions returned, `by_reference` how the candidate
    differs from what the user trusts, where the case is one that this must decide."""
    original = _runs(torch, item["original"], (*_COMPARED, "ulp", "reference"))
    wide = _runs(torch, item["wide"], ("float64", "nudged"))
    flaw = _flaw(original)
    candidate: dict[str, Run] = {}
    try:
        candidate = _runs(torch, item["candidate"], _COMPARED)
        missing = [name for name in _COMPARED if name in original and name not in candidate]
        flaw = flaw or _not_run(candidate)
        if flaw or missing:
            finding = Finding(unjudged=flaw or f"the candidate's run {missing[0]} did not end")
        else:
            is_finite = bool(item.get("finite"))
            finding = _comparison(torch, original, wide, candidate, is_finite=is_finite).judge()
    except outputs.UnreadableError as error:
        finding = Finding(sentence=f"its outputs cannot be read ({error})")
    if finding.sentence and not item["hard"] and _reads_chance(original, candidate):
        finding = Finding(unjudged="the original itself leaves its tensors there")
    sound = all(
        run.zones_intact and not run.raised and (not run.strayed or only_reads(run.strayed))
        for run in original.values()
    )
    return {
        "sentence": finding.sentence,
        "hard": bool(item["hard"]) and sound and not finding.unjudged and not finding.is_listed,
        "oracle": next((name for name in _ORDER if name in finding.oracles), "original"),
        "original_error": _finite(finding.original_error),
        "candidate_error": _finite(finding.candidate_error),
        "unjudged": finding.unjudged,
        "ran": sound and bool(candidate) and not any(run.raised for run in candidate.values()),
        "watched": finding.watched if item["hard"] and sound else "",
        "cheated": _trick(original, candidate) if item.get("proven") else None,
        "by_reference": _by_reference(torch, original, wide, candidate) if item["hard"] else "",
    }


def _by_reference(
    torch: Any, original: dict[str, Run], wide: dict[str, Run], candidate: dict[str, Run]
) -> str:
    if "reference" not in original or "first" not in candidate:
        return ""
    return _comparison(torch, original, wide, candidate, is_finite=True).by_reference()


def _reads_chance(original: dict[str, Run], candidate: dict[str, Run]) -> bool:
    """Whether both returned, and what the original did hangs on memory that is nobody's."""
    both = (*original.values(), *candidate.values())
    return any(run.strayed for run in original.values()) and not any(run.raised for run in both)


def _trick(original: dict[str, Run], candidate: dict[str, Run]) -> dict[str, str] | None:
    """`{reason, detail}` where the candidate's outputs were not made by its kernels."""
    for name, run in candidate.items():
        known = original.get(name)
        if known is None or known.raised or run.raised:
            continue
        trick = proof_verdict.judge(_record(known), _record(run))
        if trick is not None:
            return {"reason": trick.reason, "detail": trick.detail}
    return None


def _record(run: Run) -> proof_verdict.Record:
    return {"launches": dict(run.launches), "origins": dict(run.origins or {})}


def _comparison(
    torch: Any, original: dict[str, Run], wide: dict[str, Run], candidate: dict[str, Run], *,
    is_finite: bool,
) -> Comparison:  # fmt: skip
    moved = conditioning(torch, wide.get("float64"), wide.get("nudged"))
    moved = moved or conditioning(torch, original.get("first"), original.get("ulp"))
    truths = []
    for name, run in (("reference", original.get("reference")), ("float64", wide.get("float64"))):
        if run is not None and not run.raised:
            truths.append(Truth(name=name, outputs={o.role: o for o in run.outputs}))
    shown = {name: run for name, run in original.items() if name in _COMPARED}
    return Comparison(torch, shown, candidate, truths, moved, is_finite=is_finite)


def _flaw(original: dict[str, Run]) -> str:
    """Why the original's own runs allow no comparison, if they do not."""
    runs = [original[name] for name in ("first", "again") if name in original]
    if len(runs) < 2:
        return "the original did not end"
    if why := _not_run(original):
        return why
    if (runs[0].raised or "").startswith(outputs.NOT_REBUILT):
        return f"{(runs[0].raised or '').partition(': ')[2]} cannot be rebuilt"
    if len({run.raised is None for run in runs}) > 1:
        return "the original raises now and then"
    if len({(run.structure, *(o.shape for o in run.outputs)) for run in runs}) > 1:
        return "the original does not return the same form twice"
    return ""


def _not_run(runs: dict[str, Run]) -> str:
    raised = [run.raised or "" for run in runs.values()]
    return next((why.partition(": ")[2] for why in raised if why.startswith(outputs.NOT_RUN)), "")


def _runs(torch: Any, folder: str | None, names: tuple[str, ...]) -> dict[str, Run]:
    if folder is None:
        return {}
    found = ((name, outputs.read(folder, name, torch)) for name in names)
    return {name: run for name, run in found if run is not None}


def conditioning(torch: Any, base: Run | None, moved: Run | None) -> dict[str, Errors]:
    """By role, how far a run with inputs moved by one ulp lies from one without."""
    if base is None or moved is None or base.raised or moved.raised:
        return {}
    found = {}
    for a, b in zip(base.outputs, moved.outputs):
        if a.data.dtype.is_floating_point and a.shape == b.shape and a.data.numel():
            values, truth = b.data.to(torch.float64), a.data.to(torch.float64)
            found[a.role] = errors(torch, values, truth, a.data.dtype)
    return found


def _finite(value: float | None) -> float | None:
    """As JSON and every reader can carry it."""
    return None if value is None or math.isnan(value) else min(value, 1e30)
