"""How often timing is wrong: a kernel against itself, and against one that is 3 % slower.

    python benchmarks/aa.py [--out TABLE.md] [--raw SAMPLES.jsonl] [--seconds 500]
    python benchmarks/aa.py --read SAMPLES.jsonl... [--out TABLE.md]

Runs on the GPU of this machine, by the same code as the stage *time*, in one process: each
experiment loads both versions anew, draws new inputs, takes 20 rounds of 10 pairs (more
where undecided) with both controls, and judges them. The kernels carry a loop of additions
of zero whose length is an argument, so the slower version runs the same instructions only
longer; its length is calibrated per kernel by a long measurement before the experiments.
`--read` times nothing: it judges the samples of earlier runs as they would be judged now.
Needs torch and triton, and nothing of Whet's installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import math
import statistics
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "evaluator"))

from whet_evaluator.statistics import CaseResult, analyse  # noqa: E402
from whet_evaluator.worker import arguments, codec, importing, replay, surroundings, vitals  # noqa: E402
from whet_evaluator.worker.clock import Clock  # noqa: E402
from whet_evaluator.worker.measure import Order, Together, measure  # noqa: E402
from whet_evaluator.worker.records import Case, Timing  # noqa: E402
from whet_evaluator.worker.versions import Versions  # noqa: E402

TRUE = 1.03
MAX_FAILURES = 10
KERNELS = '''
import torch
import triton
import triton.language as tl

EXTRA = 0


@triton.jit
def spun(values, zero, extra):
    """Sixteenths of an addition: some programs of sixteen do one more than the others."""
    more = (tl.program_id(0) % 16 < extra % 16).to(tl.int32)
    for _ in range(extra // 16 + more):
        values = values + zero
    return values


@triton.jit(do_not_specialize=["extra", "zero"])
def softmax_kernel(x, out, n, zero, extra, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=-float("inf"))
    values = tl.exp(values - tl.max(values, axis=0))
    values = spun(values / tl.sum(values, axis=0), zero, extra)
    tl.store(out + row * n + at, values, mask=at < n)


def softmax(x):
    out = torch.empty_like(x)
    n = x.shape[1]
    block = triton.next_power_of_2(n)
    softmax_kernel[(x.shape[0],)](x, out, n, 0.0, EXTRA, BLOCK=block, num_warps=4)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def norm_kernel(x, w, out, n, zero, extra, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    values = tl.load(x + row * n + at, mask=at < n, other=0.0).to(tl.float32)
    scale = 1 / tl.sqrt(tl.sum(values * values, axis=0) / n + 1e-5)
    values = values * scale * tl.load(w + at, mask=at < n, other=0.0).to(tl.float32)
    tl.store(out + row * n + at, spun(values, zero, extra).to(out.dtype.element_ty), mask=at < n)


def rms_norm(x, w):
    out = torch.empty_like(x)
    n = x.shape[1]
    block = triton.next_power_of_2(n)
    norm_kernel[(x.shape[0],)](x, w, out, n, 0.0, EXTRA, BLOCK=block, num_warps=8)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def add_kernel(x, y, out, n, zero, extra, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    values = tl.load(x + at, mask=at < n) + tl.load(y + at, mask=at < n)
    tl.store(out + at, spun(values, zero, extra), mask=at < n)


def add(x, y):
    out = torch.empty_like(x)
    n = x.numel()
    add_kernel[(triton.cdiv(n, 1024),)](x, y, out, n, 0.0, EXTRA, BLOCK=1024, num_warps=4)
    return out


@triton.jit(do_not_specialize=["extra", "zero"])
def matmul_kernel(a, b, c, m, n, k, zero, extra,
                  M: tl.constexpr, N: tl.constexpr, K: tl.constexpr):
    tiles = tl.cdiv(n, N)
    row = tl.program_id(0) // tiles * M + tl.arange(0, M)
    col = tl.program_id(0) % tiles * N + tl.arange(0, N)
    at = tl.arange(0, K)
    left = a + row[:, None] * k + at[None, :]
    right = b + at[:, None] * n + col[None, :]
    total = tl.zeros((M, N), dtype=tl.float32)
    for _ in range(0, k, K):
        total = tl.dot(tl.load(left), tl.load(right), total)
        left += K
        right += K * n
    total = spun(total, zero, extra)
    tl.store(c + row[:, None] * n + col[None, :], total.to(c.dtype.element_ty))


def matmul(a, b):
    (m, k), n = a.shape, b.shape[1]
    c = torch.empty(m, n, dtype=a.dtype, device=a.device)
    grid = (m // 128 * (n // 128),)
    matmul_kernel[grid](a, b, c, m, n, k, 0.0, EXTRA, M=128, N=128, K=64,
                        num_warps=8, num_stages=3)
    return c
'''


@dataclass(frozen=True)
class Kernel:
    """`shapes` are those of the launcher's arguments."""

    name: str
    launcher: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str = "float32"


TIMED = (
    Kernel("softmax 64x781", "softmax", ((64, 781),)),
    Kernel("softmax 2048x1024", "softmax", ((2048, 1024),)),
    Kernel("rms_norm 8192x2048 bf16", "rms_norm", ((8192, 2048), (2048,)), "bfloat16"),
    Kernel("add 16M", "add", ((1 << 24,), (1 << 24,))),
    Kernel("matmul 8192x8192x4096 bf16", "matmul", ((8192, 4096), (4096, 8192)), "bfloat16"),
)


@dataclass
class Experiment:
    """One measurement: what was true, and what was read. `kind` is `A/A`, `faster`, `slower`."""

    kernel: str
    kind: str
    result: CaseResult
    noise: tuple[str, ...]
    case: Case
    seconds: float


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
        measured = analyse(Timing(cases=(case,), environment={}))
        seconds = time.perf_counter() - began
        done = Experiment(kernel.name, kind, measured.cases[0], measured.noise, case, seconds)
        self._keep(done, extras)
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

    def _keep(self, done: Experiment, extras: tuple[int, int]) -> None:
        result = dataclasses.asdict(done.result)
        line: dict[str, Any] = {
            "kernel": done.kernel,
            "kind": done.kind,
            "extras": extras,
            "noise": done.noise,
        }
        line |= {"result": result, "seconds": done.seconds, "case": dataclasses.asdict(done.case)}
        self._raw.write(json.dumps(line) + "\n")
        self._raw.flush()


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
    began = time.perf_counter()
    import torch

    if not torch.cuda.is_available():
        sys.exit("There is no GPU here: run this on the machine that has one.")
    for path in (options.out, options.raw):
        path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, options.raw.open("w") as raw:
        laboratory = Laboratory(torch, Path(folder), raw)
        environment = laboratory.describe()
        extras = {}
        for kernel in TIMED:
            extras[kernel.name] = calibrated(laboratory, kernel)
            print(
                f"{time.perf_counter() - began:6.1f} s {kernel.name}: {extras[kernel.name][0]} "
                f"additions are {extras[kernel.name][1]:.4f}x slower",
                flush=True,
            )
        done: list[Experiment] = []
        failures: list[str] = []
        for kernel, kind in agenda(options.same, options.other):
            if time.perf_counter() - began > options.seconds:
                print("out of time")
                break
            extra = extras[kernel.name][0]
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
    seconds = time.perf_counter() - began
    options.out.write_text(table(done, environment))
    print(
        f"{len(done)} experiments, {len(failures)} failures in {seconds:.0f} s\n{options.out.read_text()}"
    )


def stored(files: list[Path]) -> tuple[list[Experiment], dict[str, str]]:
    """The experiments in `files`, judged by today's arithmetic, and the first one's environment."""
    done, environments = [], []
    for line in (text for file in files for text in file.read_text().splitlines()):
        row = json.loads(line)
        if "environment" in row:
            environments.append(row["environment"] | {"date": row["date"]})
        elif row["kind"] != "calibration":
            case = codec.from_json(Case, row["case"])
            measured = analyse(Timing(cases=(case,), environment={}))
            done.append(
                Experiment(
                    row["kernel"], row["kind"], measured.cases[0], measured.noise, case,
                    row["seconds"],
                )
            )  # fmt: skip
    return done, environments[0]


def agenda(n_same: int, n_other: int) -> list[tuple[Kernel, str]]:
    """All kernels in turn, so that running out of time leaves them equally often measured."""
    turns = []
    for i in range(max(n_same, n_other)):
        for kernel in TIMED:
            if i < n_same:
                turns.append((kernel, "A/A"))
            if i < n_other:
                turns.append((kernel, "faster" if i % 2 else "slower"))
    return turns


def line(done: Experiment) -> str:
    result = done.result
    return (
        f"{done.seconds:5.2f} s {done.kind:6} {result.verdict:9} {result.ratio:.4f} "
        f"[{result.low:.4f}, {result.high:.4f}] {result.n_rounds} {result.method} {result.state} "
        f"{done.kernel} {'; '.join((*done.noise, *done.case.notes, *done.case.retaken))}"
    )


def table(done: list[Experiment], environment: dict[str, str]) -> str:
    rows = [row(kernel.name, done) for kernel in TIMED]
    same = [e for e in done if e.kind == "A/A"]
    other = [e for e in done if e.kind != "A/A"]
    wrong = [e for e in same if e.result.verdict in {"FASTER", "SLOWER"}]
    head = (
        f"Measured {environment['date']} on {environment['device']} "
        f"({environment['arch']}), torch {environment['torch']}, triton {environment['triton']}, "
        f"driver {environment.get('driver_version', 'unknown')}, by `benchmarks/aa.py`: "
        "20 rounds of 10 pairs, up to 80 where undecided, every experiment with modules, inputs "
        "and graphs of its own. *Holds 1*: share of A/A experiments whose 95 % interval contains "
        "1. *Found*: share of 3 % differences, half of them faster and half slower, that read "
        "FASTER or SLOWER as they should; their mean is beside it."
    )
    summary = (
        f"{len(same)} A/A experiments: {len(wrong)} read FASTER or SLOWER "
        f"({share(len(wrong), len(same))}); the 95 % interval holds 1 in "
        f"{share(sum(map(holds_one, same)), len(same))}; controls failed in "
        f"{share(sum(bool(e.noise) for e in same), len(same))}. {len(other)} true differences: "
        f"found in {share(sum(map(is_found, other)), len(other))}."
    )
    columns = (
        "| kernel | us | method | A/A | holds 1 | false claims | mean ratio | half width "
        "| control failed | slowdown | found | verdicts at 3 % | s each |"
    )
    title = "# A kernel against itself, and against one 3 % slower"
    rule = "|" + "---|" * 13
    return "\n".join([title, "", head, "", summary, "", columns, rule, *rows, ""])


def row(name: str, done: list[Experiment]) -> str:
    mine = [e for e in done if e.kernel == name]
    same = [e for e in mine if e.kind == "A/A"]
    other = [e for e in mine if e.kind != "A/A"]
    if not same:
        return f"| {name} | not reached |" + " |" * 11
    us = statistics.median(pair[0] for e in same for pairs in e.case.rounds for pair in pairs)
    methods = Counter(f"{e.result.method}, {e.result.state}" for e in same)
    widths = [math.log(e.result.high / e.result.low) / 2 for e in same]
    mean = math.exp(statistics.fmean(math.log(e.result.ratio) for e in same))
    verdicts = Counter(e.result.verdict for e in other)
    slowdowns = [abs(math.log(e.result.ratio)) for e in other]
    slowdown = f"{math.exp(statistics.fmean(slowdowns)) - 1:.2%}" if slowdowns else ""
    return (
        f"| {name} | {us:.1f} | {'; '.join(methods)} | {len(same)} "
        f"| {share(sum(map(holds_one, same)), len(same))} "
        f"| {sum(e.result.verdict in {'FASTER', 'SLOWER'} for e in same)} | {mean:.5f} "
        f"| {statistics.median(widths):.2%} | {sum(bool(e.noise) for e in same)} "
        f"| {slowdown} | {share(sum(map(is_found, other)), len(other))} "
        f"| {', '.join(f'{v} {n}' for v, n in sorted(verdicts.items()))} "
        f"| {statistics.median(e.seconds for e in mine):.2f} |"
    )


def holds_one(done: Experiment) -> bool:
    return done.result.low <= 1 <= done.result.high


def is_found(done: Experiment) -> bool:
    return done.result.verdict == {"faster": "FASTER", "slower": "SLOWER"}[done.kind]


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "no experiment"


if __name__ == "__main__":
    main()
