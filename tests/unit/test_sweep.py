"""The sweep: what it changes, and above all what it leaves alone."""

from __future__ import annotations

import ast
import difflib
import io
import textwrap
import tokenize
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whet_agent.candidates.launch_sites import OPTIONS
from whet_agent.candidates.screen import Screened, screen
from whet_agent.candidates.sweep import MAX_VARIANTS, Variant, sweep_variants
from whet_agent.source.units import parse_units, unit_of

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "kernels").glob("*.py"))
HEAD = "import torch\nimport triton\nimport triton.language as tl\n"

ADD = """
@triton.jit
def add(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + offs, mask=offs < n)
    tl.store(y_ptr + offs, x, mask=offs < n)
"""

ROWS = """
@triton.jit
def rows(x_ptr, y_ptr, stride, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    acc = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        cols = start + tl.arange(0, BLOCK)
        acc += tl.load(x_ptr + row * stride + cols, mask=cols < n, other=0.0)
    tl.store(y_ptr + row, tl.sum(acc, axis=0))
"""


def sweep(source: str, kernel: str, arch: str | None = "sm_90") -> tuple[Variant, ...]:
    text = HEAD + textwrap.dedent(source)
    unit = unit_of(text, "k.py", kernel)
    assert unit is not None
    variants = sweep_variants(text, unit, arch)
    check_honest(text, variants)
    for variant in variants:
        judged = screen(unit, variant.text, ())
        assert isinstance(judged, Screened), (variant.strategy, judged)
    return variants


def check_honest(text: str, variants: tuple[Variant, ...]) -> None:
    """Only numbers change; what is added is an option, a hint or a configuration."""
    assert len({v.text for v in variants} | {text}) == len(variants) + 1
    assert len(variants) <= MAX_VARIANTS
    for variant in variants:
        ast.parse(variant.text)
        assert variant.label == "launch"
        assert variant.strategy
        old, new = _tokens(text), _tokens(variant.text)
        for kind, a, b, c, d in difflib.SequenceMatcher(
            None, old, new, autojunk=False
        ).get_opcodes():
            if kind == "equal":
                continue
            removed, added = old[a:b], new[c:d]
            assert all(token.isdigit() or token == "SIZE" for token in removed), removed
            if not (len(removed) == len(added) and all(token.isdigit() for token in added)):
                _check_added(added)


def _check_added(tokens: list[str]) -> None:
    words = {t for t in tokens if t.isidentifier()}
    sizes = {t for t in tokens if t[:1] in "\"'"}
    allowed = {*OPTIONS, "triton", "Config", "cache_modifier", "eviction_policy"}
    assert words <= allowed, tokens
    options = {f'"{name}"' for name in OPTIONS}
    assert all("BLOCK" in t or t in options or t in {'".cs"', '"evict_first"'} for t in sizes), (
        tokens
    )


def _tokens(text: str) -> list[str]:
    skip = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}
    return [
        t.string for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in skip
    ]


def check(source: str, kernel: str, *expect: str, absent: str = "BLOCK") -> tuple[Variant, ...]:
    """Every `expect` is a line of some variant that the original lacks; no strategy names `absent`."""
    variants = sweep(source, kernel)
    assert variants
    for line in expect:
        assert any(line in v.text for v in variants), (line, [v.strategy for v in variants])
    if not expect:
        assert not any(absent in v.strategy for v in variants), [v.strategy for v in variants]
    return variants


def test_a_literal_at_the_launch_with_a_grid_of_meta() -> None:
    check(
        ADD
        + """
def launch(x, y, n):
    add[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, y, n, BLOCK=256, num_warps=4)
""",
        "add",
        "BLOCK=512, num_warps=4)",
        "BLOCK=1024, num_warps=8)",
        "BLOCK=256, num_warps=2)",
    )


def test_a_grid_function_of_meta() -> None:
    check(
        ADD
        + """
def launch(x, y, n):
    def grid(META):
        return (triton.cdiv(n, META['BLOCK']),)
    add[grid](x, y, n, BLOCK=256)
""",
        "add",
        "BLOCK=512)",
        "BLOCK=256, num_warps=8)",
    )


def test_a_local_constant_feeds_grid_and_launch() -> None:
    variants = check(
        ADD
        + """
def launch(x, y, n):
    BLOCK = 256
    grid = (triton.cdiv(n, BLOCK),)
    add[grid](x, y, n, BLOCK=BLOCK)
""",
        "add",
        "BLOCK = 512\n",
    )
    assert all("BLOCK=BLOCK" in v.text for v in variants)


def test_a_grid_through_another_variable() -> None:
    check(
        ADD
        + """
def launch(x, y, n):
    size = 256
    blocks = triton.cdiv(n, size)
    grid = (blocks, 1, 1)
    add[grid](x, y, n, size)
""",
        "add",
        "size = 512\n",
    )


@pytest.mark.parametrize("value", ["256", "tl.constexpr(256)"])
def test_a_module_constant_is_written_out_where_this_unit_reads_it(value: str) -> None:
    """The constant lies outside the unit, which nothing may change."""
    variants = check(
        f"SIZE = {value}"
        + ADD
        + """
def launch(x, y, n):
    add[(triton.cdiv(n, SIZE),)](x, y, n, BLOCK=SIZE)
""",
        "add",
        "add[(triton.cdiv(n, 512),)](x, y, n, BLOCK=512)",
    )
    assert all(f"SIZE = {value}\n" in v.text for v in variants)


def test_a_module_constant_that_others_read_is_left_alone() -> None:
    check(
        "SIZE = 256"
        + ADD
        + """
def launch(x, y, n):
    add[(triton.cdiv(n, SIZE),)](x, y, n, BLOCK=SIZE)

def padded(n):
    return n + SIZE
""",
        "add",
        absent="SIZE",
    )


def test_the_same_literal_in_grid_and_launch_changes_in_both() -> None:
    variants = check(
        ADD
        + """
def launch(x, y, n):
    add[(triton.cdiv(n, 256),)](x, y, n, BLOCK=256)
""",
        "add",
        "add[(triton.cdiv(n, 512),)](x, y, n, BLOCK=512)",
    )
    for v in variants:
        if "BLOCK" in v.strategy:
            assert "256" not in v.text


def test_a_literal_spelled_a_third_time_is_left_alone() -> None:
    check(
        ADD
        + """
def launch(x, y, n):
    partial = torch.empty(n // 256)
    add[(triton.cdiv(n, 256),)](x, y, n, BLOCK=256)
""",
        "add",
    )


def test_a_grid_that_would_not_follow_is_left_alone() -> None:
    check(
        ADD
        + """
def launch(x, y, n):
    add[(x.numel_of_blocks(),)](x, y, n, BLOCK=256)
""",
        "add",
    )
    check(
        ADD
        + """
def launch(x, y, n, BLOCK=256):
    add[(triton.cdiv(n, BLOCK),)](x, y, n, BLOCK=BLOCK)
""",
        "add",
    )


def test_a_computed_size_is_left_alone() -> None:
    check(
        ROWS
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=triton.next_power_of_2(n))
""",
        "rows",
    )


def test_a_size_that_must_cover_the_row_is_left_alone() -> None:
    check(
        """
@triton.jit
def whole(x_ptr, y_ptr, stride, n, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride + cols, mask=cols < n, other=0.0)
    tl.store(y_ptr + row, tl.sum(x, axis=0))

def launch(x, y, n):
    assert n <= 1024
    whole[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=1024)
""",
        "whole",
    )


def test_a_size_with_meaning_is_left_alone() -> None:
    check(
        """
@triton.jit
def dequant(q_ptr, s_ptr, y_ptr, n, BLOCK_GROUP: tl.constexpr, SIZE: tl.constexpr):
    offs = tl.program_id(0) * SIZE + tl.arange(0, SIZE)
    q = tl.load(q_ptr + offs, mask=offs < n)
    s = tl.load(s_ptr + offs // BLOCK_GROUP, mask=offs < n)
    tl.store(y_ptr + offs, q * s, mask=offs < n)

def launch(q, s, y, n):
    dequant[lambda m: (triton.cdiv(n, m["SIZE"]),)](q, s, y, n, BLOCK_GROUP=128, SIZE=256)
""",
        "dequant",
        absent="BLOCK_GROUP",
    )


def test_loop_steps_positional_arguments_and_defaults() -> None:
    check(
        ROWS
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](x, y, x.stride(0), n, 512)
""",
        "rows",
        "x.stride(0), n, 1024)",
        "x.stride(0), n, 512, num_warps=8)",
    )
    check(
        ROWS.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr = 512")
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](x, y, x.stride(0), n)
""",
        "rows",
        "BLOCK: tl.constexpr = 1024)",
    )


def test_a_launch_in_many_lines_keeps_its_style() -> None:
    source = (
        ROWS
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](
        x, y, x.stride(0), n,
        BLOCK=512,  # a comment
    )
"""
    )
    check(source, "rows", "        BLOCK=512,\n        num_warps=8,  # a comment\n    )\n")
    tabs = check(source.replace("    ", "\t"), "rows", "\t\tBLOCK=512,\n\t\tnum_warps=8,  # a")
    assert not any("\n        num_warps" in v.text for v in tabs)


def test_crlf_files_keep_their_line_ends() -> None:
    text = (HEAD + ROWS + "\ndef launch(x, y, n):\n    rows[(4,)](\n        x,\n        y,\n"
            "        4,\n        n,\n        BLOCK=512,\n    )\n").replace("\n", "\r\n")  # fmt: skip
    unit = unit_of(text, "k.py", "rows")
    assert unit is not None
    variants = sweep_variants(text, unit, "gfx942")
    assert any("waves_per_eu=2,\r\n" in v.text for v in variants)
    assert all(v.text.count("\n") == v.text.count("\r\n") for v in variants)


def test_non_ascii_before_the_launch() -> None:
    check(
        "# größer λ 🚀\n"
        + ROWS
        + """
def launch(x, y, n):
    "größer"
    rows[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=512)
""",
        "rows",
        "n, BLOCK=1024)",
    )


def test_splats_and_unreadable_options_are_left_alone() -> None:
    variants = sweep(
        ROWS
        + """
def launch(x, y, n, **options):
    rows[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=512, **options)
""",
        "rows",
    )
    assert [v for v in variants if "num_warps" in v.strategy] == []
    assert any("BLOCK=1024" in v.text for v in variants)
    variants = sweep(
        ROWS
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=512, num_warps=warps_for(n))
""",
        "rows",
    )
    assert [v for v in variants if "num_warps" in v.strategy] == []


def test_two_launches_change_together_or_not_at_all() -> None:
    both = """
def launch(x, y, n):
    if x.is_cuda:
        rows[(x.shape[0],)](x, y, x.stride(0), n, BLOCK=512)
    else:
        rows[(x.shape[0],)](x, y, 1, n, BLOCK={other})
"""
    for variant in check(ROWS + both.format(other=512), "rows", "1, n, BLOCK=1024)"):
        assert variant.text.count("BLOCK=512") in {0, 2}
    check(ROWS + both.format(other=256), "rows")


TUNED = """
@triton.autotune(
    configs=[
        triton.Config({"BLOCK": 256}, num_warps=4),
        triton.Config({"BLOCK": 1024}, num_warps=8),
    ],
    key=["n"],
)
""" + ADD.lstrip("\n") + """
def launch(x, y, n):
    add[lambda meta: (triton.cdiv(n, meta["BLOCK"]),)](x, y, n)
"""  # fmt: skip


def test_an_autotune_list_grows_and_scales() -> None:
    variants = check(
        TUNED, "add",
        '        triton.Config({"BLOCK": 256}, num_warps=8),\n',
        'triton.Config({"BLOCK": 512}, num_warps=4),\n        triton.Config({"BLOCK": 2048}',
    )  # fmt: skip
    first = variants[0]
    assert first.strategy == "autotune over 6 more configurations"
    assert first.text.count("triton.Config(") == 8
    assert TUNED.split("configs=[")[1].split("    ],")[0].rstrip(",\n ") in first.text
    assert not any("num_warps" in v.text.split("def launch")[1] for v in variants)


def test_a_backends_options_go_into_a_configs_table() -> None:
    texts = [v.text for v in sweep(TUNED, "add", "gfx942")]
    assert any('triton.Config({"BLOCK": 256, "waves_per_eu": 2}, num_warps=4)' in t for t in texts)


def test_an_autotune_list_in_one_line_and_one_that_is_computed() -> None:
    one = TUNED.replace("\n        triton", " triton").replace(",\n    ],", "],")
    assert any("autotune over" in v.strategy for v in sweep(one, "add"))
    computed = TUNED.replace("configs=[", "configs=[c for c in [").replace("    ],", "    ]],")
    assert sweep(computed, "add") == () or all(
        "num_warps" not in v.strategy for v in sweep(computed, "add")
    )


def test_heuristics_decide_for_themselves() -> None:
    check(
        '@triton.heuristics({"BLOCK": lambda a: 64, "num_warps": lambda a: 4})'
        + ROWS.replace("\n@", "\n@", 1)
        + """
def launch(x, y, n):
    rows[(x.shape[0],)](x, y, x.stride(0), n)
""",
        "rows",
        absent="num_warps",
    )


MATMUL = """
@triton.jit
def mm(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
       BLOCK_K: tl.constexpr, GROUP_M: tl.constexpr):
    pid = tl.program_id(0)
    num_m = tl.cdiv(M, BLOCK_M)
    num_n = tl.cdiv(N, BLOCK_N)
    width = GROUP_M * num_n
    first = pid // width * GROUP_M
    size = min(num_m - first, GROUP_M)
    pid_m = first + pid % size
    pid_n = pid % width // size
    rm = pid_m * BLOCK_M + tl.arange(0, BLOCK_M)
    rn = pid_n * BLOCK_N + tl.arange(0, BLOCK_N)
    rk = tl.arange(0, BLOCK_K)
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for k in range(0, tl.cdiv(K, BLOCK_K)):
        a = tl.load(a_ptr + rm[:, None] * K + rk[None, :], mask=rk[None, :] < K - k * BLOCK_K)
        b = tl.load(b_ptr + rk[:, None] * N + rn[None, :], mask=rk[:, None] < K - k * BLOCK_K)
        acc += tl.dot(a, b)
    tl.store(c_ptr + rm[:, None] * N + rn[None, :], acc)

def matmul(a, b, c, M, N, K):
    grid = lambda META: (triton.cdiv(M, META["BLOCK_M"]) * triton.cdiv(N, META["BLOCK_N"]),)
    mm[grid](a, b, c, M, N, K, BLOCK_M=32, BLOCK_N=32, BLOCK_K=32, GROUP_M=4)
"""


def test_matmul_tiles_and_amd_options_only_on_amd() -> None:
    nvidia = check(MATMUL, "mm", "BLOCK_M=64, BLOCK_N=64, BLOCK_K=32, GROUP_M=4",
                   "BLOCK_M=128, BLOCK_N=128, BLOCK_K=64, GROUP_M=4, num_warps=8", "GROUP_M=8")  # fmt: skip
    assert not any(o in v.text for v in nvidia for o in ("waves_per_eu", "nonkdim", "kpack"))
    gfx942 = [v.strategy for v in sweep(MATMUL, "mm", "gfx942")]
    gfx950 = [v.strategy for v in sweep(MATMUL, "mm", "gfx950")]
    assert any("matrix_instr_nonkdim=16" in s for s in gfx942)
    assert any("waves_per_eu=2" in s for s in gfx950)
    assert not any("kpack" in s for s in gfx950)
    plain = [
        v.strategy
        for v in sweep(
            ROWS
            + """
def launch(x, y, n):
    rows[(4,)](x, y, 1, n, BLOCK=512)
""",
            "rows",
            "gfx942",
        )
    ]
    assert any("waves_per_eu" in s for s in plain)
    assert not any("matrix_instr" in s for s in plain), "there is no tl.dot"
    assert [v.strategy for v in sweep(MATMUL, "mm", None)] == [v.strategy for v in nvidia]


def test_caching_hints_only_for_data_used_once() -> None:
    launch = """
def launch(x, y, n):
    add[lambda m: (triton.cdiv(n, m["BLOCK"]),)](x, y, n, BLOCK=256)
"""
    hinted = [v for v in sweep(ADD + launch, "add") if "used once" in v.strategy]
    assert len(hinted) == 1
    assert 'tl.load(x_ptr + offs, mask=offs < n, eviction_policy="evict_first")' in hinted[0].text
    amd = [v for v in sweep(ADD + launch, "add", "gfx942") if "used once" in v.strategy]
    assert 'cache_modifier=".cs"' in amd[0].text
    own = ADD.replace(
        "mask=offs < n)\n    tl.store", 'mask=offs < n, cache_modifier=".cg")\n    tl.store'
    )
    assert not [v for v in sweep(own + launch, "add") if "used once" in v.strategy]


def test_other_units_of_the_file_are_never_touched() -> None:
    source = (
        ADD
        + ROWS
        + """
def launch_add(x, y, n):
    add[lambda m: (triton.cdiv(n, m["BLOCK"]),)](x, y, n, BLOCK=256)

def launch_rows(x, y, n):
    rows[(4,)](x, y, 1, n, BLOCK=512)
"""
    )
    for variant in sweep(source, "rows"):
        assert "x, y, n, BLOCK=256)" in variant.text
        assert "tl.load(x_ptr + offs, mask=offs < n)\n" in variant.text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("arch", ["gfx942", "sm_90"])
def test_the_examples(path: Path, arch: str) -> None:
    text = path.read_text("utf-8")
    for kernel in parse_units(text, path.name):
        unit = unit_of(text, path.name, kernel.qualname)
        assert unit is not None
        variants = sweep_variants(text, unit, arch)
        check_honest(text, variants)
        assert variants == sweep_variants(text, unit, arch)
        assert bool(variants) == bool(kernel.direct), "a kernel launched here has something to try"


@given(st.integers(0, len(MATMUL)), st.integers(0, 40), st.text(max_size=10))
def test_broken_text_never_raises(start: int, length: int, junk: str) -> None:
    text = HEAD + MATMUL[:start] + junk + MATMUL[start + length :]
    for kernel in parse_units(text, "k.py"):
        unit = unit_of(text, "k.py", kernel.qualname)
        if unit is not None:
            sweep_variants(text, unit, "gfx942")


def test_a_kernel_launched_from_another_file_has_only_its_defaults():
    """And of those only the ones that no grid, which is out of sight, could depend on."""
    given = sweep(ROWS.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr = 256"), "rows")
    assert {variant.strategy for variant in given} >= {"BLOCK 256 -> 512", "BLOCK 256 -> 128"}
    assert all("= 256" not in variant.text for variant in given)
    assert sweep(ROWS, "rows") == ()
    scaling = sweep(ADD.replace("BLOCK: tl.constexpr", "BLOCK: tl.constexpr = 256"), "add")
    assert not any("BLOCK" in variant.strategy for variant in scaling)
