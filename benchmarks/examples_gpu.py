"""The sweep and a recorded rewrite on every example, on the GPU this runs on.

    python benchmarks/examples_gpu.py [--out benchmarks/results/examples_gpu.md] [--at-once N] [NAME...]

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
from concurrent.futures import ThreadPoolExecutor
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
WAYS = ("sweep", "rewrite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(KERNELS))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/examples_gpu.md")
    parser.add_argument("--whet", default="whet", help="the command to run")
    parser.add_argument(
        "--at-once", type=int, default=1, help="examples; timing waits for its turn"
    )
    parser.add_argument("--python", help="one with torch and triton; else as whet finds it")
    parser.add_argument("--events", type=Path, help="a folder to keep every run's events in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whet-bench-") as folder:
        project = Path(folder) / "examples"
        shutil.copytree(ROOT / "examples", project)
        rows: dict[tuple[str, str], str] = {}

        def both_ways(name: str) -> None:
            for way in WAYS:
                rows[name, way], facts = measure(options, project, Path(folder), name, way)
                print(rows[name, way], flush=True)
                write(options, rows, facts)

        with ThreadPoolExecutor(options.at_once) as pool:
            list(pool.map(both_ways, options.names))


def measure(
    options: argparse.Namespace, project: Path, scratch: Path, name: str, way: str
) -> tuple[str, dict[str, Any]]:
    arguments = ["--no-model"] if way == "sweep" else ["--replay", f"recorded/{name}.md"]
    environment = {
        **os.environ,
        "WHET_TRUST": "1",
        "WHET_STORE": str(scratch / f"{name}.sqlite"),
        "WHET_SWEEP": "true" if way == "sweep" else "false",
        **({"WHET_PYTHON": options.python} if options.python else {}),
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


def write(
    options: argparse.Namespace, rows: dict[tuple[str, str], str], facts: dict[str, Any]
) -> None:
    device, path = facts["devices"][0], options.out
    in_order = [rows[name, way] for name in options.names for way in WAYS if (name, way) in rows]
    at_once = f" {options.at_once} examples at a time, so wall seconds hold waits for each other."
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "# The examples on a GPU: sweep and recorded rewrite\n\n"
        f"Measured {dt.datetime.now(tz=dt.UTC).date()} on {device['name']} "
        f"({device['arch']}), torch {facts['torch']}, triton {facts['triton']}, "
        f"Python {facts['python']}, by `benchmarks/examples_gpu.py`. Speedups are original time "
        "over candidate time, geometric mean over the tests' own call shapes, with the interval "
        "Whet reports, confirmed in a fresh process. The shapes of the examples are small (they "
        "must run on an interpreter too), so most times are a few microseconds."
        f"{at_once if options.at_once > 1 else ''}\n\n"
        "| example | way | measured | offered | judged | wall s |\n|---|---|---|---|---|---|\n"
        + "\n".join(in_order)
        + "\n"
    )


if __name__ == "__main__":
    main()
