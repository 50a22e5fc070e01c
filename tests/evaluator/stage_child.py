"""Runs one worker function in a child, as the worker's stages do: JSON in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

EVALUATOR = Path(__file__).resolve().parents[2] / "evaluator"
_PATIENCE_S = 240.0
_CHILD = """
import importlib, json, os, sys
job, call, answer = json.load(open(sys.argv[1])), sys.argv[2], sys.argv[3]
ours = [sys.argv[4], *([os.path.dirname(sys.argv[4])] if "tests." in call else [])]
sys.path[:0] = ours
functions = [
    getattr(importlib.import_module(module if "." in module else "whet_evaluator.worker." + module), function)
    for module, _, function in (one.partition(":") for one in call.split("+"))
]
for path in ours:
    sys.path.remove(path)
job["progress"] = lambda detail="", done=0, total=0: None
for function in functions:
    result = function(job)
with open(answer, "w") as file:
    json.dump(result, file)
"""


def run_stage(
    call: str,
    job: dict[str, Any],
    *,
    python: str = sys.executable,
    env: dict[str, str] | None = None,
) -> dict[str, Any]:
    """`call` is `module:function` of the worker, or several joined by `+`. A dotted module
    is any other's. Raises `AssertionError` with the output."""
    output = Path(job["output_dir"])
    output.mkdir(parents=True, exist_ok=True)
    (output / "job.json").write_text(json.dumps(job))
    answer = output / "answer.json"
    answer.unlink(missing_ok=True)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "PYTHONPATH"))}
    variables |= {"TRITON_CACHE_DIR": str(output / "triton"), "TRITON_DEFAULT_FP_FUSION": "1"}
    if job["mode"] == "interpret":
        variables["TRITON_INTERPRET"] = "1"
    arguments = (str(output / "job.json"), call, str(answer), str(EVALUATOR))
    if python == sys.executable and env is None and job["mode"] in {"interpret", "compile"}:
        done = _in_a_warm_process(arguments, job, variables)
    else:
        done = subprocess.run(
            [python, "-c", _CHILD, *arguments], env=variables | (env or {}), cwd=job["scratch"],
            capture_output=True, text=True, timeout=_PATIENCE_S, check=False,
        )  # fmt: skip
    assert answer.exists(), f"exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}"
    result: dict[str, Any] = json.loads(answer.read_text())
    result["stdout"] = done.stdout
    return result


def _in_a_warm_process(
    arguments: tuple[str, ...], job: dict[str, Any], variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    from tests import warm  # only where tests are a package: not on a lent device

    return warm.run(
        _CHILD, *arguments, interpret=job["mode"] == "interpret", environ=variables,
        cwd=Path(job["scratch"]), timeout_s=_PATIENCE_S,
    )  # fmt: skip


def make_job(
    root: Path, scratch: Path, output: Path, path: str | None = None, **more: Any
) -> dict[str, Any]:
    """A job with the common keys; `path` is the unit's, relative to the root."""
    return {
        "stage": "tests",
        "mode": "interpret",
        "root": str(root),
        "scratch": str(scratch),
        "unit": None,
        "unit_file": None if path is None else str(scratch / path),
        "unit_source": None if path is None else str(root / path),
        "seed": 1,
        "arch": None,
        "device": "none",
        "output_dir": str(output),
        "deadline_s": 200.0,
        "budget_s": 120.0,
        "record": True,
    } | more
