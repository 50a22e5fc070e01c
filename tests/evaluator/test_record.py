"""What is recorded of launches and calls, and what is counted of their traffic."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

HABITS = Path(__file__).parent / "projects" / "habits"
LAUNCHERS = ["add", "scale_", "tuned", "heuristic", "matmul", "double"]
LAUNCHERS += ["Double.forward", "Double.backward", "twice", "properties_grid"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict:
    tmp_path = tmp_path_factory.mktemp("record")
    for folder in ("root", "scratch"):
        shutil.copytree(HABITS, tmp_path / folder)
    unit = {"path": "kernels.py", "kernels": [], "launchers": LAUNCHERS, "text": ""}
    job = make_job(
        tmp_path / "root", tmp_path / "scratch", tmp_path / "out", "kernels.py", unit=unit
    )
    return run_stage("tests:run", {**job, "nodes": ["test_habits.py"]})


def launches(recorded: dict, test: str) -> list[dict]:
    return [x for x in recorded["launches"] if x["nodeid"].endswith("::" + test)]


def test_arguments_in_tritons_spelling(recorded: dict) -> None:
    (first,) = launches(recorded, "test_matmul[dtype0]")
    described = {a["name"]: a for a in first["arguments"]}
    assert described["a"]["type"] == "*fp16"
    assert described["a"]["shape"] == [33, 17]
    assert described["a"]["strides"] == [17, 1]
    assert described["a"]["divisible_by_16"]
    assert (described["M"]["type"], described["M"]["value"]) == ("i32", 33)
    assert not described["M"]["divisible_by_16"]
    assert (described["B"]["type"], described["B"]["value"]) == ("constexpr", 16)
    assert first["grid"] == [3, 2]
    assert first["entry"] == "matmul"


def test_counted_by_hand(recorded: dict) -> None:
    """33x17 by 17x20 in blocks of 16: 3x2 programs, two steps along K each."""
    (launch,) = launches(recorded, "test_matmul[dtype1]")
    counted = launch["counted"]
    assert counted["programs"] == 6
    assert counted["loaded_bytes"] == 4 * (2 * 33 * 17 + 3 * 17 * 20)
    assert counted["stored_bytes"] == 4 * 33 * 20
    assert counted["compulsory_bytes"] == 4 * (33 * 17 + 17 * 20 + 33 * 20)
    assert counted["dot_flops"] == 6 * 2 * 2 * 16**3


def test_transactions_by_hand(recorded: dict) -> None:
    """300 floats in programs of 128: 8 + 8 + 3 segments for each of three tensors."""
    (launch,) = launches(recorded, "test_direct_launch")
    assert launch["counted"]["transactions"] == 3 * 19
    assert launch["entry"] is None


def test_autotune_and_heuristics_are_resolved(recorded: dict) -> None:
    (tuned,) = launches(recorded, "test_autotuned")
    assert tuned["arguments"][-1]["value"] == 64
    assert tuned["options"]["num_warps"] == 2
    even = [x["arguments"][-1]["value"] for x in launches(recorded, "test_heuristics")]
    assert even == [True, False]


def test_backward_is_seen(recorded: dict) -> None:
    entries = {x["entry"] for x in launches(recorded, "test_autograd")}
    assert entries == {"double", "Double.backward"}


def test_equal_launches_are_one_record_with_a_count(recorded: dict) -> None:
    (first,) = launches(recorded, "test_device_string")
    assert first["count"] > 10
    keys = [
        str((x["kernel"], x["grid"], x["arguments"], x["options"], x["entry"]))
        for x in recorded["launches"]
    ]
    assert len(keys) == len(set(keys))


def test_kernels_are_named_per_test(recorded: dict) -> None:
    kernels = {o["nodeid"].partition("::")[2]: o["kernels"] for o in recorded["outcomes"]}
    assert kernels["test_autograd"] == ["scale_kernel", "add_kernel"]
    assert kernels["test_thread"] == ["add_kernel"]
    assert kernels["test_memory"] == []


def test_calls_through_imports_tables_and_attributes(recorded: dict) -> None:
    """`from m import f`, `TABLE["add"]`, `kernels.tuned`: rebinding would miss the first two."""
    by_launcher: dict[str, int] = {}
    for call in recorded["calls"]:
        by_launcher[call["launcher"]] = by_launcher.get(call["launcher"], 0) + call["count"]
    assert by_launcher["add"] > 20
    assert by_launcher["tuned"] == 1
    assert by_launcher["matmul"] == 2
    nodes = [c["nodeid"].partition("::")[2] for c in recorded["calls"]]
    assert "test_host_tensor_is_refused" not in nodes, "a call that raised is no call to replay"


def test_a_call_keeps_shapes_types_and_aliases(recorded: dict) -> None:
    call = next(c for c in recorded["calls"] if c["launcher"] == "add")
    x, y = (a["tensor"] for a in call["args"])
    assert (x["shape"], x["strides"], x["dtype"]) == ([300], [1], "float32")
    assert x["storage"] == y["storage"], "add(x, x) must stay one tensor"
    scaled = next(c for c in recorded["calls"] if c["launcher"] == "scale_")
    assert scaled["args"][1] == {"float": "3.0"}


def test_an_autograd_function_is_recorded_by_its_apply(tmp_path: Path) -> None:
    """`softmax = Softmax.apply` is no function whose code could be swapped; `forward` is."""
    for folder in ("root", "scratch"):
        shutil.copytree(HABITS, tmp_path / folder)
    launchers = [name for name in LAUNCHERS if name != "double"]
    unit = {"path": "kernels.py", "kernels": [], "launchers": launchers, "text": ""}
    job = make_job(
        tmp_path / "root", tmp_path / "scratch", tmp_path / "out", "kernels.py", unit=unit
    )
    result = run_stage("tests:run", {**job, "nodes": ["test_habits.py::test_autograd"]})
    (call,) = result["calls"]
    assert call["launcher"] == "Double.apply"
    (x,) = (a["tensor"] for a in call["args"])
    assert x["shape"] == [300]
    assert x["requires_grad"]
