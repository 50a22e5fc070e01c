"""Retrieval and the exemplars: the likest code wins, and every shipped kernel is right.

Exemplars run on Triton's interpreter and are compiled for gfx942 and sm_90, each in a
process of its own.
"""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import warm
from whet_agent.retrieval import load_exemplars, nearest, normalised_tokens, similarities

EXEMPLARS = Path(__file__).parents[2] / "agent" / "whet_agent" / "exemplars"
EXAMPLES = Path(__file__).parents[2] / "examples" / "kernels"

CHECKS = {
    "softmax_online": """
        for rows, cols in ((3, 1), (2, 7), (4, 781), (2, 9001)):
            x = torch.randn(rows, cols) * 5
            x[0, cols // 2] = float("-inf") if cols > 1 else 0.0
            close(module.softmax(x), torch.softmax(x, -1))
        wide = torch.randn(2, 9000)
        wide[0, :8500] = float("-inf")
        close(module.softmax(wide), torch.softmax(wide, -1))
        view = torch.randn(3, 200)[:, :77]
        close(module.softmax(view), torch.softmax(view, -1))
    """,
    "layer_norm_one_pass": """
        for rows, cols in ((1, 1), (3, 127), (4, 1000)):
            x, w, b = torch.randn(rows, cols) + 100, torch.randn(cols), torch.randn(cols)
            expect = torch.nn.functional.layer_norm(x, (cols,), w, b)
            close(module.layer_norm(x, w, b), expect, 1e-3)
    """,
    "matmul_grouped": """
        for m, k, n in ((1, 1, 1), (65, 33, 129), (128, 64, 64)):
            a, b = torch.randn(m, k), torch.randn(n, k).T
            close(module.matmul(a, b), a @ b, 1e-4)
    """,
    "swiglu_elementwise": """
        for n in (1, 1023, 5000):
            g, u = torch.randn(n), torch.randn(n)
            close(module.swiglu(g, u), torch.nn.functional.silu(g) * u)
    """,
    "segmented_sum": """
        x = torch.randn(50, 300)
        starts = torch.tensor([0, 0, 1, 9, 17, 50])
        expect = torch.stack([x[a:b].sum(0) for a, b in zip(starts, starts[1:])])
        close(module.segment_sum(x, starts), expect, 1e-4)
    """,
    "cross_entropy_online": """
        for rows, cols in ((1, 2), (5, 1000), (2, 9001)):
            x = torch.randn(rows, cols) * 8
            t = torch.randint(0, cols, (rows,))
            expect = torch.nn.functional.cross_entropy(x, t, reduction="none")
            close(module.cross_entropy(x, t), expect, 1e-4)
    """,
    "dequantize_int4": """
        for rows, groups, size in ((3, 5, 32), (1, 1, 128)):
            packed = torch.randint(0, 256, (rows, groups * size // 2), dtype=torch.uint8)
            scale = torch.rand(rows, groups)
            values = torch.stack([packed & 15, packed >> 4], -1).reshape(rows, -1).float() - 8
            expect = values * scale.repeat_interleave(size, 1)
            close(module.dequantize(packed, scale, torch.float32), expect)
    """,
    "transpose_tiles": """
        for m, n in ((1, 1), (65, 130), (3, 200)):
            x = torch.randn(m, n)
            assert torch.equal(module.transpose(x), x.T)
    """,
}

INTERPRET = """
import importlib.util, sys, torch
spec = importlib.util.spec_from_file_location("exemplar", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
torch.manual_seed(0)
def close(got, expect, tolerance=1e-5):
    torch.testing.assert_close(got, expect, rtol=tolerance, atol=tolerance, equal_nan=True)
"""

COMPILE = """
import importlib.util, json, sys, triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
spec = importlib.util.spec_from_file_location("exemplar", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
name, signature, constexprs = json.loads(sys.argv[2])
kernel = getattr(module, name)
places = {kernel.arg_names.index(n): v for n, v in constexprs.items()}
attrs = {(i,): [["tt.divisibility", 16]] for i, n in enumerate(kernel.arg_names)
         if signature[n] != "constexpr" and signature[n] != "fp32"}
for target in (GPUTarget("hip", "gfx942", 64), GPUTarget("cuda", 90, 32)):
    source = ASTSource(kernel, signature, {(k,): v for k, v in places.items()}, attrs)
    compiled = triton.compile(source, target=target)
    print(target.arch, sorted(compiled.asm), compiled.metadata.shared)
"""

F16, F32, I32, I64, U8 = "*fp16", "*fp32", "i32", "*i64", "*u8"
SIGNATURES = {
    "softmax_online": ("softmax_kernel", [F16, F16, I32, I32, I32], {"BLOCK": 1024, "FITS": False}),
    "layer_norm_one_pass": (
        "layer_norm_kernel", [F16, F16, F16, F16, I32, I32, "fp32"], {"BLOCK": 1024}),
    "matmul_grouped": (
        "matmul_kernel", [F16, F16, F16, *[I32] * 9],
        {"BLOCK_M": 64, "BLOCK_N": 64, "BLOCK_K": 32, "GROUP_M": 8}),
    "swiglu_elementwise": ("swiglu_kernel", [F16, F16, F16, I32], {"BLOCK": 1024}),
    "segmented_sum": ("segment_sum_kernel", [F16, I64, F16, I32], {"ROWS": 8, "BLOCK": 256}),
    "cross_entropy_online": (
        "cross_entropy_kernel", [F16, I64, F32, I32, I32], {"BLOCK": 2048}),
    "dequantize_int4": ("dequantize_kernel", [U8, F32, F16, I32], {"HALF": 32, "GROUPS": 32}),
    "transpose_tiles": (
        "transpose_kernel", [F16, F16, I32, I32, I32, I32], {"BLOCK_M": 64, "BLOCK_N": 64}),
}  # fmt: skip


def run(code: str, *arguments: str, cache: Path, interpret: bool) -> str:
    done = warm.run(
        code, *arguments, interpret=interpret,
        environ={**os.environ, "TRITON_CACHE_DIR": str(cache)}, timeout_s=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_every_exemplar_is_checked() -> None:
    assert set(load_exemplars()) == set(CHECKS) == set(SIGNATURES)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_an_exemplar_is_right_on_the_interpreter(name: str, tmp_path: Path) -> None:
    code = INTERPRET + textwrap.dedent(CHECKS[name])
    run(code, str(EXEMPLARS / f"{name}.py"), cache=tmp_path, interpret=True)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_an_exemplar_compiles_for_both_makers(name: str, tmp_path: Path) -> None:
    kernel, types, constexprs = SIGNATURES[name]
    text = load_exemplars()[name]
    start = text.index("(", text.index(f"def {kernel}")) + 1
    listed = text[start : text.index("):", start)].split(",")
    names = [one.split(":")[0].strip() for one in listed if one.strip()]
    signature = dict(zip(names, [*types, *["constexpr"] * len(constexprs)], strict=True))
    given = json.dumps([kernel, signature, constexprs])
    said = run(COMPILE, str(EXEMPLARS / f"{name}.py"), given, cache=tmp_path, interpret=False)
    assert "gfx942" in said
    assert "amdgcn" in said
    assert "ptx" in said


@pytest.mark.parametrize(
    ("example", "expect"),
    [
        ("softmax", {"softmax_online", "cross_entropy_online"}),
        ("cross_entropy", {"cross_entropy_online"}),
        ("layer_norm", {"layer_norm_one_pass"}),
        ("rms_norm", {"layer_norm_one_pass"}),
        ("matmul", {"matmul_grouped"}),
        ("transpose_scale", {"transpose_tiles"}),
        ("dequantize", {"dequantize_int4", "swiglu_elementwise"}),
        ("masked_sum", {"segmented_sum"}),
    ],
)
def test_the_likest_code_is_found(example: str, expect: set[str]) -> None:
    ranked = similarities((EXAMPLES / f"{example}.py").read_text("utf-8"))
    assert next(iter(ranked)) in expect, ranked


def test_names_comments_and_layout_do_not_count() -> None:
    code = load_exemplars()["matmul_grouped"]
    renamed = code.replace("rows", "lines").replace("acc", "total").replace("    ", "\t")
    assert similarities(renamed)["matmul_grouped"] == pytest.approx(1.0)
    assert nearest(renamed) == (code,)


def test_a_corpus_may_be_given_and_ties_go_by_name() -> None:
    corpus = {"b": "tl.load(x)", "a": "tl.load(x)", "c": "tl.dot(x, y)"}
    assert list(similarities("tl.load(p)", corpus=corpus)) == ["a", "b", "c"]
    assert nearest("", count=2, corpus=corpus) == ("tl.load(x)", "tl.load(x)")
    assert nearest("tl.load(x)", corpus={}) == ()


@given(st.text())
def test_any_text_has_tokens(text: str) -> None:
    assert isinstance(normalised_tokens(text), list)
