"""Every way to launch a kernel is recorded as a call that can be repeated."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

from whet_evaluator.errors import EvaluatorError
from whet_evaluator.worker import launchers, replay

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).parent / "projects" / "launchers"
LAUNCHERS = (
    "launch", "scale", "apply_to", "make_scale.scale_by", "Scaler.__call__", "Scaler.doubled",
    "Scaler.halved", "Layer.forward", "Scale.forward", "Scale.backward", "Late.forward",
    "Late.backward", "sevenfold", "eightfold",
)  # fmt: skip


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> dict:
    tmp_path = tmp_path_factory.mktemp("launchers")
    for folder in ("root", "scratch"):
        shutil.copytree(PROJECT, tmp_path / folder)
    unit = {"path": "pkg/kernels.py", "kernels": [], "launchers": LAUNCHERS, "text": ""}
    return make_job(
        tmp_path / "root", tmp_path / "scratch", tmp_path / "out", "pkg/kernels.py", unit=unit
    )


@pytest.fixture(scope="module")
def recorded(job: dict) -> dict:
    demanded = {"nodes": ["test_launchers.py"], "benchmark": "bench.py::representative"}
    return run_stage("tests:run", {**job, **demanded})


def calls_of(recorded: dict, test: str) -> list[dict]:
    assert [o["outcome"] for o in recorded["outcomes"]] == ["passed"] * len(recorded["outcomes"])
    return [c for c in recorded["calls"] if c["nodeid"].endswith("::" + test)]


@pytest.mark.parametrize(
    ("test", "launcher"),
    [
        ("test_function", "scale"),
        ("test_table", "scale"),
        ("test_kept_closure", "triple"),
        ("test_closure_in_a_table", "TABLE.quadruple"),
        ("test_method", "Scaler.__call__"),
        ("test_static_method", "Scaler.doubled"),
        ("test_class_method", "Scaler.halved"),
        ("test_module", "Layer.forward"),
        ("test_autograd", "Scale.apply"),
        ("test_autograd_with_its_context_set_up_late", "Late.apply"),
        ("test_without_gradients", "Scale.apply"),
        ("test_custom_op", "sevenfold"),
        ("test_triton_op", "eightfold"),
        ("test_partial", "scale"),
        ("test_other_module", "sixfold"),
        ("test_direct", "scale_kernel"),
        ("test_direct_with_indices", "gather_kernel"),
        ("test_direct_and_tuned", "tuned_kernel"),
        ("test_direct_with_constants_that_are_objects", "map_kernel"),
    ],
)
def test_each_way_is_one_call(recorded: dict, test: str, launcher: str) -> None:
    (call,) = calls_of(recorded, test)
    assert call["launcher"] == launcher


def test_what_the_calls_hold(recorded: dict) -> None:
    def one(test: str) -> dict:
        (call,) = calls_of(recorded, test)
        return call

    first, second = calls_of(recorded, "test_made_closure")
    assert first["launcher"] == second["launcher"] == "make_scale"
    assert first["factory"] == {"args": [{"float": "10.0"}], "kwargs": {}}
    assert one("test_other_module")["module"] == "pkg.ops"
    assert one("test_autograd")["backward"]
    assert one("test_autograd_with_its_context_set_up_late")["backward"]
    assert not one("test_without_gradients")["grad"]
    assert "backward" not in one("test_without_gradients")
    assert one("test_direct")["grid"] == [[[1, 1], [100, "BLOCK"]]]
    assert one("test_direct_and_tuned")["grid"] == [[[1, 1], [100, "BLOCK"]]]
    index = one("test_direct_with_indices")["args"][1]["tensor"]
    assert sorted(index["values"]) == list(range(100))
    constants = one("test_direct_with_constants_that_are_objects")["kwargs"]
    assert constants["F"] == {"name": ["", "square"]}
    assert constants["T"] == {"triton dtype": "fp16"}
    functions = [c["args"][1] for c in calls_of(recorded, "test_callables")]
    assert functions[1] == {"name": ["", "triple"]}


def test_every_launch_belongs_to_a_call(recorded: dict) -> None:
    assert len(recorded["launches"]) > 15
    assert replay.not_recorded(recorded["launches"], recorded["calls"]) == []
    some = [c for c in recorded["calls"] if c["launcher"] not in {"scale", "sixfold", "map_kernel"}]
    assert replay.not_recorded(recorded["launches"], some) == [
        "scale_kernel: its launcher scale was not recorded",
        "scale_kernel: its launcher pkg.ops::sixfold was not recorded",
        "map_kernel: its launch by a test was not recorded",
    ]


def test_every_call_is_repeated_by_either_version(
    job: dict, recorded: dict, tmp_path: Path
) -> None:
    """The candidate's kernel doubles: so does all that reaches it, by whatever way."""
    scratch = tmp_path / "scratch"
    shutil.copytree(PROJECT, scratch)
    unit = scratch / "pkg" / "kernels.py"
    text = unit.read_text()
    registered = text[text.index("@torch.library.custom_op") : text.index("ninefold =")]
    original = tmp_path / "original.py"
    original.write_text(text.replace(registered, ""))
    unit.write_text(text.replace(registered, "").replace("* factor,", "* factor * 2,"))
    calls = [c for c in recorded["calls"] if c["launcher"] not in {"sevenfold", "eightfold"}]
    changed = {
        **job, "scratch": str(scratch), "output_dir": str(tmp_path / "out"), "calls": calls,
        "unit_file": str(unit), "original": str(original), "launches": recorded["launches"],
    }  # fmt: skip
    answer = run_stage("tests.evaluator.replaying:run", changed, env={"PYTHONPATH": str(ROOT)})
    results = answer["repeated"]
    assert len(results) == len(calls)
    same = {name for name, (_, a, b) in results.items() if a == b}
    assert {n.partition("[")[0] for n in same} == {"gather_kernel", "tuned_kernel", "map_kernel"}
    for name, (_, a, b) in results.items():
        if name not in same and not name.startswith("apply_to"):
            assert b == pytest.approx(2 * a, rel=0.2), name
    assert answer["timed"] == [
        "scale(float32[1000], 0.5)",
        "Scale.apply(float32[1000], 2.0) with backward",
        "sixfold(float32[128])",
    ], "the benchmark's alone"
    assert answer["not timed"] == []


def test_calls_of_the_users_benchmark_are_marked(recorded: dict) -> None:
    assert recorded["benchmark_error"] is None
    named = [c for c in recorded["calls"] if c.get("benchmark")]
    assert [(c["launcher"], c["count"]) for c in named] == [
        ("scale", 2), ("sixfold", 1), ("Scale.apply", 1)
    ]  # fmt: skip
    assert named[2]["backward"]
    assert not any("bench.py" in launch["nodeid"] for launch in recorded["launches"])


@pytest.mark.asyncio(loop_scope="module")
async def test_a_benchmark_that_fails_is_named_with_the_cure(project, worker) -> None:
    project.write("bench.py", "def run():\n    return {}['absent']\n")
    await worker.open(project.workspace())
    for name, wrong in (("bench.py::run", "KeyError: 'absent'"), ("no.py::run", "not there")):
        with pytest.raises(EvaluatorError, match=wrong) as failed:
            await worker.record(project.unit, ("test_unit.py",), lambda _: None, benchmark=name)
        assert f"the benchmark {name}" in str(failed.value)
        assert "setting `benchmark`" in str(failed.value)


def test_grids() -> None:
    def described(grid, *names, **arguments):
        return launchers.describe_grid(grid, arguments, names)

    assert described((4, 2)) == [4, 2]
    two = described(
        lambda m: (-(-300 // m["BM"]) * -(-70 // m["BN"]), m["batch"]), "BM", "BN", batch=3
    )
    assert launchers.grid_at(two, {"BM": 64, "BN": 32}) == (5 * 3, 3)
    assert described(lambda m: (min(4, 300 // m["B"]),), "B") is None
    assert described(lambda m: (m["absent"],), "B") is None
