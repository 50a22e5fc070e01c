"""How often timing is wrong: a kernel against itself, and against one that is 3 % slower.

    python benchmarks/aa.py [--out TABLE.md] [--raw SAMPLES.jsonl] [--seconds 500]
    python benchmarks/aa.py --read SAMPLES.jsonl... [--out TABLE.md]

Runs on the GPU of this machine, by the same code as the stage *time*, in one process: each
experiment loads both versions anew, draws new inputs, takes 20 rounds of 10 pairs (more
where undecided) with both controls, and judges them. How much longer the slower version runs is
calibrated per kernel by a long measurement before the experiments.
`--read` times nothing: it judges the samples of earlier runs as they would be judged now.
Needs torch and triton, and nothing of Whet's installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "evaluator"))

from aa_kernels import KERNELS, TIMED, Kernel, agenda  # noqa: E402
from aa_tables import Experiment, as_json, judged, line, stored, table  # noqa: E402

from whet_evaluator.worker import arguments, importing, replay, surroundings, vitals  # noqa: E402
from whet_evaluator.worker.clock import Clock  # noqa: E402
from whet_evaluator.worker.measure import Order, Together, measure  # noqa: E402
from whet_evaluator.worker.versions import Versions  # noqa: E402

TRUE = 1.03
MAX_FAILURES = 10


class Laboratory:
    """Runs experiments by the production code path on this machine's device."""

    def __init__(self, torch: Any, folder: Path, raw: Any) -> None:
        self._torch = torch
        self._folder = folder
        self._raw = raw
        self._clock = Clock(torch)
        self._clock.open()
        uuid = str(getattr(torch.cuda.get_device_properties(0), "uuid", ""))
        self._vitals = vitals.Vitals(vitals.reader(uuid))
        self._n = 0

    def run(
        self, kernel: Kernel, kind: str, extras: tuple[int, int], n_rounds: int = 20
    ) -> Experiment:
        """`extras` are the lengths of the original's and the candidate's added loop."""
        began = time.perf_counter()
        self._n += 1
        order = Order(
            seed=7919 * self._n,
            n_rounds=n_rounds,
            n_pairs=10,
            arch=surroundings.device_arch(self._torch),
            cache_bytes=surroundings.cache_bytes(self._torch),
            own_file=str(self._folder / "candidate.py"),
            on_round=lambda _done, _total: None,
            disturbance=self._vitals.disturbance,
            may_go_on=lambda seconds: seconds < 60,
        )
        crew = Together(self._clock, self._replay(kernel, extras), order)
        case = measure(self._clock, crew, order)
        del crew
        self._torch.cuda.empty_cache()
        done = judged(kernel.name, kind, case, time.perf_counter() - began)
        self._raw.write(as_json(done, extras) + "\n")
        self._raw.flush()
        return done

    def _replay(self, kernel: Kernel, extras: tuple[int, int]) -> replay.Replay:
        """From a call as the recorder writes it; the true shapes are drawn on the device."""
        torch = self._torch
        dtype = getattr(torch, kernel.dtype)
        small = [torch.zeros((1,) * len(shape), dtype=dtype) for shape in kernel.shapes]
        storages: dict[int, int] = {}
        call = {
            "launcher": kernel.launcher,
            "args": [arguments.encode(tensor, storages) for tensor in small],
            "kwargs": {},
        }
        versions = Versions(
            self._module("original", extras[0]), self._module("candidate", extras[1])
        )
        job = {"launches": [], "calls": [call]}
        (found,) = replay.cases(job, versions, "cuda").replays

        def make(seed: int) -> Any:
            generator = torch.Generator(device="cuda").manual_seed(seed)
            drawn = [
                torch.randn(shape, generator=generator, device="cuda").to(dtype)
                for shape in kernel.shapes
            ]
            return [drawn, {}]

        return dataclasses.replace(found, name=kernel.name, make=make)

    def _module(self, which: str, extra: int) -> ModuleType:
        """A fresh module each time: its code lies elsewhere on the device each time."""
        path = self._folder / f"{which}.py"
        path.write_text(KERNELS)
        module = importing.load_file(str(path), f"{which}_{self._n}")
        vars(module)["EXTRA"] = extra
        return module

    def describe(self) -> dict[str, str]:
        """The environment, which is also the first line of the samples."""
        environment = surroundings.Described(self._torch).facts()
        today = str(dt.datetime.now(tz=dt.UTC).date())
        self._raw.write(json.dumps({"environment": environment, "date": today}) + "\n")
        return environment | {"date": today}


def calibrated(laboratory: Laboratory, kernel: Kernel) -> tuple[int, float]:
    """The shortest added loop that makes the kernel at least 3 % slower, and how much slower
    it then is."""

    def slowdown(extra: int, n_rounds: int = 20) -> float:
        return 1 / laboratory.run(kernel, "calibration", (0, extra), n_rounds).result.ratio

    low, high = 0, 16
    while slowdown(high, 4) < TRUE and high < 1 << 20:
        low, high = high, high * 2
    while high - low > max(1, high // 64):
        middle = (low + high) // 2
        low, high = (low, middle) if slowdown(middle, 8) >= TRUE else (middle, high)
    while (found := slowdown(high)) < TRUE:
        high += max(1, high // 64)
    return high, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/aa_h200.md")
    parser.add_argument("--raw", type=Path, default=Path("aa_samples.jsonl"))
    parser.add_argument("--seconds", type=float, default=500.0, help="for all of it")
    parser.add_argument("--same", type=int, default=40, help="A/A experiments per kernel")
    parser.add_argument("--other", type=int, default=20, help="3 %% experiments per kernel")
    parser.add_argument("--read", type=Path, nargs="+", help="judge these samples; time nothing")
    options = parser.parse_args()
    if options.read:
        options.out.write_text(table(*stored(options.read)))
        return
    import torch

    if not torch.cuda.is_available():
        sys.exit("There is no GPU here: run this on the machine that has one.")
    for path in (options.out, options.raw):
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, options.raw.open("w") as raw:
        experiment(Laboratory(torch, Path(folder), raw), options)


def experiment(laboratory: Laboratory, options: argparse.Namespace) -> None:
    """All of it, with the table written now and then, so that whoever ends it early has one."""
    began = time.perf_counter()
    environment = laboratory.describe()
    extras = {kernel.name: announced(laboratory, kernel, began) for kernel in TIMED}
    done: list[Experiment] = []
    failures: list[str] = []
    for kernel, kind in agenda(options.same, options.other):
        if time.perf_counter() - began > options.seconds:
            print("out of time")
            break
        extra = extras[kernel.name]
        lengths = {"A/A": (0, 0), "slower": (0, extra), "faster": (extra, 0)}[kind]
        try:
            done.append(laboratory.run(kernel, kind, lengths))
        except Exception:  # noqa: BLE001 - counted and shown; the others still tell something
            failures.append(traceback.format_exc(limit=6))
            print(failures[-1], flush=True)
            if len(failures) > MAX_FAILURES:
                break
            continue
        print(line(done[-1]), flush=True)
        if len(done) % 25 == 0:
            options.out.write_text(table(done, environment))
    options.out.write_text(table(done, environment))
    seconds = time.perf_counter() - began
    print(f"{len(done)} experiments, {len(failures)} failures in {seconds:.0f} s")
    print(options.out.read_text())


def announced(laboratory: Laboratory, kernel: Kernel, began: float) -> int:
    """The added loop's length, which is told with the time since `began`."""
    extra, slower = calibrated(laboratory, kernel)
    seconds = time.perf_counter() - began
    said = f"{kernel.name}: {extra} additions are {slower:.4f}x slower"
    print(f"{seconds:6.1f} s {said}", flush=True)
    return extra


if __name__ == "__main__":
    main()
