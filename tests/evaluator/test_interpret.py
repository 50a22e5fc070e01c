"""Tests written for a GPU run unchanged on the interpreter; what cannot is said why."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

HABITS = Path(__file__).parent / "projects" / "habits"
NAMES = re.findall(r"^def (test_\w+)", (HABITS / "test_habits.py").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def habits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict]]:
    tmp_path = tmp_path_factory.mktemp("habits")
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    shutil.copytree(HABITS, root)
    shutil.copytree(HABITS, scratch)
    job = make_job(root, scratch, tmp_path / "out", "kernels.py", arch="sm_90")
    result = run_stage("tests:run", {**job, "nodes": ["test_habits.py"]})
    by_name: dict[str, list[dict]] = {}
    for outcome in result["outcomes"]:
        by_name.setdefault(re.split(r"::|\[", outcome["nodeid"])[1], []).append(outcome)
    return by_name


def test_a_scalar_ends_a_loop_with_any_numpy(tmp_path: Path) -> None:
    """Triton 3.6 makes an integer of an array of one element, which NumPy refuses from 2.4 on."""
    (tmp_path / "asked.py").write_text(AS_IN_3_6)
    job = make_job(tmp_path, tmp_path, tmp_path / "out", "asked.py", arch="sm_90")
    assert (
        run_stage("tests:run", {**job, "nodes": ["asked.py"]})["outcomes"][0]["outcome"] == "passed"
    )


AS_IN_3_6 = """
import torch, triton, triton.language as tl
from triton.runtime import interpreter

inner = interpreter._patch_lang_tensor.__wrapped__

def as_in_3_6(tensor, scope):
    inner(tensor, scope)
    scope.set_attr(tensor, "__index__", refuse)

def refuse(tensor):
    raise TypeError("only 0-dimensional arrays can be converted to Python scalars")

for cell in interpreter._patch_lang_tensor.__closure__:
    if cell.cell_contents is inner:
        cell.cell_contents = as_in_3_6

@triton.jit
def add_up(x_ptr, out_ptr, n):
    total = 0.0
    for i in range(0, n):
        total += tl.load(x_ptr + i)
    tl.store(out_ptr, total)

def test_sum():
    x, out = torch.arange(5, device="cuda").float(), torch.zeros(1, device="cuda")
    add_up[(1,)](x, out, 5)
    assert out.item() == 10
"""


@pytest.mark.parametrize("name", NAMES)
def test_habit(habits: dict[str, list[dict]], name: str) -> None:
    for outcome in habits[name]:
        assert outcome["outcome"] == "passed", outcome["detail"]


LIMITED = {
    "test_bfloat16_atomics": "bfloat16 atomics",
    "test_bfloat16_operations_round_as_torch_does": None,
    "test_bfloat16_dot": None,
    "test_bfloat16_softmax": None,
    "test_bfloat16_conversion_is_exact": None,
    "test_float8_arithmetic": "float8 arithmetic",
    "test_libdevice_functions": "libdevice functions",
    "test_inline_assembly": "inline assembly",
    "test_device_graphs": "device graphs",
    "test_torch_compile": "torch.compile",
    "test_a_device_clock": "a device clock",
    "test_a_device_clock_by_events": "a device clock",
    "test_more_than_one_device": "more than one device",
    "test_the_compiled_kernels_handle": "the compiled kernel's handle",
    "test_the_compiled_kernels_handle_by_cache": "the compiled kernel's handle",
    "test_triton_language_names_imported_one_by_one": ("triton.language names imported one by one"),
    "test_a_torch_operation_without_a_cpu_version": "a torch operation without a CPU version",
    "test_the_device_driver": "the device driver",
    "test_gluon_kernels": "Gluon kernels",
    "test_honest_failure": None,
    "test_honest_success": None,
    "test_common_libdevice_functions": None,
}
GREEN = {"test_a_device_clock", "test_a_device_clock_by_events"}
GREEN |= {"test_honest_success", "test_common_libdevice_functions"}
GREEN |= {name for name in LIMITED if name.startswith("test_bfloat16_")}
GREEN -= {"test_bfloat16_atomics"}
PROVES_NOTHING = {"test_float8_arithmetic"}


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    tmp_path = tmp_path_factory.mktemp("limits")
    root, scratch = tmp_path / "root", tmp_path / "scratch"
    for folder in (root, scratch):
        shutil.copytree(HABITS.parent / "limits", folder)
    job = make_job(root, scratch, tmp_path / "out", "kernels.py", arch="sm_90")
    result = run_stage("tests:run", {**job, "nodes": ["test_limits.py"]})
    return {o["nodeid"].partition("::")[2]: o for o in result["outcomes"]}


@pytest.mark.parametrize("name", LIMITED)
def test_limit(limited: dict[str, dict], name: str) -> None:
    outcome = limited[name]
    assert outcome["uncovered"] == LIMITED[name], outcome["detail"]
    if name not in PROVES_NOTHING:
        assert outcome["outcome"] == ("passed" if name in GREEN else "failed"), outcome["detail"]


def test_every_limit_has_a_test() -> None:
    from whet_evaluator.worker.limits import LIMITS

    assert {limit.name for limit in LIMITS} == set(LIMITED.values()) - {None}
