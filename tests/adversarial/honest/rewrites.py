"""Honest rewrites: what an expert would accept in review. Each must be accepted.

They change tiles, passes, order of accumulation, grids, instructions and hints, and
therefore last bits; they change nothing that a caller may rely on.
"""

# ruff: noqa: ISC004 - lines of source text
from __future__ import annotations

from patches import Rewrite

REWRITES: tuple[Rewrite, ...] = (
    Rewrite(
        name="softmax-online",
        unit="softmax",
        what="one pass for maximum and denominator (online softmax)",
        edits=(
            (
                "        running_max = tl.maximum(running_max, x)\n[...]"
                "    denominator = tl.sum(running_sum, axis=0)\n",
                "        new_max = tl.maximum(running_max, tl.max(x, axis=0))\n"
                "        running_sum = running_sum * tl.exp(running_max - new_max) + tl.sum(\n"
                "            tl.exp(x - new_max), axis=0\n"
                "        )\n"
                "        running_max = new_max\n"
                "    row_max = running_max\n"
                "    denominator = running_sum\n",
            ),
            (
                'running_max = tl.full((BLOCK,), float("-inf"), tl.float32)',
                'running_max = float("-inf")\n    running_sum = 0.0',
            ),
        ),
    ),
    Rewrite(
        name="softmax-row-in-registers",
        unit="softmax",
        what="the whole row in one block: one load for three",
        edits=(
            (
                "    # Maximum of the row, for numerical stability.\n[...]"
                "        tl.store(out_row + cols, y.to(out_ptr.dtype.element_ty), mask=mask)\n",
                "    mask = offsets < n_cols\n"
                '    x = tl.load(x_row + offsets, mask=mask, other=float("-inf")).to(tl.float32)\n'
                "    numerator = tl.exp(x - tl.max(x, axis=0))\n"
                "    y = numerator / tl.sum(numerator, axis=0)\n"
                "    tl.store(out_row + offsets, y.to(out_ptr.dtype.element_ty), mask=mask)\n",
            ),
            ("n_cols, BLOCK=512)", "n_cols, BLOCK=triton.next_power_of_2(n_cols))"),
        ),
    ),
    Rewrite(
        name="softmax-exp2",
        unit="softmax",
        what="exp2 with the logarithm's factor folded in",
        edits=(
            (
                "running_sum += tl.exp(x - row_max)",
                "running_sum += tl.exp2((x - row_max) * 1.4426950408889634)",
            ),
            (
                "y = tl.exp(x - row_max) / denominator",
                "y = tl.exp2((x - row_max) * 1.4426950408889634) / denominator",
            ),
        ),
    ),
    Rewrite(
        name="softmax-reciprocal",
        unit="softmax",
        what="one division a row, then products",
        edits=(
            (
                "denominator = tl.sum(running_sum, axis=0)",
                "scale = 1.0 / tl.sum(running_sum, axis=0)",
            ),
            ("y = tl.exp(x - row_max) / denominator", "y = tl.exp(x - row_max) * scale"),
        ),
    ),
    Rewrite(
        name="softmax-wider-block",
        unit="softmax",
        what="blocks of 1024 columns and 8 warps",
        edits=(("n_cols, BLOCK=512)", "n_cols, BLOCK=1024, num_warps=8)"),),
    ),
    Rewrite(
        name="softmax-eviction-hints",
        unit="softmax",
        what="rows that are read again stay in the cache, the last read lets them go",
        edits=(
            (
                "        mask = cols < n_cols\n"
                '        x = tl.load(x_row + cols, mask=mask, other=float("-inf")).to(tl.float32)',
                "        mask = cols < n_cols\n        x = tl.load(\n"
                '            x_row + cols, mask=mask, other=float("-inf"), eviction_policy="evict_first"\n'
                "        ).to(tl.float32)",
            ),
        ),
    ),
    Rewrite(
        name="softmax-persistent",
        unit="softmax",
        what="a fixed number of programs that stride over the rows",
        edits=(
            (
                "    n_cols,\n    BLOCK: tl.constexpr,\n):",
                "    n_rows,\n    n_cols,\n    BLOCK: tl.constexpr,\n):\n    for row in range(tl.program_id(0).to(tl.int64), n_rows, tl.num_programs(0)):\n        _softmax_row(x_ptr, out_ptr, x_row_stride, out_row_stride, n_cols, row, BLOCK)\n\n\n@triton.jit\ndef _softmax_row(x_ptr, out_ptr, x_row_stride, out_row_stride, n_cols, row, BLOCK: tl.constexpr):",
            ),
            ("    row = tl.program_id(0).to(tl.int64)\n", ""),
            (
                "softmax_kernel[(n_rows,)](x, out, x.stride(0), out.stride(0), n_cols,",
                "softmax_kernel[(min(n_rows, 32),)](\n        x, out, x.stride(0), out.stride(0), n_rows, n_cols,",
            ),
        ),
    ),
    Rewrite(
        name="cross-entropy-online",
        unit="cross_entropy",
        what="maximum and sum in one pass, lane by lane",
        edits=(
            (
                "        running_max = tl.maximum(running_max, logits)\n[...]"
                "    log_sum_exp = row_max + tl.log(tl.sum(running_sum, axis=0))\n",
                "        new_max = tl.maximum(running_max, logits)\n"
                '        base = tl.where(new_max == float("-inf"), 0.0, new_max)\n'
                "        running_sum = running_sum * tl.exp(running_max - base) + tl.exp(logits - base)\n"
                "        running_max = new_max\n"
                "    row_max = tl.max(running_max, axis=0)\n"
                "    total = tl.sum(running_sum * tl.exp(running_max - row_max), axis=0)\n"
                "    log_sum_exp = row_max + tl.log(total)\n",
            ),
            (
                "    running_max = tl.full(",
                "    running_sum = tl.zeros((BLOCK,), tl.float32)\n    running_max = tl.full(",
            ),
        ),
    ),
    Rewrite(
        name="cross-entropy-always-masked",
        unit="cross_entropy",
        what="no special path without masks",
        edits=(
            (
                '    if EVEN:\n        logits = tl.load(row_ptr + cols)\n    else:\n        logits = tl.load(row_ptr + cols, mask=cols < n_cols, other=float("-inf"))\n',
                '    logits = tl.load(row_ptr + cols, mask=cols < n_cols, other=float("-inf"))\n',
            ),
        ),
    ),
    Rewrite(
        name="cross-entropy-block-4096",
        unit="cross_entropy",
        what="larger blocks and more warps",
        edits=(("BLOCK=2048,\n        num_warps=8,", "BLOCK=4096,\n        num_warps=16,"),),
    ),
    Rewrite(
        name="cross-entropy-base-2",
        unit="cross_entropy",
        what="exponentials and logarithm to base 2",
        edits=(
            (
                "running_sum += tl.exp(logits - row_max)",
                "running_sum += tl.exp2((logits - row_max) * 1.4426950408889634)",
            ),
            (
                "tl.log(tl.sum(running_sum, axis=0))",
                "tl.log2(tl.sum(running_sum, axis=0)) * 0.6931471805599453",
            ),
        ),
    ),
    Rewrite(
        name="dequantize-by-groups",
        unit="dequantize",
        what="a block of whole groups, each scale loaded once",
        edits=(
            (
                "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n[...]"
                "    tl.store(out_ptr + offsets, weight.to(out_ptr.dtype.element_ty), mask=mask)\n",
                "    GROUPS: tl.constexpr = BLOCK // GROUP\n"
                "    groups = tl.program_id(0) * GROUPS + tl.arange(0, GROUPS)\n"
                "    offsets = groups[:, None] * GROUP + tl.arange(0, GROUP)[None, :]\n"
                "    mask = offsets < n_elements\n"
                "    scale = tl.load(scale_ptr + groups, mask=groups * GROUP < n_elements, other=0.0)\n"
                "    q = tl.load(q_ptr + offsets, mask=mask, other=0)\n"
                "    weight = q.to(tl.float32) * scale[:, None]\n"
                "    tl.store(out_ptr + offsets, weight.to(out_ptr.dtype.element_ty), mask=mask)\n",
            ),
        ),
    ),
    Rewrite(
        name="dequantize-more-configurations",
        unit="dequantize",
        what="more configurations to tune over, others first",
        edits=(
            (
                '        triton.Config({"BLOCK": 1024}, num_warps=4),\n',
                '        triton.Config({"BLOCK": 4096}, num_warps=8),\n'
                '        triton.Config({"BLOCK": 1024}, num_warps=2),\n'
                '        triton.Config({"BLOCK": 1024}, num_warps=4),\n',
            ),
        ),
    ),
    Rewrite(
        name="flip-one-launch",
        unit="flip",
        what="the batch in the grid: one launch for many",
        edits=(
            (
                "    row = tl.program_id(0).to(tl.int64)\n    cols = tl.program_id(1) * BLOCK",
                "    row = tl.program_id(1).to(tl.int64)\n    cols = tl.program_id(0) * BLOCK",
            ),
            (
                "    BLOCK = 64\n[...]n_cols, BLOCK=BLOCK)\n",
                "    BLOCK = 256\n"
                "    grid = (triton.cdiv(n_cols, BLOCK), batch * n_rows)\n"
                "    flip_kernel[grid](x, out, x.stride(1), out.stride(1), n_cols, BLOCK=BLOCK)\n",
            ),
        ),
    ),
    Rewrite(
        name="flip-any-stride",
        unit="flip",
        what="strides in place of a contiguous copy",
        edits=(
            (
                "x_row_stride, out_row_stride, n_cols, BLOCK",
                "x_row_stride, x_col_stride, out_row_stride, n_cols, BLOCK",
            ),
            ("+ (n_cols - 1 - cols), mask", "+ (n_cols - 1 - cols) * x_col_stride, mask"),
            (
                "    x = x.contiguous()\n    out = torch.empty_like(x)\n",
                "    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)\n",
            ),
            ("x.stride(1), out.stride(1)", "x.stride(1), x.stride(2), out.stride(1)"),
        ),
    ),
    Rewrite(
        name="layer-norm-row-in-registers",
        unit="layer_norm",
        what="the row stays in registers: one pass over memory for three",
        edits=(
            (
                "    total = tl.zeros((BLOCK,), tl.float32)\n[...]"
                "        tl.store(y_ptr + cols, y.to(y_ptr.dtype.element_ty), mask=mask)\n",
                "    mask = offsets < n_cols\n"
                "    x = tl.load(x_ptr + offsets, mask=mask, other=0.0).to(tl.float32)\n"
                "    mean = tl.sum(x, axis=0) / n_cols\n"
                "    centred = tl.where(mask, x - mean, 0.0)\n"
                "    rstd = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=0) / n_cols + eps)\n"
                "    tl.store(mean_ptr + row, mean)\n"
                "    tl.store(rstd_ptr + row, rstd)\n"
                "    weight = tl.load(weight_ptr + offsets, mask=mask, other=0.0).to(tl.float32)\n"
                "    bias = tl.load(bias_ptr + offsets, mask=mask, other=0.0).to(tl.float32)\n"
                "    y = centred * rstd * weight + bias\n"
                "    tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask=mask)\n",
            ),
            (
                "eps, BLOCK=512, num_warps=4",
                "eps, BLOCK=triton.next_power_of_2(n_cols), num_warps=8",
            ),
        ),
    ),
    Rewrite(
        name="layer-norm-welford",
        unit="layer_norm",
        what="mean and variance in one pass, blocks merged by Chan's formula",
        edits=(
            (
                "    total = tl.zeros((BLOCK,), tl.float32)\n[...]"
                "    rstd = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)\n",
                "    mean = 0.0\n"
                "    m2 = 0.0\n"
                "    for start in range(0, n_cols, BLOCK):\n"
                "        cols = start + offsets\n"
                "        x = tl.load(x_ptr + cols, mask=cols < n_cols, other=0.0).to(tl.float32)\n"
                "        n_new = tl.minimum(n_cols - start, BLOCK).to(tl.float32)\n"
                "        block_mean = tl.sum(x, axis=0) / n_new\n"
                "        centred = tl.where(cols < n_cols, x - block_mean, 0.0)\n"
                "        delta = block_mean - mean\n"
                "        m2 += tl.sum(centred * centred, axis=0) + delta * delta * start * n_new / (start + n_new)\n"
                "        mean += delta * n_new / (start + n_new)\n"
                "    rstd = 1.0 / tl.sqrt(m2 / n_cols + eps)\n",
            ),
        ),
    ),
    Rewrite(
        name="layer-norm-rsqrt",
        unit="layer_norm",
        what="rsqrt for root and division",
        edits=(
            (
                "1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)",
                "tl.rsqrt(tl.sum(squares, axis=0) / n_cols + eps)",
            ),
        ),
    ),
    Rewrite(
        name="layer-norm-scale-first",
        unit="layer_norm",
        what="the factor of a column first, so that the rest is one multiply-add",
        edits=(
            ("y = (x - mean) * rstd * weight + bias", "y = (x - mean) * (rstd * weight) + bias"),
        ),
    ),
    Rewrite(
        name="layer-norm-backward-more-programs",
        unit="layer_norm_backward",
        what="twice the programs, so half the rows for each share",
        edits=(("n_programs = min(n_rows, 64)", "n_programs = min(n_rows, 128)"),),
    ),
    Rewrite(
        name="layer-norm-backward-one-mean",
        unit="layer_norm_backward",
        what="the two row means factored out of one product",
        edits=(
            (
                "        projection = tl.sum(x_hat * dx_hat, axis=0) / n_cols\n"
                "        average = tl.sum(dx_hat, axis=0) / n_cols\n"
                "        dx = (dx_hat - x_hat * projection - average) * rstd\n",
                "        scale = 1.0 / n_cols\n"
                "        projection = tl.sum(x_hat * dx_hat, axis=0) * scale\n"
                "        average = tl.sum(dx_hat, axis=0) * scale\n"
                "        dx = rstd * (dx_hat - (x_hat * projection + average))\n",
            ),
        ),
    ),
    Rewrite(
        name="layer-norm-backward-atomics",
        unit="layer_norm_backward",
        what="shares added up by atomics in place of a buffer and a sum",
        edits=(
            (
                "    tl.store(dweight_ptr + program * n_cols + cols, dweight, mask=mask)\n"
                "    tl.store(dbias_ptr + program * n_cols + cols, dbias, mask=mask)\n",
                "    tl.atomic_add(dweight_ptr + cols, dweight, mask=mask)\n"
                "    tl.atomic_add(dbias_ptr + cols, dbias, mask=mask)\n",
            ),
            (
                "dweight = torch.empty((n_programs, n_cols), dtype=torch.float32, device=dy.device)\n"
                "        dbias = torch.empty_like(dweight)\n",
                "dweight = torch.zeros(n_cols, dtype=torch.float32, device=dy.device)\n"
                "        dbias = torch.zeros_like(dweight)\n",
            ),
            (
                "        dweight = dweight.sum(0).to(weight.dtype)\n        dbias = dbias.sum(0).to(weight.dtype)\n",
                "        dweight = dweight.to(weight.dtype)\n        dbias = dbias.to(weight.dtype)\n",
            ),
        ),
    ),
    Rewrite(
        name="matmul-larger-tiles",
        unit="matmul",
        what="tiles of 64x64x64",
        edits=(
            ("BLOCK_M, BLOCK_N, BLOCK_K = 32, 32, 32", "BLOCK_M, BLOCK_N, BLOCK_K = 64, 64, 64"),
            (
                "        BLOCK_K=BLOCK_K,\n    )",
                "        BLOCK_K=BLOCK_K,\n        num_warps=4,\n        num_stages=3,\n    )",
            ),
        ),
    ),
    Rewrite(
        name="matmul-grouped-order",
        unit="matmul",
        what="programs in groups of tile rows, so that they share what they read",
        edits=(
            (
                "    pid_m = tl.program_id(0)\n    pid_n = tl.program_id(1)\n",
                "    n_m = tl.cdiv(M, BLOCK_M)\n"
                "    n_n = tl.cdiv(N, BLOCK_N)\n"
                "    pid = tl.program_id(0)\n"
                "    group = pid // (4 * n_n)\n"
                "    height = tl.minimum(n_m - group * 4, 4)\n"
                "    pid_m = group * 4 + pid % (4 * n_n) % height\n"
                "    pid_n = pid % (4 * n_n) // height\n",
            ),
            (
                "grid = (triton.cdiv(M, BLOCK_M), triton.cdiv(N, BLOCK_N))",
                "grid = (triton.cdiv(M, BLOCK_M) * triton.cdiv(N, BLOCK_N),)",
            ),
        ),
    ),
    Rewrite(
        name="matmul-split-k",
        unit="matmul",
        what="K split over programs that add up in float32, then one conversion",
        edits=(
            (
                "    for k in range(0, K, BLOCK_K):\n",
                "    share = tl.cdiv(tl.cdiv(K, BLOCK_K), tl.num_programs(2)) * BLOCK_K\n"
                "    first = tl.program_id(2) * share\n"
                "    a_ptrs += first * stride_ak\n"
                "    b_ptrs += first * stride_bk\n"
                "    for k in range(first, tl.minimum(first + share, K), BLOCK_K):\n",
            ),
            (
                "    tl.store(\n        c_ptrs,\n        acc.to(c_ptr.dtype.element_ty),\n"
                "        mask=(rows[:, None] < M) & (cols[None, :] < N),\n    )\n",
                "    tl.atomic_add(c_ptrs, acc, mask=(rows[:, None] < M) & (cols[None, :] < N))\n",
            ),
            (
                "c = torch.empty((M, N), device=a.device, dtype=a.dtype)",
                "c = torch.zeros((M, N), device=a.device, dtype=torch.float32)",
            ),
            ("triton.cdiv(N, BLOCK_N))\n", "triton.cdiv(N, BLOCK_N), 2)\n"),
            ("    return c\n", "    return c.to(a.dtype)\n"),
        ),
    ),
    Rewrite(
        name="matmul-wrapped-rows",
        unit="matmul",
        what="rows and columns wrap round in place of two masks in the loop",
        edits=(
            (
                "a_ptrs = a_ptr + rows[:, None] * stride_am",
                "a_ptrs = a_ptr + (rows % M)[:, None] * stride_am",
            ),
            (
                "ks[:, None] * stride_bk + cols[None, :] * stride_bn",
                "ks[:, None] * stride_bk + (cols % N)[None, :] * stride_bn",
            ),
            (
                "mask=(rows[:, None] < M) & (ks[None, :] < K - k), other=0.0)",
                "mask=ks[None, :] < K - k, other=0.0)",
            ),
            (
                "mask=(ks[:, None] < K - k) & (cols[None, :] < N), other=0.0)",
                "mask=ks[:, None] < K - k, other=0.0)",
            ),
        ),
    ),
    Rewrite(
        name="matmul-autotuned",
        unit="matmul",
        what="tiles chosen by the autotuner",
        edits=(
            (
                "@triton.jit\n",
                "@triton.autotune(\n"
                "    configs=[\n"
                '        triton.Config({"BLOCK_M": 64, "BLOCK_N": 32, "BLOCK_K": 32}, num_warps=4),\n'
                '        triton.Config({"BLOCK_M": 32, "BLOCK_N": 64, "BLOCK_K": 32}, num_warps=4),\n'
                "    ],\n"
                '    key=["M", "N", "K"],\n'
                ")\n@triton.jit\n",
            ),
            (
                "    BLOCK_M, BLOCK_N, BLOCK_K = 32, 32, 32\n"
                "    grid = (triton.cdiv(M, BLOCK_M), triton.cdiv(N, BLOCK_N))\n",
                "\n    def grid(meta):\n"
                '        return triton.cdiv(M, meta["BLOCK_M"]), triton.cdiv(N, meta["BLOCK_N"])\n\n',
            ),
            (
                "        BLOCK_M=BLOCK_M,\n        BLOCK_N=BLOCK_N,\n        BLOCK_K=BLOCK_K,\n",
                "",
            ),
        ),
    ),
    Rewrite(
        name="rms-norm-row-in-registers",
        unit="rms_norm",
        what="input and residual are read once",
        edits=(
            (
                "    squares = tl.zeros((BLOCK,), tl.float32)\n[...]"
                "        tl.store(out_ptr + cols, out.to(out_ptr.dtype.element_ty), mask=mask)\n",
                "    cols = tl.arange(0, BLOCK)\n"
                "    mask = cols < n_cols\n"
                "    x = tl.load(x_ptr + cols, mask=mask, other=0.0).to(tl.float32)\n"
                "    residual = tl.load(residual_ptr + cols, mask=mask, other=0.0).to(tl.float32)\n"
                "    weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)\n"
                "    added = x + residual\n"
                "    tl.store(residual_ptr + cols, added.to(residual_ptr.dtype.element_ty), mask=mask)\n"
                "    rrms = tl.rsqrt(tl.sum(added * added, axis=0) / n_cols + eps)\n"
                "    out = added * rrms * weight\n"
                "    tl.store(out_ptr + cols, out.to(out_ptr.dtype.element_ty), mask=mask)\n",
            ),
            ("self.eps, BLOCK=512", "self.eps, BLOCK=triton.next_power_of_2(hidden_size)"),
        ),
    ),
    Rewrite(
        name="rms-norm-fewer-columns-a-block",
        unit="rms_norm",
        what="blocks of 256 columns and 2 warps",
        edits=(("self.eps, BLOCK=512", "self.eps, BLOCK=256, num_warps=2"),),
    ),
    Rewrite(
        name="rms-norm-scaled-squares",
        unit="rms_norm",
        what="each square divided before the sum, root and division in one",
        edits=(
            ("squares += added * added", "squares += added * (added / n_cols)"),
            (
                "1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)",
                "tl.rsqrt(tl.sum(squares, axis=0) + eps)",
            ),
        ),
    ),
    Rewrite(
        name="rotary-tables-hoisted",
        unit="rotary",
        what="cosines and sines are loaded once a token, not once a head",
        edits=(
            (
                "    for head in range(n_heads):\n"
                "        cos = tl.load(cos_ptr + position * HALF + lanes, mask=mask, other=0.0)\n"
                "        sin = tl.load(sin_ptr + position * HALF + lanes, mask=mask, other=0.0)\n",
                "    cos = tl.load(cos_ptr + position * HALF + lanes, mask=mask, other=0.0)\n"
                "    sin = tl.load(sin_ptr + position * HALF + lanes, mask=mask, other=0.0)\n"
                "    for head in range(n_heads):\n",
            ),
        ),
    ),
    Rewrite(
        name="rotary-four-heads-at-once",
        unit="rotary",
        what="a block of four heads by all lanes",
        edits=(
            (
                "    for head in range(n_heads):\n[...]"
                "        tl.store(high_ptrs, rotated_high.to(x_ptr.dtype.element_ty), mask=mask)\n",
                "    cos = tl.load(cos_ptr + position * HALF + lanes, mask=mask, other=0.0)[None, :]\n"
                "    sin = tl.load(sin_ptr + position * HALF + lanes, mask=mask, other=0.0)[None, :]\n"
                "    for first in range(0, n_heads, 4):\n"
                "        heads = first + tl.arange(0, 4)\n"
                "        both = (heads < n_heads)[:, None] & mask[None, :]\n"
                "        low_ptrs = x_token + heads[:, None] * stride_head + lanes[None, :]\n"
                "        high_ptrs = low_ptrs + HALF\n"
                "        low = tl.load(low_ptrs, mask=both, other=0.0).to(tl.float32)\n"
                "        high = tl.load(high_ptrs, mask=both, other=0.0).to(tl.float32)\n"
                "        tl.store(\n"
                "            low_ptrs, (low * cos - high * sin).to(x_ptr.dtype.element_ty), mask=both\n"
                "        )\n"
                "        tl.store(\n"
                "            high_ptrs, (high * cos + low * sin).to(x_ptr.dtype.element_ty), mask=both\n"
                "        )\n",
            ),
        ),
    ),
    Rewrite(
        name="segment-sum-without-atomics",
        unit="segment_sum",
        what="one program a segment gathers its rows: no atomics, a fixed order",
        edits=(
            (
                "stride_x, stride_out, n_cols, BLOCK: tl.constexpr\n):\n[...]"
                "    tl.atomic_add(out_ptr + segment * stride_out + cols, x, mask=mask)\n",
                "stride_x, stride_out, n_cols, n_rows, BLOCK: tl.constexpr\n):\n"
                "    segment = tl.program_id(0).to(tl.int64)\n"
                "    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)\n"
                "    mask = cols < n_cols\n"
                "    acc = tl.zeros((BLOCK,), tl.float32)\n"
                "    for row in range(n_rows):\n"
                "        if tl.load(segment_ptr + row) == segment:\n"
                "            acc += tl.load(x_ptr + row * stride_x + cols, mask=mask, other=0.0).to(tl.float32)\n"
                "    tl.store(out_ptr + segment * stride_out + cols, acc, mask=mask)\n",
            ),
            ("out = torch.zeros((n_segments", "out = torch.empty((n_segments"),
            ("segment_sum_kernel[(n_rows, triton", "segment_sum_kernel[(n_segments, triton"),
            ("out.stride(0), n_cols, BLOCK=BLOCK", "out.stride(0), n_cols, n_rows, BLOCK=BLOCK"),
        ),
    ),
    Rewrite(
        name="segment-sum-narrow-blocks",
        unit="segment_sum",
        what="columns over more programs, relaxed atomics",
        edits=(
            ("x, mask=mask)", 'x, mask=mask, sem="relaxed")'),
            ("BLOCK = 128", "BLOCK = 64"),
        ),
    ),
    Rewrite(
        name="dropout-larger-blocks",
        unit="dropout",
        what="blocks of 1024: the same numbers for the same elements",
        edits=(
            (
                "dropout_kernel[(triton.cdiv(n_elements, 256),)]",
                "dropout_kernel[(triton.cdiv(n_elements, 1024),)]",
            ),
            ("seed, BLOCK=256)", "seed, BLOCK=1024, num_warps=8)"),
        ),
    ),
    Rewrite(
        name="dropout-product",
        unit="dropout",
        what="one reciprocal in place of a division for each element",
        edits=(
            ("x / (1.0 - p), 0.0)", "x * scale, 0.0)"),
            ("    keep = tl.rand", "    scale = 1.0 / (1.0 - p)\n    keep = tl.rand"),
        ),
    ),
    Rewrite(
        name="embedding-loop-over-columns",
        unit="embedding",
        what="one program a position, so the index is loaded once",
        edits=(
            (
                "    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)\n[...]"
                "    tl.store(out_ptr + position * n_cols + cols, row, mask=mask)\n",
                "    index = tl.load(index_ptr + position)\n"
                "    for start in range(0, n_cols, BLOCK):\n"
                "        cols = start + tl.arange(0, BLOCK)\n"
                "        mask = cols < n_cols\n"
                "        row = tl.load(\n"
                "            table_ptr + index * stride_table + cols,\n"
                "            mask=mask,\n"
                "            other=0.0,\n"
                '            eviction_policy="evict_last",\n'
                "        )\n"
                "        row = tl.where(index == padding_index, 0.0, row)\n"
                "        tl.store(out_ptr + position * n_cols + cols, row, mask=mask)\n",
            ),
            (
                "embedding_kernel[(index.numel(), triton.cdiv(n_cols, 128))]",
                "embedding_kernel[(index.numel(),)]",
            ),
        ),
    ),
    Rewrite(
        name="embedding-padding-skips-the-read",
        unit="embedding",
        what="rows of padding are not read at all",
        edits=(
            (
                "    row = tl.load(table_ptr + index * stride_table + cols, mask=mask, other=0.0)\n"
                "    row = tl.where(index == padding_index, 0.0, row)\n",
                "    n_read = tl.where(index == padding_index, 0, n_cols)\n"
                "    row = tl.load(table_ptr + index * stride_table + cols, mask=cols < n_read, other=0.0)\n",
            ),
        ),
    ),
    Rewrite(
        name="prefix-sum-one-block",
        unit="prefix_sum",
        what="the row in one block: no carry",
        edits=(
            (
                "x.shape[1], BLOCK=64, num_warps=2",
                "x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=4",
            ),
        ),
    ),
    Rewrite(
        name="prefix-sum-wider",
        unit="prefix_sum",
        what="blocks of 128: the sums of a block in another order",
        edits=(("x.shape[1], BLOCK=64, num_warps=2", "x.shape[1], BLOCK=128, num_warps=2"),),
    ),
    Rewrite(
        name="axpy-flat-when-packed",
        unit="axpy",
        what="packed tensors are one long row",
        edits=(
            (
                "    assert x.shape == y.shape\n    n_rows, n_cols = x.shape\n",
                "    assert x.shape == y.shape\n    result = y\n"
                "    if x.is_contiguous() and y.is_contiguous():\n"
                "        x, y = x.view(1, -1), y.view(1, -1)\n"
                "    n_rows, n_cols = x.shape\n",
            ),
            ("    return y\n", "    return result\n"),
        ),
    ),
    Rewrite(
        name="axpy-fused",
        unit="axpy",
        what="an explicit fused multiply-add, blocks of 256",
        edits=(
            ("(y + alpha * x).to(", "tl.fma(x, tl.full((BLOCK,), alpha, tl.float32), y).to("),
            ("triton.cdiv(n_cols, 128))", "triton.cdiv(n_cols, 256))"),
            ("y.stride(1), BLOCK=128", "y.stride(1), BLOCK=256"),
        ),
    ),
    Rewrite(
        name="reverse-wider-blocks",
        unit="reverse",
        what="blocks of 256 and 4 warps",
        edits=(
            ("triton.cdiv(n_cols // 2, 64)", "triton.cdiv(n_cols // 2, 256)"),
            ("BLOCK=64, num_warps=2", "BLOCK=256, num_warps=4"),
        ),
    ),
    Rewrite(
        name="reverse-persistent",
        unit="reverse",
        what="one program a row strides over the left half",
        edits=(
            (
                "    left = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)\n[...]"
                "    tl.store(right_ptrs, a, mask=mask)\n",
                "    for start in range(0, n_cols // 2, BLOCK):\n"
                "        left = start + tl.arange(0, BLOCK)\n"
                "        mask = left < n_cols // 2\n"
                "        left_ptrs = x_ptr + row * stride_row + left\n"
                "        right_ptrs = x_ptr + row * stride_row + (n_cols - 1 - left)\n"
                "        a = tl.load(left_ptrs, mask=mask)\n"
                "        b = tl.load(right_ptrs, mask=mask)\n"
                "        tl.store(left_ptrs, b, mask=mask)\n"
                "        tl.store(right_ptrs, a, mask=mask)\n",
            ),
            ("    n_blocks = max(1, triton.cdiv(n_cols // 2, 64))\n", ""),
            ("reverse_kernel[(n_rows, n_blocks)]", "reverse_kernel[(n_rows,)]"),
        ),
    ),
    Rewrite(
        name="argmax-by-lane",
        unit="argmax",
        what="each lane keeps its own best; one reduction at the end",
        edits=(
            (
                '    best = float("-inf")\n[...]        best = tl.maximum(best, block_best)\n',
                '    lane_best = tl.full((BLOCK,), float("-inf"), tl.float32)\n'
                "    lane_index = offsets\n"
                "    for start in range(0, n_cols, BLOCK):\n"
                "        cols = start + offsets\n"
                '        x = tl.load(x_ptr + row * stride_row + cols, mask=cols < n_cols, other=float("-inf"))\n'
                "        x = x.to(tl.float32)\n"
                "        better = x > lane_best\n"
                "        lane_index = tl.where(better, cols, lane_index)\n"
                "        lane_best = tl.where(better, x, lane_best)\n"
                "    best = tl.max(lane_best, axis=0)\n"
                "    best_index = tl.min(tl.where(lane_best == best, lane_index, n_cols), axis=0)\n",
            ),
        ),
    ),
    Rewrite(
        name="argmax-wider-blocks",
        unit="argmax",
        what="blocks of 256",
        edits=(("n_cols, BLOCK=128)", "n_cols, BLOCK=256, num_warps=8)"),),
    ),
    Rewrite(
        name="row-stats-loop",
        unit="row_stats",
        what="two passes over blocks of 128, for rows that do not fit into registers",
        edits=(
            (
                "    cols = tl.arange(0, BLOCK)\n[...]    tl.store(mean_ptr + row, mean)\n",
                "    offsets = tl.arange(0, BLOCK)\n"
                "    total = tl.zeros((BLOCK,), tl.float32)\n"
                "    for start in range(0, n_cols, BLOCK):\n"
                "        cols = start + offsets\n"
                "        x = tl.load(x_ptr + row * stride_row + cols, mask=cols < n_cols, other=0.0)\n"
                "        total += x.to(tl.float32)\n"
                "    mean = tl.sum(total, axis=0) / n_cols\n"
                "    squares = tl.zeros((BLOCK,), tl.float32)\n"
                "    for start in range(0, n_cols, BLOCK):\n"
                "        cols = start + offsets\n"
                "        x = tl.load(x_ptr + row * stride_row + cols, mask=cols < n_cols, other=0.0)\n"
                "        centred = tl.where(cols < n_cols, x.to(tl.float32) - mean, 0.0)\n"
                "        squares += centred * centred\n"
                "    variance = tl.sum(squares, axis=0) / n_cols\n"
                "    tl.store(mean_ptr + row, mean)\n",
            ),
            ("BLOCK=triton.next_power_of_2(n_cols)", "BLOCK=128"),
        ),
    ),
    Rewrite(
        name="row-stats-rsqrt",
        unit="row_stats",
        what="rsqrt for root and division",
        edits=(("1.0 / tl.sqrt(variance + eps)", "tl.rsqrt(variance + eps)"),),
    ),
    Rewrite(
        name="quantize-row-in-registers",
        unit="quantize",
        what="the row is read once",
        edits=(
            (
                "    largest = tl.zeros((BLOCK,), tl.float32)\n[...]"
                "        tl.store(q_ptr + row * n_cols + cols, q.to(tl.int8), mask=mask)\n",
                "    mask = offsets < n_cols\n"
                "    x = tl.load(x_ptr + row * stride_x + offsets, mask=mask, other=0.0).to(tl.float32)\n"
                "    scale = tl.maximum(tl.max(tl.abs(x), axis=0), 1e-8) / 127.0\n"
                "    tl.store(scale_ptr + row, scale)\n"
                "    q = tl.minimum(tl.maximum(tl.floor(x / scale + 0.5), -127.0), 127.0)\n"
                "    tl.store(q_ptr + row * n_cols + offsets, q.to(tl.int8), mask=mask)\n",
            ),
            ("n_cols, BLOCK=128)", "n_cols, BLOCK=triton.next_power_of_2(n_cols))"),
        ),
    ),
    Rewrite(
        name="ragged-sum-one-loop",
        unit="ragged_sum",
        what="every block masked: no separate tail",
        edits=(
            (
                "    # Whole blocks need no mask; only the tail does.\n[...]"
                "    tl.store(out_ptr + row, tl.sum(acc, axis=0))\n",
                "    acc = tl.zeros((BLOCK,), tl.float32)\n"
                "    for start in range(0, length, BLOCK):\n"
                "        cols = start + offsets\n"
                "        acc += tl.load(x_row + cols, mask=cols < length, other=0.0).to(tl.float32)\n"
                "    tl.store(out_ptr + row, tl.sum(acc, axis=0))\n",
            ),
        ),
    ),
    Rewrite(
        name="ragged-sum-wider",
        unit="ragged_sum",
        what="blocks of 512: another order of addition",
        edits=(("x.stride(0), BLOCK=128)", "x.stride(0), BLOCK=512, num_warps=4)"),),
    ),
    Rewrite(
        name="transpose-in-registers",
        unit="transpose",
        what="the tile is transposed before the store, so that both sides are coalesced",
        edits=(
            (
                "    tl.store(out_ptr + cols[None, :] * stride_on + rows[:, None] * stride_om, y, mask=mask)\n",
                "    tl.store(\n"
                "        out_ptr + cols[:, None] * stride_on + rows[None, :] * stride_om,\n"
                "        tl.trans(y),\n"
                "        mask=(cols[:, None] < N) & (rows[None, :] < M),\n"
                "    )\n",
            ),
        ),
    ),
    Rewrite(
        name="transpose-flat-tiles",
        unit="transpose",
        what="tiles of 16 x 64",
        edits=(
            (
                "grid = (triton.cdiv(M, 32), triton.cdiv(N, 32))",
                "grid = (triton.cdiv(M, 16), triton.cdiv(N, 64))",
            ),
            (
                "        BLOCK_M=32,\n        BLOCK_N=32,\n",
                "        BLOCK_M=16,\n        BLOCK_N=64,\n        num_warps=2,\n",
            ),
        ),
    ),
    Rewrite(
        name="bias-gelu-wide-tiles",
        unit="bias_gelu",
        what="tiles of 4 x 128",
        edits=(
            ("triton.cdiv(M, 16), triton.cdiv(N, 64)", "triton.cdiv(M, 4), triton.cdiv(N, 128)"),
            ("BLOCK_M=16, BLOCK_N=64", "BLOCK_M=4, BLOCK_N=128"),
        ),
    ),
    Rewrite(
        name="bias-gelu-half-first",
        unit="bias_gelu",
        what="the half distributed over the sum: one multiply-add less",
        edits=(
            (
                "y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))",
                "half = 0.5 * x\n    y = half + half * tl.erf(x * 0.7071067811865476)",
            ),
        ),
    ),
    Rewrite(
        name="histogram-grid-stride",
        unit="histogram",
        what="a few programs that stride over the input",
        edits=(
            (
                "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n[...]"
                "    tl.atomic_add(counts_ptr + x, 1, mask=inside)\n",
                "    first = tl.program_id(0) * BLOCK\n"
                "    for start in range(first, n_elements, tl.num_programs(0) * BLOCK):\n"
                "        offsets = start + tl.arange(0, BLOCK)\n"
                "        x = tl.load(x_ptr + offsets, mask=offsets < n_elements, other=-1)\n"
                "        inside = (x >= 0) & (x < n_bins)\n"
                '        tl.atomic_add(counts_ptr + x, 1, mask=inside, sem="relaxed")\n',
            ),
            (
                "histogram_kernel[(triton.cdiv(n_elements, 128),)]",
                "histogram_kernel[(min(4, triton.cdiv(n_elements, 128)),)]",
            ),
        ),
    ),
)
