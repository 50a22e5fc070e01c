"""The seeded bugs: each a small patch that turns a right kernel wrong the way real ones are."""

# ruff: noqa: ISC004 - lines of source text
from __future__ import annotations

from patches import Bug

BUGS: tuple[Bug, ...] = (
    Bug(
        name="softmax-tail-included",
        kind="identity",
        unit="softmax",
        edits=(
            (
                'mask=cols < n_cols, other=float("-inf")).to(tl.float32)\n        running_sum',
                "mask=cols < n_cols, other=0.0).to(tl.float32)\n        running_sum",
            ),
        ),
        why="0 is not the identity of a sum of exponentials: each masked lane adds exp(-max).",
    ),
    Bug(
        name="softmax-maximum-identity",
        kind="stability",
        unit="softmax",
        edits=(('tl.full((BLOCK,), float("-inf"), tl.float32)', "tl.zeros((BLOCK,), tl.float32)"),),
        why="A maximum that starts at 0: rows that are far below zero underflow to 0 / 0.",
    ),
    Bug(
        name="softmax-no-maximum",
        kind="stability",
        unit="softmax",
        edits=(("row_max = tl.max(running_max, axis=0)", "row_max = 0.0"),),
        why="The maximum dropped as if it only cost time: large logits overflow.",
    ),
    Bug(
        name="softmax-input-stride-for-output",
        kind="stride",
        unit="softmax",
        edits=(
            ("out_row = out_ptr + row * out_row_stride", "out_row = out_ptr + row * x_row_stride"),
        ),
        why="Input and output strides are the same until the input is a view of wider rows.",
    ),
    Bug(
        name="softmax-tail-block-skipped",
        kind="tail",
        unit="softmax",
        edits=(
            (
                "denominator = tl.sum(running_sum, axis=0)\n\n    for start in range(0, n_cols, BLOCK):",
                "denominator = tl.sum(running_sum, axis=0)\n\n"
                "    for start in range(0, n_cols - 1, BLOCK):",
            ),
        ),
        why="A bound one too low skips the last block when exactly one column is left for it.",
    ),
    Bug(
        name="softmax-half-precision-sum",
        kind="accumulator",
        unit="softmax",
        edits=(
            (
                "running_sum += tl.exp(x - row_max)",
                "running_sum += tl.exp(x - row_max).to(tl.float16).to(tl.float32)",
            ),
        ),
        why="Exponentials kept in half precision before they are added, to save registers.",
    ),
    Bug(
        name="softmax-nan-swallowed",
        kind="NaN handling",
        unit="softmax",
        edits=(
            (
                "        y = tl.exp(x - row_max) / denominator",
                "        y = tl.exp(x - row_max) / denominator\n        y = tl.where(y == y, y, 0.0)",
            ),
        ),
        why="NaN turned into 0 to be safe: the bad row upstream goes unnoticed.",
    ),
    Bug(
        name="cross-entropy-default-baked-in",
        kind="optional argument",
        unit="cross_entropy",
        edits=(("if target == ignore_index:", "if target == -100:"),),
        why="The default of an argument written into the kernel: nobody tested another value.",
    ),
    Bug(
        name="cross-entropy-ignored-row-left",
        kind="uninitialised",
        unit="cross_entropy",
        edits=(("        tl.store(loss_ptr + row, 0.0)\n        return", "        return"),),
        why="The early return forgets the store: torch.empty often happens to hold zeros.",
    ),
    Bug(
        name="cross-entropy-even-by-256",
        kind="mask",
        unit="cross_entropy",
        edits=(('args["n_cols"] % args["BLOCK"] == 0', 'args["n_cols"] % 256 == 0'),),
        why="The no-mask path was chosen for an older block size and never updated.",
    ),
    Bug(
        name="cross-entropy-log-sum-without-maximum",
        kind="scale",
        unit="cross_entropy",
        edits=(
            (
                "running_sum += tl.exp(logits - row_max)",
                "running_sum += tl.exp(logits - tl.maximum(row_max, 0.0))",
            ),
        ),
        why="Another shift under the sum than the one that is added back.",
    ),
    Bug(
        name="dequantize-wrong-group",
        kind="index",
        unit="dequantize",
        edits=(("scale_ptr + offsets // GROUP", "scale_ptr + (offsets + 1) // GROUP"),),
        why="Off by one at each group's end: the last weight of a group takes the next scale.",
    ),
    Bug(
        name="dequantize-unsigned",
        kind="dtype",
        unit="dequantize",
        edits=(
            ("weight = q.to(tl.float32) * scale", "weight = q.to(tl.uint8).to(tl.float32) * scale"),
        ),
        why="Bytes unpacked without their sign: negative weights come out 256 too large.",
    ),
    Bug(
        name="dequantize-rounded-scale",
        kind="accumulator",
        unit="dequantize",
        edits=(
            (
                "weight = q.to(tl.float32) * scale",
                "weight = (q.to(tl.float16) * scale.to(tl.float16)).to(tl.float32)",
            ),
        ),
        why="The product is taken in half precision, as if the output were always half.",
    ),
    Bug(
        name="flip-tail",
        kind="tail",
        unit="flip",
        edits=(("(n_cols - 1 - cols), mask=mask", "tl.maximum(n_cols - 1 - cols, 1), mask=mask"),),
        why="A clamp that was to keep the address inside keeps out the first element too.",
    ),
    Bug(
        name="flip-contiguous-assumed",
        kind="layout",
        unit="flip",
        edits=(("    x = x.contiguous()\n", ""),),
        why="The copy looked superfluous, but the kernel knows a row stride only.",
    ),
    Bug(
        name="flip-grid-floor",
        kind="tail",
        unit="flip",
        edits=(("triton.cdiv(n_cols, BLOCK))", "max(1, (n_cols + 31) // BLOCK))"),),
        why="A grid rounded to the nearest block instead of up: short tails are never written.",
    ),
    Bug(
        name="layer-norm-mean-of-block",
        kind="scale",
        unit="layer_norm",
        edits=(
            (
                "mean = tl.sum(total, axis=0) / n_cols",
                "mean = tl.sum(total, axis=0) / ((n_cols + 7) // 8 * 8)",
            ),
        ),
        why="Divides by the padded width: right whenever the width is a multiple of 8.",
    ),
    Bug(
        name="layer-norm-variance-of-padding",
        kind="mask",
        unit="layer_norm",
        edits=(
            (
                "centred = tl.where(cols < n_cols, x - mean, 0.0)",
                "centred = x - mean",
            ),
        ),
        why="Masked lanes are 0, and 0 - mean is not: each adds mean squared to the variance.",
    ),
    Bug(
        name="layer-norm-one-pass-cancels",
        kind="stability",
        unit="layer_norm",
        edits=(
            (
                "        centred = tl.where(cols < n_cols, x - mean, 0.0)\n        squares += centred * centred",
                "        squares += x * x",
            ),
            (
                "rstd = 1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)",
                "variance = tl.sum(squares, axis=0) / n_cols - mean * mean\n"
                "    rstd = 1.0 / tl.sqrt(tl.maximum(variance, 0.0) + eps)",
            ),
        ),
        why="E[x^2] - E[x]^2 loses all digits when the mean is large beside the deviation.",
    ),
    Bug(
        name="layer-norm-eps-outside",
        kind="scale",
        unit="layer_norm",
        edits=(
            (
                "1.0 / tl.sqrt(tl.sum(squares, axis=0) / n_cols + eps)",
                "1.0 / (tl.sqrt(tl.sum(squares, axis=0) / n_cols) + eps)",
            ),
        ),
        why="eps outside the root: rows of one value divide by 1e-5 instead of 3e-3.",
    ),
    Bug(
        name="layer-norm-backward-last-row",
        kind="index",
        unit="layer_norm_backward",
        edits=(
            (
                "for row in range(program, n_rows, tl.num_programs(0)):",
                "for row in range(program, n_rows // tl.num_programs(0) * tl.num_programs(0), "
                "tl.num_programs(0)):",
            ),
        ),
        why="A grid-stride loop over whole rounds only: rows past the last full round are left.",
    ),
    Bug(
        name="layer-norm-backward-bias-of-padding",
        kind="aliasing",
        unit="layer_norm_backward",
        edits=(("        dbias = torch.empty_like(dweight)", "        dbias = dweight"),),
        why="Two outputs share one buffer: the second store overwrites the first.",
    ),
    Bug(
        name="matmul-half-accumulator",
        kind="accumulator",
        unit="matmul",
        edits=(
            (
                "        acc = tl.dot(a, b, acc)",
                "        acc = tl.dot(a, b, acc).to(a_ptr.dtype.element_ty).to(tl.float32)",
            ),
        ),
        why="The accumulator takes the inputs' type: the error grows with K.",
    ),
    Bug(
        name="matmul-k-tail-unmasked",
        kind="tail",
        unit="matmul",
        edits=(
            (
                "mask=(rows[:, None] < M) & (ks[None, :] < K - k)",
                "mask=(rows[:, None] < M) & (ks[None, :] < K)",
            ),
            (
                "mask=(ks[:, None] < K - k) & (cols[None, :] < N)",
                "mask=(ks[:, None] < K) & (cols[None, :] < N)",
            ),
        ),
        why="The K mask is written for the first block: the last one reads beyond its row.",
    ),
    Bug(
        name="matmul-row-major-assumed",
        kind="stride",
        unit="matmul",
        edits=(("        b_ptrs += BLOCK_K * stride_bk", "        b_ptrs += BLOCK_K * N"),),
        why="Advances by the row length instead of the stride: wrong for any view of b.",
    ),
    Bug(
        name="matmul-last-k-block-dropped",
        kind="tail",
        unit="matmul",
        edits=(("for k in range(0, K, BLOCK_K):", "for k in range(0, K - 7, BLOCK_K):"),),
        why="A loop bound that ignores a remainder of a few columns.",
    ),
    Bug(
        name="rms-norm-residual-not-rounded",
        kind="in place",
        unit="rms_norm",
        edits=(
            (
                "        added = x + residual\n        squares += added * added",
                "        added = x + residual\n        squares += added * added\n"
                "        tl.store(residual_ptr + cols, added.to(residual_ptr.dtype.element_ty), mask=mask)",
            ),
        ),
        why="The sum is stored in the first pass already, so the second one adds x twice.",
    ),
    Bug(
        name="rms-norm-input-overwritten",
        kind="in place",
        unit="rms_norm",
        edits=(
            (
                "        tl.store(out_ptr + cols, out.to(out_ptr.dtype.element_ty), mask=mask)",
                "        tl.store(out_ptr + cols, out.to(out_ptr.dtype.element_ty), mask=mask)\n"
                "        tl.store(x_ptr + cols, added.to(x_ptr.dtype.element_ty), mask=mask)",
            ),
        ),
        why="A scratch store into the input, which the caller still needs.",
    ),
    Bug(
        name="rms-norm-weight-missing-in-tail",
        kind="identity",
        unit="rms_norm",
        edits=(
            (
                "weight = tl.load(weight_ptr + cols, mask=mask, other=0.0).to(tl.float32)",
                "weight = tl.load(weight_ptr + cols, mask=cols < n_cols // 2 * 2, other=1.0)"
                ".to(tl.float32)",
            ),
        ),
        why="A mask in pairs, for vector loads: the last column of an odd width has no weight.",
    ),
    Bug(
        name="rotary-position-of-token",
        kind="index",
        unit="rotary",
        edits=(("position = token % seq_len", "position = token % (seq_len + token // seq_len)"),),
        why="Positions drift after the first sequence of a batch.",
    ),
    Bug(
        name="rotary-second-half-reads-new",
        kind="in place",
        unit="rotary",
        edits=(
            (
                "        rotated_high = high * cos + low * sin\n"
                "        tl.store(low_ptrs, rotated_low.to(x_ptr.dtype.element_ty), mask=mask)\n",
                "        tl.store(low_ptrs, rotated_low.to(x_ptr.dtype.element_ty), mask=mask)\n"
                "        low = tl.load(low_ptrs, mask=mask, other=0.0).to(tl.float32)\n"
                "        rotated_high = high * cos + low * sin\n",
            ),
        ),
        why="The old value is loaded again after it was overwritten.",
    ),
    Bug(
        name="rotary-lanes-past-half",
        kind="mask",
        unit="rotary",
        edits=(("mask = lanes < HALF", "mask = lanes < (HALF + 15) // 16 * 16"),),
        why="A mask rounded up to a vector of 16: right for every head size that is one.",
    ),
    Bug(
        name="segment-sum-overwrites",
        kind="race",
        unit="segment_sum",
        edits=(
            (
                "tl.atomic_add(out_ptr + segment * stride_out + cols, x, mask=mask)",
                "out_ptrs = out_ptr + segment * stride_out + cols\n"
                "    tl.store(out_ptrs, tl.load(out_ptrs, mask=mask) + x, mask=mask)",
            ),
        ),
        why="A read and a store in place of the atomic: two rows of a segment race.",
        device_only="programs run one after the other on the interpreter",
    ),
    Bug(
        name="segment-sum-not-zeroed",
        kind="uninitialised",
        unit="segment_sum",
        edits=(("out = torch.zeros((n_segments", "out = torch.empty((n_segments"),),
        why="Accumulates into memory that nobody cleared: fresh pages hide it.",
    ),
    Bug(
        name="segment-sum-block-offset",
        kind="mask",
        unit="segment_sum",
        edits=(("mask = cols < n_cols", "mask = tl.arange(0, BLOCK) < n_cols"),),
        why="The mask forgets the block's offset: the last block writes into the next segment.",
    ),
    Bug(
        name="dropout-same-in-every-block",
        kind="randomness",
        unit="dropout",
        edits=(("tl.rand(seed, offsets)", "tl.rand(seed, tl.arange(0, BLOCK))"),),
        why="Random numbers by lane instead of by element: every block drops the same lanes.",
    ),
    Bug(
        name="dropout-no-scale",
        kind="scale",
        unit="dropout",
        edits=(("tl.where(keep, x / (1.0 - p), 0.0)", "tl.where(keep, x, 0.0)"),),
        why="The kept elements are not scaled up, so the mean falls.",
    ),
    Bug(
        name="dropout-seed-ignored",
        kind="randomness",
        unit="dropout",
        edits=(("tl.rand(seed, offsets)", "tl.rand(0, offsets)"),),
        why="A seed left over from debugging: every layer and step drops the same elements.",
    ),
    Bug(
        name="dropout-drops-infinity",
        kind="NaN handling",
        unit="dropout",
        edits=(
            (
                "tl.where(keep, x / (1.0 - p), 0.0)",
                "x * keep.to(tl.float32) / (1.0 - p)",
            ),
        ),
        why="A product with 0 in place of a selection: a dropped infinity becomes NaN.",
    ),
    Bug(
        name="embedding-padding-by-position",
        kind="index",
        unit="embedding",
        edits=(("tl.where(index == padding_index", "tl.where(position == padding_index"),),
        why="The position is compared where the index should be.",
    ),
    Bug(
        name="embedding-rows-packed",
        kind="stride",
        unit="embedding",
        edits=(("table_ptr + index * stride_table + cols", "table_ptr + index * n_cols + cols"),),
        why="Assumes that the table's rows are packed: wrong for a slice of a wider table.",
    ),
    Bug(
        name="embedding-int8-index",
        kind="overflow",
        unit="embedding",
        edits=(
            (
                "index = tl.load(index_ptr + position)",
                "index = tl.load(index_ptr + position).to(tl.int8)",
            ),
        ),
        why="An index cast to a type that holds only small tables.",
    ),
    Bug(
        name="prefix-sum-carry-replaced",
        kind="index",
        unit="prefix_sum",
        edits=(("carry += tl.sum(x, axis=0)", "carry = tl.sum(x, axis=0)"),),
        why="The carry of the last block only: the first two blocks are right.",
    ),
    Bug(
        name="prefix-sum-half-carry",
        kind="accumulator",
        unit="prefix_sum",
        edits=(
            (
                "carry += tl.sum(x, axis=0)",
                "carry = (carry + tl.sum(x, axis=0)).to(tl.float16).to(tl.float32)",
            ),
        ),
        why="The carry is kept in half precision between blocks.",
    ),
    Bug(
        name="axpy-rows-contiguous",
        kind="stride",
        unit="axpy",
        edits=(
            (
                "y_ptrs = y_ptr + row * stride_ym + cols * stride_yn",
                "y_ptrs = y_ptr + row * stride_ym + cols",
            ),
        ),
        why="The output's column stride is taken for 1: nobody tested a strided output.",
    ),
    Bug(
        name="axpy-store-unmasked",
        kind="mask",
        unit="axpy",
        edits=(
            (
                "tl.store(y_ptrs, (y + alpha * x).to(y_ptr.dtype.element_ty), mask=mask)",
                "tl.store(y_ptrs, (y + alpha * x).to(y_ptr.dtype.element_ty), mask=cols < n_cols + 1)",
            ),
        ),
        why="One lane too many is stored: it lands in the next row, or after the tensor.",
    ),
    Bug(
        name="axpy-cleared-first",
        kind="aliasing",
        unit="axpy",
        edits=(
            (
                "    x = tl.load(x_ptr + row * stride_xm + cols * stride_xn, mask=mask, other=0.0).to(tl.float32)\n"
                "    y = tl.load(y_ptrs, mask=mask, other=0.0).to(tl.float32)\n",
                "    y = tl.load(y_ptrs, mask=mask, other=0.0).to(tl.float32)\n"
                "    tl.store(y_ptrs, (y * 1.0).to(y_ptr.dtype.element_ty) * 0, mask=mask)\n"
                "    x = tl.load(x_ptr + row * stride_xm + cols * stride_xn, mask=mask, other=0.0).to(tl.float32)\n",
            ),
        ),
        why="The output is cleared before the input is read: wrong where they are one tensor.",
    ),
    Bug(
        name="axpy-product-rounded",
        kind="accumulator",
        unit="axpy",
        edits=(("(y + alpha * x).to(", "(y + (alpha * x).to(tl.float16).to(tl.float32)).to("),),
        why="The product is rounded to half precision before it is added.",
    ),
    Bug(
        name="reverse-whole-row",
        kind="race",
        unit="reverse",
        edits=(
            ("mask = left < n_cols // 2", "mask = left < n_cols"),
            ("    tl.store(right_ptrs, a, mask=mask)\n", ""),
            ("triton.cdiv(n_cols // 2, 64)", "triton.cdiv(n_cols, 64)"),
        ),
        why="Blocks of the whole row, each only writing its own: others were overwritten already.",
    ),
    Bug(
        name="reverse-middle-block",
        kind="tail",
        unit="reverse",
        edits=(("triton.cdiv(n_cols // 2, 64)", "(n_cols // 2 + 31) // 64"),),
        why="A grid rounded to the nearest block: a short middle part stays as it was.",
    ),
    Bug(
        name="argmax-later-of-equals",
        kind="index",
        unit="argmax",
        edits=(("tl.where(block_best > best,", "tl.where(block_best >= best,"),),
        why="Equal maxima in two blocks: the later one wins.",
    ),
    Bug(
        name="argmax-zero-identity",
        kind="identity",
        unit="argmax",
        edits=(('best = float("-inf")', "best = 0.0"),),
        why="The maximum starts at 0: rows without a positive element have none.",
    ),
    Bug(
        name="argmax-padding-wins",
        kind="identity",
        unit="argmax",
        edits=(('mask=cols < n_cols, other=float("-inf"))', "mask=cols < n_cols, other=0.0)"),),
        why="Masked lanes load 0, which is more than any element of a negative row.",
    ),
    Bug(
        name="argmax-index-in-block",
        kind="index",
        unit="argmax",
        edits=(
            (
                "block_index = start + tl.argmax(x, axis=0)",
                "block_index = (start & 255) + tl.argmax(x, axis=0)",
            ),
        ),
        why="The block's start is kept in 8 bits: columns past 256 wrap round.",
    ),
    Bug(
        name="row-stats-unbiased",
        kind="scale",
        unit="row_stats",
        edits=(
            (
                "variance = tl.sum(centred * centred, axis=0) / n_cols",
                "variance = tl.sum(centred * centred, axis=0) / tl.maximum(n_cols - 1, 1)",
            ),
        ),
        why="The unbiased variance: within 1e-2 of the other for every tested width.",
    ),
    Bug(
        name="row-stats-padding-in-variance",
        kind="mask",
        unit="row_stats",
        edits=(("tl.where(mask, x - mean, 0.0)", "x - mean"),),
        why="Masked lanes add mean squared: nothing where the mean is near zero.",
    ),
    Bug(
        name="row-stats-one-output-per-two-rows",
        kind="uninitialised",
        unit="row_stats",
        edits=(
            (
                "    row_stats_kernel[(n_rows,)](",
                "    row_stats_kernel[(n_rows // 2 * 2 or 1,)](",
            ),
        ),
        why="A grid in pairs of rows: the last of an odd number is never written.",
    ),
    Bug(
        name="quantize-truncates",
        kind="dtype",
        unit="quantize",
        edits=(("rounded = tl.floor(x / scale + 0.5)", "rounded = x / scale"),),
        why="The cast to an integer truncates, so the error doubles and leans to zero.",
    ),
    Bug(
        name="quantize-one-sided",
        kind="identity",
        unit="quantize",
        edits=(("largest = tl.maximum(largest, tl.abs(x))", "largest = tl.maximum(largest, x)"),),
        why="The largest value instead of the largest magnitude: negative rows saturate.",
    ),
    Bug(
        name="quantize-zero-row",
        kind="NaN handling",
        unit="quantize",
        edits=(
            (
                "tl.maximum(tl.max(largest, axis=0), 1e-8) / 127.0",
                "tl.max(largest, axis=0) / 127.0",
            ),
        ),
        why="A row of zeros has the scale 0 and becomes 0 / 0.",
    ),
    Bug(
        name="ragged-sum-past-length",
        kind="tail",
        unit="ragged_sum",
        edits=(("mask=tail < length", "mask=tail <= length"),),
        why="One element past the end: padding is usually zero.",
    ),
    Bug(
        name="ragged-sum-whole-blocks",
        kind="mask",
        unit="ragged_sum",
        edits=(
            (
                "n_whole = length // BLOCK * BLOCK",
                "n_whole = (length + BLOCK // 4) // BLOCK * BLOCK",
            ),
        ),
        why="Rounds to the nearest block: lengths just below one read unmasked padding.",
    ),
    Bug(
        name="transpose-unit-stride",
        kind="stride",
        unit="transpose",
        edits=(("cols[None, :] * stride_xn, mask=mask", "cols[None, :], mask=mask"),),
        why="The column stride is taken for 1: wrong for every view that is not row major.",
    ),
    Bug(
        name="transpose-scale-by-row",
        kind="axis",
        unit="transpose",
        edits=(
            (
                "scale = tl.load(scale_ptr + cols, mask=cols < N, other=0.0)",
                "scale = tl.load(scale_ptr + rows, mask=rows < M, other=0.0)",
            ),
            ("y = x * scale[None, :]", "y = x * scale[:, None]"),
        ),
        why="The factor goes along the wrong axis.",
    ),
    Bug(
        name="transpose-row-mask",
        kind="mask",
        unit="transpose",
        edits=(
            (
                "mask = (rows[:, None] < M) & (cols[None, :] < N)",
                "mask = (rows[:, None] < M + 0 * N) & (cols[None, :] < tl.cdiv(N, 2) * 2)",
            ),
        ),
        why="Columns are masked in pairs: an odd width writes one row past the output.",
    ),
    Bug(
        name="bias-gelu-bias-by-row",
        kind="broadcast",
        unit="bias_gelu",
        edits=(
            (
                "bias = tl.load(bias_ptr + cols, mask=cols < N, other=0.0).to(tl.float32)\n"
                "        x += bias[None, :]",
                "bias = tl.load(bias_ptr + rows % N, mask=rows < M, other=0.0).to(tl.float32)\n"
                "        x += bias[:, None]",
            ),
        ),
        why="The bias is broadcast along the wrong axis: equal entries hide it.",
    ),
    Bug(
        name="bias-gelu-tanh",
        kind="accumulator",
        unit="bias_gelu",
        edits=(
            (
                "y = 0.5 * x * (1.0 + tl.erf(x * 0.7071067811865476))",
                "y = x * tl.sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x))",
            ),
        ),
        why="The tanh approximation in place of the exact function: off by up to 5e-4.",
    ),
    Bug(
        name="bias-gelu-bias-forgotten",
        kind="optional argument",
        unit="bias_gelu",
        edits=(("HAS_BIAS=bias is not None", "HAS_BIAS=bias is not None and bias.numel() > 32"),),
        why="A fast path without the bias, taken for narrow rows by a wrong test.",
    ),
    Bug(
        name="bias-gelu-packed-rows",
        kind="layout",
        unit="bias_gelu",
        edits=(("x_ptr + rows[:, None] * stride_x + cols", "x_ptr + rows[:, None] * N + cols"),),
        why="The input's rows are taken for packed, as the output's are.",
    ),
    Bug(
        name="bias-gelu-shortcut-hides-nan",
        kind="NaN handling",
        unit="bias_gelu",
        edits=(
            (
                "tl.erf(x * 0.7071067811865476))\n",
                "tl.erf(x * 0.7071067811865476))\n    y = tl.where(x > -30.0, y, 0.0)\n",
            ),
        ),
        why="A shortcut for the far tail, where GELU is 0: a comparison with NaN is false.",
    ),
    Bug(
        name="histogram-tail-counts-zero",
        kind="identity",
        unit="histogram",
        edits=(("mask=offsets < n_elements, other=-1)", "mask=offsets < n_elements, other=0)"),),
        why="Masked lanes load 0 and are counted as the value 0.",
    ),
    Bug(
        name="histogram-plain-store",
        kind="race",
        unit="histogram",
        edits=(
            (
                "    tl.atomic_add(counts_ptr + x, 1, mask=inside)",
                "    count = tl.load(counts_ptr + x, mask=inside, other=0)\n"
                "    tl.store(counts_ptr + x, count + 1, mask=inside)",
            ),
        ),
        why="Load, add, store in place of the atomic: equal values of a block count once.",
    ),
    Bug(
        name="histogram-upper-bound",
        kind="index",
        unit="histogram",
        edits=(("(x >= 0) & (x < n_bins)", "(x >= 0) & (x <= n_bins)"),),
        why="One bin too many: the count lands behind the array.",
    ),
)
