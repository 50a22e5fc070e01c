"""Recorded launches compile for every architecture; what does not is named."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from whet_evaluator.isa import parse_amdgcn, parse_ptx, parse_resource_usage

sys.path.insert(0, str(Path(__file__).parent))
from stage_child import make_job, run_stage

HABITS = Path(__file__).parent / "projects" / "habits"
ARCHS = ["gfx90a", "gfx942", "gfx950", "sm_80", "sm_90"]


def argument(name: str, kind: str, value: Any = None, **more: Any) -> dict:
    return {"kind": "Argument", "name": name, "type": kind, "value": value, **more}


def pointer(name: str, element: str = "fp16", *, divisible: bool = True) -> dict:
    return argument(
        name, f"*{element}", divisible_by_16=divisible, shape=[512, 512], strides=[512, 1]
    )


def number(name: str, value: int) -> dict:
    return argument(name, "i32", value, divisible_by_16=value % 16 == 0)


def matmul(block: int = 64, *, divisible: bool = True) -> dict:
    names = ["M", "N", "K", "sam", "sak", "sbk", "sbn", "scm", "scn"]
    values = [512, 512, 512, 512, 1, 512, 1, 512, 1] if divisible else [511] * 9
    return {
        "kind": "Launch",
        "kernel": "matmul_kernel",
        "grid": [8, 8],
        "options": {"num_warps": 4},
        "arguments": [
            *(pointer(n, divisible=divisible) for n in "abc"),
            *(number(n, v) for n, v in zip(names, values, strict=True)),
            argument("B", "constexpr", block),
        ],
    }


def add(kind: str = "fp32", **arguments: Any) -> dict:
    return {
        "kind": "Launch",
        "kernel": "add_kernel",
        "grid": [3],
        "arguments": [
            *(pointer(n, kind) for n in ("x_ptr", "y_ptr", "out_ptr")),
            number("n", 4096),
            argument("BLOCK", "constexpr", 1024),
        ],
    }


def compile_stage(
    tmp_path: Path, launches: list[dict], arch: str = "gfx942", text: str | None = None
) -> dict:
    for folder in ("root", "scratch"):
        shutil.copytree(HABITS, tmp_path / folder)
    if text is not None:
        (tmp_path / "scratch/kernels.py").write_text(text)
    job = make_job(
        tmp_path / "root", tmp_path / "scratch", tmp_path / "out", "kernels.py", mode="compile"
    )
    return run_stage("compile:run", {**job, "launches": launches, "arch": arch})


@pytest.mark.parametrize("arch", ARCHS)
def test_matmul_uses_wide_loads_and_matrix_instructions(tmp_path: Path, arch: str) -> None:
    result = compile_stage(tmp_path, [matmul()], arch)
    assert result["broken"] is None
    (compiled,) = result["compiled"]
    assert compiled["arch"] == arch
    assert compiled["matrix_instructions"] > 0
    assert set(compiled["load_widths"]) == {"16"}, "strides of one and alignment were passed on"
    assert compiled["vgprs"] > 16
    assert compiled["lds_bytes"] >= 16 << 10
    assert compiled["spills"] == 0
    assert compiled["instructions"] > 100
    assert not compiled["guessed_signature"]
    assert compiled["triton"]


def test_an_unaligned_launch_has_narrow_loads(tmp_path: Path) -> None:
    result = compile_stage(tmp_path, [matmul(divisible=False)])
    assert set(result["compiled"][0]["load_widths"]) == {"2"}


def test_equal_specialisations_compile_once(tmp_path: Path) -> None:
    result = compile_stage(tmp_path, [add(), add(), add("fp16")])
    assert len(result["compiled"]) == 2


def test_a_type_error_is_broken_at_the_users_line(tmp_path: Path) -> None:
    text = (HABITS / "kernels.py").read_text()
    text = text.replace("tl.store(out_ptr + offsets, x + y, mask=mask)", "tl.dot(x, 'y')")
    result = compile_stage(tmp_path, [matmul(), add()], text=text)
    assert result["broken"]["kernel"] == "add_kernel"
    assert "tl.dot(x, 'y')" in result["broken"]["trace"]
    assert len(result["broken"]["trace"].splitlines()) <= 40
    assert [c["kernel"] for c in result["compiled"]] == ["matmul_kernel"]


def test_what_the_interpreter_would_let_pass_is_broken(tmp_path: Path) -> None:
    text = (HABITS / "kernels.py").read_text()
    text = text.replace("    mask = offsets < n\n", "    mask = dict(m=offsets < n)['m']\n", 1)
    result = compile_stage(tmp_path, [add()], text=text)
    assert result["broken"]["kernel"] == "add_kernel"


@pytest.mark.parametrize("text", ["def broken(:\n", "import does_not_exist\n"])
def test_a_module_that_does_not_import_is_broken(tmp_path: Path, text: str) -> None:
    result = compile_stage(tmp_path, [add()], text=text)
    assert result["broken"]["kernel"] is None
    assert "kernels.py:1" in result["broken"]["trace"]


def test_too_much_shared_memory_is_broken(tmp_path: Path) -> None:
    result = compile_stage(tmp_path, [matmul(256)], "gfx942")
    assert result["broken"]["kernel"] == "matmul_kernel"
    assert "shared memory" in result["broken"]["trace"]


def test_a_changed_signature_waits_for_the_tests(tmp_path: Path) -> None:
    text = (HABITS / "kernels.py").read_text()
    text = text.replace("out_ptr, n, BLOCK", "out_ptr, n, stride, BLOCK", 1)
    result = compile_stage(tmp_path, [add(), matmul()], text=text)
    assert result["broken"] is None
    assert "`stride` was not recorded" in result["not_compiled"][0]
    assert [c["kernel"] for c in result["compiled"]] == ["matmul_kernel"]


def test_a_kernel_that_is_gone_is_named(tmp_path: Path) -> None:
    text = (HABITS / "kernels.py").read_text().replace("add_kernel", "sum_kernel")
    result = compile_stage(tmp_path, [add()], text=text)
    assert result["not_compiled"] == ["add_kernel: no longer defined at the top of its file"]


def test_new_configs_of_an_autotuner_are_a_guess(tmp_path: Path) -> None:
    launch = {
        "kind": "Launch",
        "kernel": "tuned_kernel",
        "grid": [3],
        "options": {"num_warps": 2},
        "arguments": [
            pointer("x_ptr", "fp32"),
            number("n", 4096),
            argument("BLOCK", "constexpr", 64),
        ],
    }
    same = compile_stage(tmp_path / "a", [launch])
    assert [c["guessed_signature"] for c in same["compiled"]] == [False]
    text = (HABITS / "kernels.py").read_text().replace('{"BLOCK": 64}', '{"BLOCK": 32}')
    other = compile_stage(tmp_path / "b", [launch], text=text)
    assert [c["guessed_signature"] for c in other["compiled"]] == [True]


def test_a_module_that_asks_for_a_device_compiles_without_one(tmp_path: Path) -> None:
    text = (HABITS / "kernels.py").read_text()
    text += (
        "\nDEVICE = triton.runtime.driver.active.get_active_torch_device()\n"
        "UNITS = torch.cuda.get_device_properties(0).multi_processor_count\n"
        "BUFFER = torch.zeros(3, device='cuda')\n"
    )
    result = compile_stage(tmp_path, [add()], text=text)
    assert result["broken"] is None
    assert len(result["compiled"]) == 1


def test_launches_recorded_by_tests_compile(tmp_path: Path) -> None:
    """From the interpreter's records to machine code for two vendors."""
    for folder in ("root", "scratch"):
        shutil.copytree(HABITS, tmp_path / "record" / folder)
    home = tmp_path / "record"
    job = make_job(home / "root", home / "scratch", home / "out", "kernels.py")
    recorded = run_stage("tests:run", {**job, "nodes": ["test_habits.py"]})["launches"]
    names = {launch["kernel"] for launch in recorded}
    for arch in ("gfx942", "sm_90"):
        result = compile_stage(tmp_path / arch, recorded, arch)
        assert result["broken"] is None
        assert result["not_compiled"] == []
        assert {c["kernel"] for c in result["compiled"]} == names


AMD = """
\tglobal_load_dwordx4 v[0:3], v[4:5], off
\tglobal_load_ushort v1, v[2:3], off
\tbuffer_load_dword v1, v2, s[0:3], 0 offen
\tglobal_load_lds_dwordx4 v[0:1], off
\tglobal_store_short v[0:1], v2, off
\tbuffer_store_dwordx2 v[0:1], v2, s[0:3], 0 offen
\tv_mfma_f32_32x32x8_f16 a[0:15], v[0:1], v[2:3], a[0:15]
\ts_endpgm
.Lfunc_end0:
; Occupancy: 3
    .agpr_count:     16
    .vgpr_count:     120
    .sgpr_count:     40
    .vgpr_spill_count: 2
    .sgpr_spill_count: 1
    .group_segment_fixed_size: 1024
    .private_segment_fixed_size: 8
"""
PTX = """
.visible .entry kernel(
\t.reg .b32 \t%r<7>;
\t@%p1 ld.global.L1::evict_last.v4.b32 { %r1, %r2, %r3, %r4 }, [ %rd1 + 0 ];
\tld.global.b16 %rs1, [%rd2];
\tcp.async.cg.shared.global [ %r23 + 0 ], [ %rd13 + 0 ], 0x10, %r24;
\tst.global.v2.b64 [ %rd1 + 0 ], { %rd2, %rd3 };
\tmma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 { %r1 }, { %r2 }, { %r3 }, { %r4 };
\tret;
"""


def test_amdgcn_by_hand() -> None:
    assert parse_amdgcn(AMD) == {
        "vgprs": 120,
        "agprs": 16,
        "sgprs": 40,
        "lds_bytes": 1024,
        "scratch_bytes": 8,
        "occupancy": 3,
        "spills": 3,
        "instructions": 8,
        "matrix_instructions": 1,
        "load_widths": {"16": 2, "2": 1, "4": 1},
        "store_widths": {"2": 1, "8": 1},
    }


def test_ptx_by_hand() -> None:
    assert parse_ptx(PTX) == {
        "instructions": 6,
        "matrix_instructions": 1,
        "load_widths": {"16": 2, "2": 1},
        "store_widths": {"16": 1},
    }


def test_resource_usage_by_hand() -> None:
    report = "Resource usage:\n Function kernel: REG:96 STACK:8 SHARED:0 LOCAL:16 CONSTANT[0]:600\n"
    assert parse_resource_usage(report, "kernel") == {
        "vgprs": 96,
        "spills": 16,
        "scratch_bytes": 24,
    }
    assert parse_resource_usage(report, "other") == {}


def test_the_worker_and_the_host_share_one_reader() -> None:
    assert parse_amdgcn.__module__ == "whet_evaluator.worker.isa"
    assert importlib.util.find_spec("whet_evaluator.hardware") is not None
