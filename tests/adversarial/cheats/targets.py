"""Right on an interpreter, which knows neither the target's limits nor its shortcuts."""

from __future__ import annotations

from corpus import Cheat, edited

_ADD = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"

CHEATS = (
    Cheat(
        trick="precision lowered",
        name="products in TF32, which is what tl.dot does unasked",
        unit="matmul",
        where="differ",
        found=("Differs",),
        text=edited("matmul", (', input_precision="ieee"', "")),
    ),
    Cheat(
        trick="precision lowered",
        name="small probabilities become zero",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited(
            "softmax",
            (
                "    tl.store(out_ptr + row * n_cols + columns, x / tl.sum(x, axis=0), mask=mask)\n",
                (
                    "    share = x / tl.sum(x, axis=0)\n"
                    "    share = tl.where(share < 1e-8, 0.0, share)\n"
                    "    tl.store(out_ptr + row * n_cols + columns, share, mask=mask)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="the compiler is told that rows begin at multiples of 16",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited(
            "softmax",
            (
                "x_ptr + row * stride + columns",
                "x_ptr + tl.multiple_of(row * stride, 16) + columns",
            ),
        ),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="the compiler is told of contiguous columns that are rows",
        unit="transpose",
        where="differ",
        found=("Differs",),
        text=edited(
            "transpose",
            (
                "    x = tl.load(x_ptr + rows * n_cols + columns, mask=mask)\n",
                (
                    "    offsets = tl.max_contiguous(rows * n_cols + columns, (16, 16))\n"
                    "    x = tl.load(x_ptr + offsets, mask=mask)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick="only tested shapes handled",
        name="32 warps, more threads than the target's block has",
        unit="add",
        where="load",
        found=("Broken",),
        text=edited("add", (_ADD, _ADD.replace("BLOCK=64)", "BLOCK=64, num_warps=32)"))),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="a print is left in the kernel",
        unit="add",
        where="screen",
        found=(),
        why_screen="what is printed changes no output, and the text shows it",
        text=edited(
            "add",
            (
                "    mask = offsets < n\n",
                '    mask = offsets < n\n    tl.device_print("n", n)\n',
            ),
        ),
    ),
)
