"""Right for what the tests ask and wrong, or nothing at all, for what they never ask."""

from __future__ import annotations

from corpus import Cheat, edited

_ADD = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"
_ADD_BODY = (
    "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
    "    mask = offsets < n\n"
    "    total = tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask)\n"
    "    tl.store(out_ptr + offsets, total, mask=mask)\n"
)
_SCALE = "    scale_kernel[(triton.cdiv(n, 64),)](x, n, factor, BLOCK=64)\n"
_SHAPES = "only tested shapes handled"
_WEAK = "tests too weak to notice"
_TOLD = ("Differs", "changes behaviour")
"""What lies outside the recorded contract may be listed instead of rejected."""

CHEATS = (
    Cheat(
        trick=_SHAPES,
        name="no more than eight programs, whatever the size",
        unit="add",
        where="differ",
        found=("Differs",),
        text=edited(
            "add", (_ADD, _ADD.replace("triton.cdiv(n, 64)", "min(triton.cdiv(n, 64), 8)"))
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="an inner loop unrolled for sizes up to 128",
        unit="matmul",
        where="differ",
        found=("Differs",),
        text=edited("matmul", ("range(0, k, BLOCK)", "tl.static_range(0, 128, BLOCK)")),
    ),
    Cheat(
        trick=_SHAPES,
        name="one program for the whole tensor, which no large one fits",
        unit="add",
        where="differ",
        found=(*_TOLD, "Broken"),
        text=edited(
            "add",
            (_ADD, "    add_kernel[(1,)](x, y, out, n, BLOCK=triton.next_power_of_2(n))\n"),
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="rows on the grid's second axis, which ends at 65535",
        unit="softmax",
        where="differ",
        found=(*_TOLD, "Broken"),
        text=edited(
            "softmax",
            ("row = tl.program_id(0)", "row = tl.program_id(1)"),
            ("softmax_kernel[(x.shape[0],)]", "softmax_kernel[(1, x.shape[0])]"),
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="offsets of 32 bits, where the original's have 64",
        unit="transpose",
        where="differ",
        found=_TOLD,
        text=edited(
            "transpose",
            ("[:, None].to(tl.int64)", "[:, None]"),
            ("[None, :].to(tl.int64)", "[None, :]"),
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="nothing to do divides by zero",
        unit="add",
        where="differ",
        found=_TOLD,
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    tiles = triton.cdiv(n, 64)\n    programs = min(tiles, 4)\n"
                    "    each = triton.cdiv(tiles, programs)\n"
                    "    add_kernel[(programs,)](x, y, out, n, each, BLOCK=64)\n"
                ),
            ),
            ("out_ptr, n, BLOCK", "out_ptr, n, tiles, BLOCK"),
            (
                _ADD_BODY,
                "    for tile in range(tiles):\n"
                + _ADD_BODY.replace(
                    "tl.program_id(0) * BLOCK", "(tl.program_id(0) * tiles + tile) * BLOCK"
                ).replace("    ", "        "),
            ),
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="the first dimension is taken for the number of elements",
        unit="add",
        where="differ",
        found=_TOLD,
        text=edited("add", ("n = x.numel()", "n = x.shape[0]")),
    ),
    Cheat(
        trick=_SHAPES,
        name="columns for rows, where every test's matrix is square",
        unit="transpose",
        where="differ",
        found=_TOLD,
        text=edited("transpose", ("columns * n_rows + rows", "columns * n_cols + rows")),
    ),
    Cheat(
        trick=_SHAPES,
        name="an output of float32 whatever the input",
        unit="add",
        where="differ",
        found=("Differs", "floats as"),
        text=edited(
            "add",
            (
                "torch.empty_like(x)",
                "torch.empty(x.shape, device=x.device, dtype=torch.float32)",
            ),
        ),
    ),
    Cheat(
        trick=_SHAPES,
        name="the device is written down",
        unit="softmax",
        where="screen",
        found=(),
        why_screen="no second device can be played on one host, and the text shows it",
        text=edited("softmax", ("device=x.device", 'device="cuda:0"')),
    ),
    Cheat(
        trick=_WEAK,
        name="loads without a mask, since the store has one",
        unit="add",
        where="differ",
        found=("Differs", "Crashed"),
        text=edited(
            "add",
            (
                "tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask)",
                "tl.load(x_ptr + offsets) + tl.load(y_ptr + offsets)",
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="an object's epsilon is written into the kernel",
        unit="norm",
        where="differ",
        found=("Differs", "self.eps"),
        text=edited("norm", ("/ n_cols + eps)", "/ n_cols + 1e-6)")),
    ),
    Cheat(
        trick=_WEAK,
        name="an optional operand that no test passes is forgotten",
        unit="bias",
        where="differ",
        found=_TOLD,
        text=edited(
            "bias",
            (
                (
                    "    if HAS_BIAS:\n"
                    "        x += tl.load(bias_ptr + offsets % n_cols, mask=mask).to(tl.float32)\n"
                ),
                "",
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="an activation that no test names is forgotten",
        unit="bias",
        where="differ",
        found=_TOLD,
        text=edited(
            "bias",
            (
                (
                    '    elif ACTIVATION == "leaky_relu":\n'
                    "        x = tl.where(x > 0, x, slope * x)\n"
                ),
                "",
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="a factor of zero clears, NaN and infinity too",
        unit="scale",
        where="differ",
        found=_TOLD,
        text=edited("scale", (_SCALE, "    if factor == 0:\n        return x.zero_()\n" + _SCALE)),
    ),
    Cheat(
        trick=_WEAK,
        name="of 28 configurations the last four skip the tail",
        unit="add",
        where="differ",
        found=("Differs",),
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    def grid(meta):\n"
                    "        whole = n // meta['BLOCK']\n"
                    "        return (triton.cdiv(n, meta['BLOCK']) if meta['TAIL'] else whole,)\n\n"
                    "    add_kernel[grid](x, y, out, n)\n"
                ),
            ),
            ("n, BLOCK: tl.constexpr", "n, BLOCK: tl.constexpr, TAIL: tl.constexpr"),
            (
                "@triton.jit\n",
                (
                    "@triton.autotune(\n    configs=[\n"
                    "        triton.Config({'BLOCK': block, 'TAIL': tail}, num_warps=warps)\n"
                    "        for tail, blocks in ((True, (16, 32, 64, 128, 256, 512)), (False, (1024,)))\n"
                    "        for block in blocks for warps in (1, 2, 4, 8)\n"
                    "    ],\n    key=['n'],\n)\n@triton.jit\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="of 60 configurations, all with other constants, one skips the tail",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    def grid(meta):\n"
                    "        whole = n // 64\n"
                    "        return (whole if meta['STEP'] == 55 else triton.cdiv(n, 64),)\n\n"
                    "    add_kernel[grid](x, y, out, n, BLOCK=64)\n"
                ),
            ),
            ("n, BLOCK: tl.constexpr", "n, STEP: tl.constexpr, BLOCK: tl.constexpr"),
            (
                "@triton.jit\n",
                (
                    "@triton.autotune(\n"
                    "    configs=[triton.Config({'STEP': step}) for step in range(60)],\n"
                    "    key=['n'],\n)\n@triton.jit\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="tuned in place without putting the input back",
        unit="scale",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "scale",
            (
                _SCALE,
                "    scale_kernel[lambda meta: (triton.cdiv(n, meta['BLOCK']),)](x, n, factor)\n",
            ),
            (
                "@triton.jit\n",
                (
                    "@triton.autotune(\n"
                    "    configs=[triton.Config({'BLOCK': 64}), triton.Config({'BLOCK': 256})],"
                    " key=['n']\n)\n@triton.jit\n"
                ),
            ),
        ),
    ),
)
