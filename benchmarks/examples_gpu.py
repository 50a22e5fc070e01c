"""The sweep and a recorded rewrite on every example, on the GPU this runs on.

    python benchmarks/examples_gpu.py [--out benchmarks/results/examples_gpu.md] [NAME...]

Two runs of the real command line for each example: `--no-model` (the sweep alone) and the
hand-written reply in `examples/recorded` without a sweep. Every ratio is *measured* by
Whet itself: randomised pairs, interval, confirmed in a fresh process. Without a GPU it
stops, since it would have nothing to say.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KERNELS = {
    "softmax": "softmax_kernel",
    "layer_norm": "layer_norm_fwd_kernel",
    "matmul": "matmul_kernel",
    "flip": "flip_kernel",
    "rms_norm": "add_rms_norm_kernel",
    "rotary": "rotary_kernel",
    "dequantize": "dequantize_kernel",
    "cross_entropy": "cross_entropy_kernel",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(KERNELS))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/examples_gpu.md")
    parser.add_argument("--whet", default="whet", help="the command to run")
    parser.add_argument("--arch", required=True, help="the device's own, such as sm_90")
    parser.add_argument("--events", type=Path, help="a folder to keep every run's events in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whet-bench-") as folder:
        project = Path(folder) / "examples"
        shutil.copytree(ROOT / "examples", project)
        rows: list[str] = []
        facts: dict[str, Any] = {}
        for name in options.names:
            for way in ("sweep", "rewrite"):
                row, facts = measure(options, project, Path(folder), name, way)
                rows.append(row)
                print(row, flush=True)
                write(options.out, rows, facts)


def measure(
    options: argparse.Namespace, project: Path, scratch: Path, name: str, way: str
) -> tuple[str, dict[str, Any]]:
    arguments = ["--no-model"] if way == "sweep" else ["--replay", f"recorded/{name}.md"]
    environment = {
        **os.environ,
        "WHET_TRUST": "1",
        "WHET_ARCH": options.arch,
        "WHET_STORE": str(scratch / "runs.sqlite"),
        "WHET_SWEEP": "true" if way == "sweep" else "false",
    }
    began = time.monotonic()
    ran = subprocess.run(
        [options.whet, "optimize", f"kernels/{name}.py::{KERNELS[name]}", *arguments, "--json"],
        cwd=project, env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - began
    if options.events:
        options.events.mkdir(parents=True, exist_ok=True)
        (options.events / f"{name}_{way}.jsonl").write_text(ran.stdout)
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    facts = next(event["facts"] for event in events if event["event"] == "opened")
    if facts["mode"] != "device":
        sys.exit("There is no GPU here: run this on the machine that has one.")
    return _row(name, way, events, seconds), facts


def _row(name: str, way: str, events: list[dict[str, Any]], seconds: float) -> str:
    last = events[-1]
    best = last["best"]
    verdicts = [event for event in events if event["event"] == "judged"]
    tally = ", ".join(f"{word} {count}" for word, count in last["tally"].items())
    if best and best["speedup"]:
        speed = best["speedup"]
        said = f"{speed['ratio']:.2f}x [{speed['low']:.2f}, {speed['high']:.2f}]"
        offered = best["strategy"].splitlines()[0][:70]
    else:
        said, offered = "keep yours", ""
    return f"| {name} | {way} | {said} | {offered} | {len(verdicts)}: {tally} | {seconds:.0f} |"


def write(path: Path, rows: list[str], facts: dict[str, Any]) -> None:
    device = facts["devices"][0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# The examples on a GPU: sweep and recorded rewrite\n\n"
        f"Measured {dt.datetime.now(tz=dt.UTC).date()} on {device['name']} "
        f"({device['arch']}), torch {facts['torch']}, triton {facts['triton']}, "
        f"Python {facts['python']}, by `benchmarks/examples_gpu.py`. Speedups are original time "
        "over candidate time, geometric mean over the tests' own call shapes, with the interval "
        "Whet reports, confirmed in a fresh process. The shapes of the examples are small (they "
        "must run on an interpreter too), so most times are a few microseconds.\n\n"
        "| example | way | measured | offered | judged | wall s |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


if __name__ == "__main__":
    main()
