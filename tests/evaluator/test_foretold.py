"""What a candidate launches is told before it runs, and nothing hangs on it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from whet_agent.candidates.sweep import sweep_variants
from whet_agent.source.units import unit_of
from whet_evaluator.worker.answers import launches, specialisations

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ARCH = "sm_90"


class Project:
    """The examples with one unit's file as given, and the jobs that run it."""

    def __init__(self, tmp_path: Path, name: str, kernel: str) -> None:
        self.home, self.path, self.tests = tmp_path, f"kernels/{name}.py", f"tests/test_{name}.py"
        self.text = (EXAMPLES / self.path).read_text()
        self.unit = unit_of(self.text, self.path, kernel)
        assert self.unit is not None
        self._n_runs = 0

    def run(
        self, call: str, text: str, mode: str, env: dict[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        self._n_runs += 1
        home = self.latest = self.home / str(self._n_runs)
        for folder in ("root", "scratch"):
            shutil.copytree(EXAMPLES, home / folder, ignore=shutil.ignore_patterns("runs"))
        (home / "scratch" / self.path).write_text(text)
        unit = {
            "path": self.path, "kernels": [], "launchers": list(self.unit.launchers), "text": text,
        }  # fmt: skip
        job = make_job(home / "root", home / "scratch", home / "out", self.path, unit=unit)
        return run_stage(call, {**job, "mode": mode, "arch": ARCH, **more}, env=env)

    def tested(self, text: str) -> dict[str, Any]:
        return self.run("tests:run", text, "interpret", nodes=[self.tests])

    def loaded(self, text: str, recorded: dict[str, Any]) -> dict[str, Any]:
        return self.run(
            "compile:run", text, "compile", launches=recorded["launches"], calls=recorded["calls"]
        )


@pytest.mark.parametrize(
    ("name", "kernel", "launches_others"),
    [
        ("rms_norm", "add_rms_norm_kernel", True),
        ("layer_norm", "layer_norm_fwd_kernel", True),
        ("dequantize", "dequantize_kernel", False),  # another configuration than the first
    ],
    ids=["a module", "with its backward", "autotuned"],
)
def test_what_a_candidate_launches_is_foretold(
    tmp_path: Path, name: str, kernel: str, launches_others: bool
) -> None:
    project = Project(tmp_path, name, kernel)
    recorded = project.tested(project.text)
    changed = next(iter(sweep_variants(project.text, project.unit, ARCH))).text
    told, launched = project.loaded(changed, recorded), project.tested(changed)
    assert told["broken"] is None
    foretold = specialisations(launches(told))
    assert foretold == specialisations(launches(launched))
    assert (foretold != specialisations(launches(recorded))) is launches_others


def test_it_is_found_under_the_keys_of_tritons_own_launcher(
    softmax: Project, recorded: dict[str, Any]
) -> None:
    """Or the tests would compile it again."""
    keys = softmax.run(
        "evaluator.launching:run", softmax.text, "compile",
        env={"PYTHONPATH": str(EXAMPLES.parent / "tests")},
        launches=recorded["launches"], calls=recorded["calls"],
        also=[as_bfloat16(recorded["calls"][0])], compiled="/nowhere/compiled",
    )  # fmt: skip
    assert keys["compiled"] == keys["launcher"]
    assert len(keys["compiled"]) > 1
    assert keys["also"] == 1


@pytest.fixture(scope="module")
def softmax(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("softmax"), "softmax", "softmax_kernel")


@pytest.fixture(scope="module")
def recorded(softmax: Project) -> dict[str, Any]:
    return softmax.tested(softmax.text)


def test_what_others_will_launch_is_compiled_for_the_cache_alone(
    softmax: Project, recorded: dict[str, Any], tmp_path: Path
) -> None:
    told = softmax.run(
        "compile:run", softmax.text, "compile", launches=recorded["launches"],
        calls=recorded["calls"], also=[as_bfloat16(recorded["calls"][0])], compiled=str(tmp_path / "compiled"),
    )  # fmt: skip
    assert specialisations(launches(told)) == specialisations(launches(recorded))
    assert (tmp_path / "compiled").exists()
    sources = [file.read_text() for file in softmax.latest.rglob("softmax_kernel.ttir")]
    assert len(sources) == len(told["compiled"]) + 1
    assert sum("ptr<bf16>" in source for source in sources) == 1


def as_bfloat16(call: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = json.loads(json.dumps(call).replace('"float32"', '"bfloat16"'))
    return changed


@pytest.mark.parametrize(
    "trouble",
    ["while True: pass", "import os; os.kill(os.getpid(), 11)", "raise ValueError('no device')"],
    ids=["hangs", "crashes", "raises"],
)
def test_what_cannot_be_told_is_compiled_as_the_original_launched_it(
    softmax: Project, recorded: dict[str, Any], trouble: str
) -> None:
    head = next(line for line in softmax.text.splitlines() if line.startswith("def softmax("))
    troubled = softmax.text.replace(head, f"{head}\n    {trouble}")
    told = softmax.loaded(troubled, recorded)
    assert told["broken"] is None
    assert specialisations(launches(told)) == specialisations(launches(recorded))
