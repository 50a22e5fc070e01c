"""Judges a candidate the way evaluators without a worker do: a cold process per question.

Written after the published description of GEAK-eval (arXiv 2507.23194), with none of its
code. A candidate is written into a copy of the project; then one process answers whether
it runs (*call accuracy*: the file's tests), another whether its results are right
(*execution accuracy*: the tests again, judged by their outcome), another how fast it is.
The three share one Triton cache, so only the first compiles. Without a device the tests
run under our interpreter set-up, since plain pytest cannot run them at all, and in place
of the benchmark the kernels are compiled for the architecture, which is all that our own
evaluator can say there too.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from whet_evaluator.evaluation import Candidate
from whet_evaluator.worker import environment
from whet_evaluator.worker.codec import to_json

EVALUATOR = Path(__file__).resolve().parents[1] / "evaluator"
_LIMIT_S = 300
_TESTS_ON_DEVICE = "import pytest, sys; sys.exit(pytest.main(sys.argv[2:]))"
_TESTS_INTERPRETED = """
import json, sys
arch, worker = json.loads(sys.argv[1])
sys.path.insert(0, worker)
from whet_evaluator.worker import interpret
sys.path.remove(worker)
interpret.install({"arch": arch})
import pytest
sys.exit(pytest.main(sys.argv[2:]))
"""
_BENCHMARK = """
import importlib, json, sys
module, inputs, call = json.loads(sys.argv[1])
import torch
from triton.testing import do_bench
scope = {**vars(importlib.import_module(module)), "torch": torch}
exec(inputs, scope)
print(do_bench(lambda: eval(call, scope)))
"""
_COMPILE = """
import json, sys
job, worker = json.load(open(sys.argv[1])), sys.argv[2]
sys.path.insert(0, worker)
from whet_evaluator.worker import compile
sys.path.remove(worker)
job["progress"] = lambda *_: None
answer = compile.run(job)
sys.exit(1 if answer["broken"] else 0)
"""


@attrs.frozen(kw_only=True)
class Benchmark:
    """What the third process runs on a device: Python text, with `torch` in scope."""

    inputs: str
    call: str


class ColdEvaluator:
    """Processes of `python`, each starting from nothing."""

    def __init__(self, *, python: str, root: Path, arch: str, on_device: bool) -> None:
        self._python = python
        self._root = root
        self._arch = arch
        self._on_device = on_device

    def test(self, candidate: Candidate, tests: Sequence[str]) -> float:
        """Seconds until one process has told whether the tests pass; raises as `judge` does."""
        began = time.monotonic()
        with self._placed(candidate) as project:
            self._tests(project, tests)
            return time.monotonic() - began

    def judge(self, candidate: Candidate, tests: Sequence[str], benchmark: Benchmark) -> ColdCost:
        """Runs all three. Raises `AssertionError` with the output if one of them fails."""
        began = time.monotonic()
        with self._placed(candidate) as project:
            placing = time.monotonic() - began
            call = self._tests(project, tests)
            execution = self._tests(project, tests)
            speed = (
                self._benchmark(project, candidate, benchmark)
                if self._on_device
                else self._compile(project, candidate)
            )
        return ColdCost(call=placing + call, execution=execution, speed=speed)

    @contextlib.contextmanager
    def _placed(self, candidate: Candidate) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="whet-cold-") as folder:
            project = Path(folder) / "project"
            shutil.copytree(self._root, project, ignore=shutil.ignore_patterns("__pycache__"))
            (project / candidate.unit.path).write_text(candidate.text)
            yield project

    def _tests(self, project: Path, tests: Sequence[str]) -> float:
        code = _TESTS_ON_DEVICE if self._on_device else _TESTS_INTERPRETED
        first = json.dumps([self._arch, str(EVALUATOR)])
        return self._run(project, code, first, "-q", "-p", "no:cacheprovider", *tests)

    def _benchmark(self, project: Path, candidate: Candidate, benchmark: Benchmark) -> float:
        module = candidate.unit.path.removesuffix(".py").replace("/", ".")
        what = json.dumps([module, benchmark.inputs, benchmark.call])
        return self._run(project, _BENCHMARK, what)

    def _compile(self, project: Path, candidate: Candidate) -> float:
        file = str(project / candidate.unit.path)
        job: dict[str, Any] = {
            "unit": to_json(candidate.unit), "unit_file": file, "unit_source": file,
            "root": str(project), "scratch": str(project), "arch": self._arch, "mode": "compile",
            "launches": to_json(candidate.launches), "output_dir": str(project.parent),
        }  # fmt: skip
        path = project.parent / "job.json"
        path.write_text(json.dumps(job))
        return self._run(project, _COMPILE, str(path), str(EVALUATOR), interpret=False)

    def _run(self, project: Path, code: str, *arguments: str, interpret: bool = True) -> float:
        began = time.monotonic()
        done = subprocess.run(
            [self._python, "-c", code, *arguments], cwd=project,
            env=self._environment(project, interpret=interpret and not self._on_device),
            capture_output=True, text=True, check=False, timeout=_LIMIT_S,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return time.monotonic() - began

    def _environment(self, project: Path, *, interpret: bool) -> Mapping[str, str]:
        own = {"PYTHONPATH": str(project), "TRITON_CACHE_DIR": str(project.parent / "triton")}
        return {
            **environment.allowed(os.environ), **own,
            **({"TRITON_INTERPRET": "1"} if interpret else {}),
        }  # fmt: skip


@attrs.frozen(kw_only=True)
class ColdCost:
    """Seconds of the three processes, start and end included."""

    call: float
    execution: float
    speed: float

    @property
    def total(self) -> float:
        return self.call + self.execution + self.speed
