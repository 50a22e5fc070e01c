"""Stage *time*: raw samples of the original and the candidate, and where they were taken.

No statistics here and no verdict: samples travel to the host, which judges them. What
could not be replayed is named, and so is a candidate whose outputs differ under the
clock from what the original makes of the same inputs.
"""

from __future__ import annotations

import os
import platform
import subprocess
from typing import Any

from . import hardware, importing, overlay, replay, sampling
from .protocol import to_json
from .records import Case
from .versions import load_versions

_CLOCKS = (
    "driver_version,clocks.sm,clocks.mem,clocks.max.sm,temperature.gpu,power.draw,mig.mode.current"
)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """`{cases, environment, not_timed, differs}`; `differs` has a sentence for each case
    whose timed outputs were wrong. `job["original"]` is a file with the original's text."""
    overlay.install(job)
    import torch

    environment = describe_environment(torch)
    try:
        versions = load_versions(job)
    except Exception as error:
        trace = importing.trimmed_trace(error, job["unit_file"])
        reason = f"the versions could not be loaded side by side: {trace.splitlines()[-1]}"
        return _answer([], environment, [reason], [])
    found = replay.cases(job, versions, "cuda")
    timed: list[Case] = []
    differs: list[str] = []
    for number, case in enumerate(found.replays):
        _time_case(job, torch, case, number, (timed, found.not_timed, differs))
    environment |= {f"{name} after": value for name, value in _clocks().items()}
    return _answer(timed, environment, found.not_timed, differs)


def _time_case(
    job: dict[str, Any],
    torch: Any,
    case: replay.Replay,
    number: int,
    into: tuple[list[Case], list[str], list[str]],
) -> None:
    timed, not_timed, differs = into
    seed = int(job["seed"]) + 1000 * number
    n_rounds = int(job["rounds"])

    def on_round(done: int) -> None:
        job["progress"](case.name, done, n_rounds)

    try:
        samples = sampling.take(
            torch,
            case,
            seed=seed,
            n_rounds=n_rounds,
            n_pairs=int(job["pairs"]),
            cache_bytes=_cache_bytes(torch),
            on_round=on_round,
        )
    except sampling.DiffersError as difference:
        differs.append(f"{case.name}: {difference}")
    except Exception as error:
        reason = importing.trimmed_trace(error, job["unit_file"]).splitlines()[-1]
        not_timed.append(f"{case.name}: {reason}")
    else:
        timed.append(
            Case(
                name=case.name,
                method=samples.method,  # type: ignore[arg-type]
                state=samples.state,  # type: ignore[arg-type]
                seed=seed,
                rounds=tuple(map(tuple, samples.rounds)),
                control=tuple(map(tuple, samples.control)),
            )
        )
    torch.cuda.empty_cache()


def describe_environment(torch: Any) -> dict[str, str]:
    """What the numbers were taken on. Unreadable clocks are said, not left out."""
    import triton

    properties = torch.cuda.get_device_properties(0)
    found = {
        "device": str(properties.name),
        "arch": device_arch(torch, 0),
        "units": str(properties.multi_processor_count),
        "memory_bytes": str(properties.total_memory),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "triton": str(triton.__version__),
        "cuda": str(torch.version.cuda),
        "hip": str(torch.version.hip),
        "TRITON_DEFAULT_FP_FUSION": os.environ.get("TRITON_DEFAULT_FP_FUSION", "unset"),
        "host": platform.node(),
    }
    clocks = _clocks()
    return {**found, **(clocks or {"clocks": "unreadable"})}


def device_arch(torch: Any, index: int) -> str:
    """`gfx942` or `sm_90`."""
    if torch.version.hip:
        return str(torch.cuda.get_device_properties(index).gcnArchName).split(":")[0]
    major, minor = torch.cuda.get_device_capability(index)
    return f"sm_{major}{minor}"


def _cache_bytes(torch: Any) -> int:
    """The table's last-level cache (MI300X reports only its small L2), else what is reported."""
    arch = device_arch(torch, 0)
    reported = int(getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0))
    known = hardware.CHIPS[arch].llc_bytes if arch in hardware.CHIPS else 64 << 20
    return max(reported, known)


def _clocks() -> dict[str, str]:
    argv = ["nvidia-smi", f"--query-gpu={_CLOCKS}", "--format=csv,noheader"]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0]
    if visible:
        argv += ["-i", visible]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return {}
    values = [value.strip() for value in done.stdout.splitlines()[0].split(",")]
    return dict(zip(_CLOCKS.split(","), values))


def _answer(
    timed: list[Case], environment: dict[str, str], not_timed: list[str], differs: list[str]
) -> dict[str, Any]:
    return {
        "cases": to_json(timed),
        "environment": environment,
        "not_timed": not_timed,
        "differs": differs,
    }
