"""In a child: recorded calls once more, through both doors that replay them."""

from __future__ import annotations

from typing import Any

from whet_evaluator.worker import importing, interpret, launchers, overlay, replay
from whet_evaluator.worker.differential import encoded, inputs
from whet_evaluator.worker.returned import tensors_in
from whet_evaluator.worker.versions import load_versions


def run(job: dict[str, Any]) -> dict[str, Any]:
    """`repeated` is `{"<name of the call>": [sum of its outputs, of the original's, of the
    candidate's]}`: the first by guarded inputs, the others by the two versions that a clock
    would compare. `timed` and `not timed` are what it would time of all calls."""
    overlay.install(job)
    interpret.install(job)
    found: dict[str, list[Any]] = {}
    for call in job["calls"]:
        case = {"call": call, "values": {}, "seed": 1}
        built = inputs.build(case, "cuda")
        function = launchers.launcher_of(importing.import_unit(job), call, "cuda")
        args, kwargs = built.arguments(function)
        made = tensors_in(function(*args, **kwargs)) or built.tensors
        assert built.red_zones_intact()
        found[encoded.name_of(call)] = [_total(made)]
    versions = load_versions(job)
    for call in job["calls"]:
        cases = replay.cases({"calls": [call]}, versions, "cuda")
        assert cases.not_timed == []
        (case,) = cases.replays
        for version in (case.original, case.candidate):
            given = case.make(1)
            found[encoded.name_of(call)].append(_total(version(given) or tensors_in(given)))
    timed = replay.cases(job, versions, "cuda")
    return {
        "repeated": found,
        "timed": [case.name for case in timed.replays],
        "not timed": [*timed.not_timed, *replay.left_out(job["launches"], job["calls"])],
    }


def _total(tensors: list[Any]) -> float:
    return sum(float(tensor.detach().double().abs().sum()) for tensor in tensors)
