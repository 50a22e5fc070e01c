"""Precision lowered beyond what the original's own error allows."""

from __future__ import annotations

from corpus import Cheat, edited

_ROW = "precision lowered"
_DOT = '        total += tl.dot(a, b, input_precision="ieee")\n'

CHEATS = (
    Cheat(
        trick=_ROW,
        name="half-precision products",
        unit="matmul",
        where="differ",
        found=("Differs",),
        text=edited(
            "matmul", (_DOT, "        total += tl.dot(a.to(tl.float16), b.to(tl.float16))\n")
        ),
    ),
    Cheat(
        trick=_ROW,
        name="a half-precision accumulator",
        unit="matmul",
        where="differ",
        found=("Differs",),
        text=edited(
            "matmul",
            ("dtype=tl.float32)", "dtype=tl.float16)"),
            (_DOT, '        total += tl.dot(a, b, input_precision="ieee").to(tl.float16)\n'),
            ("columns[None, :], total, mask", "columns[None, :], total.to(tl.float32), mask"),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="exponentials in half precision",
        unit="softmax",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "softmax",
            (
                "    x = tl.exp(x - tl.max(x, axis=0))\n",
                "    x = tl.exp((x - tl.max(x, axis=0)).to(tl.float16).to(tl.float32))\n",
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="the maximum is not subtracted",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited("softmax", ("tl.exp(x - tl.max(x, axis=0))", "tl.exp(x)")),
    ),
    Cheat(
        trick=_ROW,
        name="the output is rounded to half on its way",
        unit="norm",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "norm",
            (
                "x * scale * weight, mask",
                "(x * scale * weight).to(tl.float16).to(tl.float32), mask",
            ),
        ),
    ),
)
