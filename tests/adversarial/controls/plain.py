"""Rewrites of the usual kinds: tiles, masks, widths, loops, helpers, tuning."""

from __future__ import annotations

from corpus import Control, edited, original

_ADD = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"
_ADD_BODY = (
    "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
    "    mask = offsets < n\n"
    "    total = tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask)\n"
    "    tl.store(out_ptr + offsets, total, mask=mask)\n"
)
_SCALE = "    scale_kernel[(triton.cdiv(n, 64),)](x, n, factor, BLOCK=64)\n"
_SOFTMAX = "    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block)\n"

CONTROLS = (
    Control(
        name="the original with a comment", unit="softmax", text=original("softmax") + "# same\n"
    ),
    Control(
        name="another BLOCK",
        unit="add",
        text=edited("add", (_ADD, _ADD.replace("64", "256"))),
    ),
    Control(
        name="more warps",
        unit="add",
        text=edited("add", (_ADD, _ADD.replace("BLOCK=64", "BLOCK=64, num_warps=8"))),
    ),
    Control(
        name="in-place, bigger tiles",
        unit="scale",
        text=edited("scale", (_SCALE, _SCALE.replace("64", "128"))),
    ),
    Control(
        name="what warmup compiled is launched",
        unit="add",
        clock=True,
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    compiled = add_kernel.warmup(x, y, out, n, BLOCK=256, num_warps=8, grid=(1,))\n"
                    "    compiled[(triton.cdiv(n, 256), 1, 1)](x, y, out, n, 256)\n"
                ),
            ),
        ),
    ),
    Control(
        name="a grid-stride loop",
        unit="add",
        text=edited(
            "add",
            (_ADD, "    add_kernel[(2,)](x, y, out, n, 2, BLOCK=64)\n"),
            ("out_ptr, n, BLOCK", "out_ptr, n, n_programs, BLOCK"),
            (
                _ADD_BODY,
                (
                    "    for start in range(tl.program_id(0) * BLOCK, n, n_programs * BLOCK):\n"
                    "        offsets = start + tl.arange(0, BLOCK)\n"
                    "        mask = offsets < n\n"
                    "        total = tl.load(x_ptr + offsets, mask=mask)"
                    " + tl.load(y_ptr + offsets, mask=mask)\n"
                    "        tl.store(out_ptr + offsets, total, mask=mask)\n"
                ),
            ),
        ),
    ),
    Control(
        name="the mask written the other way, with other=0",
        unit="add",
        text=edited(
            "add",
            ("    mask = offsets < n\n", "    mask = n > offsets\n"),
            (
                "tl.load(x_ptr + offsets, mask=mask)",
                "tl.load(x_ptr + offsets, mask=mask, other=0.0)",
            ),
        ),
    ),
    Control(
        name="two elements a lane, loaded as one tile",
        unit="add",
        text=edited(
            "add",
            (_ADD, "    add_kernel[(triton.cdiv(n, 128),)](x, y, out, n, BLOCK=64)\n"),
            (
                "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n",
                (
                    "    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
                    "    offsets = rows[:, None] * 2 + tl.arange(0, 2)[None, :]\n"
                ),
            ),
        ),
    ),
    Control(
        name="a hint that addresses are aligned within a block",
        unit="add",
        text=edited(
            "add",
            (
                "    mask = offsets < n\n",
                (
                    "    offsets = tl.max_contiguous(tl.multiple_of(offsets, BLOCK), BLOCK)\n"
                    "    mask = offsets < n\n"
                ),
            ),
        ),
    ),
    Control(
        name="a new jit helper",
        unit="softmax",
        text=edited(
            "softmax",
            ("    x = tl.exp(x - tl.max(x, axis=0))\n", "    x = _shifted_exp(x)\n"),
            top="\n\n@triton.jit\ndef _shifted_exp(x):\n    return tl.exp(x - tl.max(x, axis=0))\n",
        ),
    ),
    Control(
        name="exponentials in base two",
        unit="softmax",
        text=edited(
            "softmax",
            (
                "tl.exp(x - tl.max(x, axis=0))",
                "tl.exp2((x - tl.max(x, axis=0)) * 1.4426950408889634)",
            ),
        ),
    ),
    Control(
        name="a multiplication by the reciprocal",
        unit="softmax",
        text=edited("softmax", ("x / tl.sum(x, axis=0)", "x * (1.0 / tl.sum(x, axis=0))")),
    ),
    Control(
        name="several rows a program",
        unit="softmax",
        text=edited(
            "softmax",
            (
                _SOFTMAX,
                (
                    "    n_rows = x.shape[0]\n"
                    "    softmax_kernel[(triton.cdiv(n_rows, 4),)](\n"
                    "        x, out, x.stride(0), x.shape[1], n_rows, BLOCK=block, ROWS=4\n    )\n"
                ),
            ),
            (
                "n_cols, BLOCK: tl.constexpr",
                "n_cols, n_rows, BLOCK: tl.constexpr, ROWS: tl.constexpr",
            ),
            (
                (
                    "    row = tl.program_id(0)\n    columns = tl.arange(0, BLOCK)\n"
                    "    mask = columns < n_cols\n"
                ),
                (
                    "    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS))[:, None]\n"
                    "    columns = tl.arange(0, BLOCK)[None, :]\n"
                    "    mask = (row < n_rows) & (columns < n_cols)\n"
                ),
            ),
            ("tl.max(x, axis=0)", "tl.max(x, axis=1)[:, None]"),
            ("tl.sum(x, axis=0)", "tl.sum(x, axis=1)[:, None]"),
        ),
    ),
    Control(
        name="the product with bigger tiles and swapped program ids",
        unit="matmul",
        text=edited(
            "matmul",
            ("rows = tl.program_id(0)", "rows = tl.program_id(1)"),
            ("columns = tl.program_id(1)", "columns = tl.program_id(0)"),
            (
                "(triton.cdiv(m, 16), triton.cdiv(n, 16))",
                "(triton.cdiv(n, 32), triton.cdiv(m, 32))",
            ),
            ("n, k, BLOCK=16", "n, k, BLOCK=32"),
        ),
    ),
    Control(
        name="the accumulator handed to tl.dot",
        unit="matmul",
        text=edited(
            "matmul",
            (
                'total += tl.dot(a, b, input_precision="ieee")',
                'total = tl.dot(a, b, total, input_precision="ieee")',
            ),
        ),
    ),
    Control(
        name="another tile in the forward of an autograd function",
        unit="square",
        text=edited(
            "square",
            (
                "square_kernel[(triton.cdiv(x.numel(), 128),)](x, out, x.numel(), BLOCK=128)",
                "square_kernel[(triton.cdiv(x.numel(), 256),)](x, out, x.numel(), BLOCK=256)",
            ),
        ),
    ),
    Control(
        name="a method's kernel by the reciprocal root",
        unit="norm",
        text=edited(
            "norm",
            (
                "1.0 / tl.sqrt(tl.sum(x * x, axis=0) / n_cols + eps)",
                "tl.rsqrt(tl.sum(x * x, axis=0) / n_cols + eps)",
            ),
        ),
    ),
    Control(
        name="a default for the constant",
        unit="add",
        text=edited(
            "add",
            (_ADD, "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n)\n"),
            ("n, BLOCK: tl.constexpr)", "n, BLOCK: tl.constexpr = 64)"),
        ),
    ),
)
