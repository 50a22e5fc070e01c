"""Without a clock the sweep keeps what counting can tell apart."""

from __future__ import annotations

from whet_agent.candidates.countable import countable
from whet_agent.candidates.drafts import Draft


def check(strategies: list[str], kept: list[str]) -> None:
    drafts = [Draft(label="launch", strategy=words, text=words) for words in strategies]
    assert [draft.strategy for draft in countable(drafts)] == kept


def test_block_sizes_count_and_warps_do_not():
    check(
        [
            "BLOCK 64 -> 128",
            "num_warps 4 (default) -> 8",
            "num_stages=3",
            "waves_per_eu=2",
            "matrix_instr_nonkdim=16, waves_per_eu=2",
            'cache_modifier=".cs" on loads that are used once',
            "autotune over 6 more configurations",
            "BLOCK 64 -> 256, num_warps 4 (default) -> 8",
            "BLOCK 1024, 2048, 512 -> 256, 512, 128",
        ],
        [
            "BLOCK 64 -> 128",
            "BLOCK 64 -> 256, num_warps 4 (default) -> 8",
            "BLOCK 1024, 2048, 512 -> 256, 512, 128",
        ],
    )


def test_one_variant_stands_for_all_with_its_sizes():
    check(
        [
            "BLOCK_M 32 -> 64, BLOCK_N 32 -> 64",
            "BLOCK_M 32 -> 64, BLOCK_N 32 -> 64, num_warps 4 (default) -> 8",
            "num_warps 4 -> 8, BLOCK_M 32 -> 64",
            "BLOCK_M 32 -> 64",
            "BLOCK_K=64",
        ],
        ["BLOCK_M 32 -> 64, BLOCK_N 32 -> 64", "num_warps 4 -> 8, BLOCK_M 32 -> 64", "BLOCK_K=64"],
    )


def test_the_real_sweeps_words_are_understood():
    from whet_agent.candidates.sweep import sweep_variants
    from whet_agent.source.units import unit_of

    text = (
        "import triton\nimport triton.language as tl\n\n\n@triton.jit\n"
        "def k(x_ptr, n, BLOCK: tl.constexpr):\n"
        "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
        "    x = tl.load(x_ptr + offsets, mask=offsets < n)\n"
        "    tl.store(x_ptr + offsets, x * 2, mask=offsets < n)\n\n\n"
        "def launch(x):\n    n = x.numel()\n"
        "    k[(triton.cdiv(n, 64),)](x, n, BLOCK=64)\n"
    )
    unit = unit_of(text, "k.py", "k")
    variants = sweep_variants(text, unit, "gfx942")
    kept = list(countable(variants))
    assert 0 < len(kept) < len(variants)
    assert all("BLOCK" in variant.strategy for variant in kept)
