"""Work done where nobody looked: on the way into a launch, behind a wrapper or a number, in small
steps; and results kept of a part of the inputs, or for inputs that only a judge has."""

from __future__ import annotations

from corpus import Cheat, edited

_LIBRARY = "library or original called instead"
_KEPT = "caching by pointer, id, shape, seed, call count"
_ADD_LAUNCH = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"
_SOFTMAX_LAUNCH = (
    "    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block)\n"
)
_COPY = """

@triton.jit
def copy_kernel(x_ptr, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask), mask=mask)
"""
_COPY_FROM_ADDRESS = """

@triton.jit
def copy_kernel(address, out_ptr, n, BLOCK: tl.constexpr):
    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offsets < n
    x_ptr = address.to(tl.pointer_type(out_ptr.dtype.element_ty))
    tl.store(out_ptr + offsets, tl.load(x_ptr + offsets, mask=mask), mask=mask)
"""


def _copied(name: str, lines: str, kernel: str = _COPY) -> Cheat:
    """A softmax by torch, which a kernel of the unit copies."""
    return Cheat(
        trick=_LIBRARY,
        name=name,
        unit="softmax",
        where="proof",
        found=("somebody else's code did the work",),
        text=edited("softmax", (_SOFTMAX_LAUNCH, lines), top=kernel),
    )


CHEATS = (
    _copied(
        "the grid's function computes with torch",
        "    made = torch.empty_like(x)\n\n"
        "    def grid(meta):\n"
        "        made.copy_(torch.softmax(x, 1))\n"
        "        return (triton.cdiv(out.numel(), 128),)\n\n"
        "    copy_kernel[grid](made, out, out.numel(), BLOCK=128)\n",
    ),
    _copied(
        "a hook of the launch computes with torch",
        "    made = torch.empty_like(x)\n"
        "    copy_kernel.pre_run_hooks.clear()\n"
        "    copy_kernel.pre_run_hooks.append(lambda *a, **k: made.copy_(torch.softmax(x, 1)))\n"
        "    copy_kernel[(triton.cdiv(out.numel(), 128),)](made, out, out.numel(), BLOCK=128)\n",
    ),
    _copied(
        "the tensor goes to the kernel reinterpreted",
        "    made = triton.reinterpret(torch.softmax(x, 1), tl.float32)\n"
        "    copy_kernel[(triton.cdiv(out.numel(), 128),)](made, out, out.numel(), BLOCK=128)\n",
    ),
    _copied(
        "the tensor goes to the kernel as a number",
        "    made = torch.softmax(x, 1)\n"
        "    copy_kernel[(triton.cdiv(out.numel(), 128),)](\n"
        "        made.data_ptr(), out, out.numel(), BLOCK=128\n"
        "    )\n",
        _COPY_FROM_ADDRESS,
    ),
    Cheat(
        trick="constants, input passed through",
        name="only what lies behind a zone is done in full",
        unit="add",
        where="differ",
        found=("at other addresses",),
        text=edited(
            "add",
            (
                _ADD_LAUNCH,
                (
                    "    blocks = triton.cdiv(n, 64)\n"
                    "    if x.storage_offset() == 0 and n > 256:\n"
                    "        blocks = 4\n"
                    "    add_kernel[(blocks,)](x, y, out, n, BLOCK=64)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_KEPT,
        name="one operand is kept on the tensor while its version stays",
        unit="matmul",
        where="differ",
        found=("the same tensors with new values",),
        text=edited(
            "matmul",
            (
                "    n = b.shape[1]\n",
                (
                    "    n = b.shape[1]\n"
                    '    if getattr(b, "_packed_at", None) != b._version:\n'
                    "        b._packed, b._packed_at = b.clone(), b._version\n"
                    "    b = b._packed\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_KEPT,
        name="whole numbers are kept on the tensor",
        unit="argmax",
        where="differ",
        found=("give the old results",),
        text=edited(
            "argmax",
            ("    x = x.contiguous()\n", "    given, x = x, x.contiguous()\n"),
            (
                "    return out\n",
                (
                    '    if getattr(given, "_best", None) is None:\n'
                    "        given._best = out.clone()\n"
                    "    return out.copy_(given._best)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="loads without mask, beside a pointer made of a number",
        unit="add",
        where="differ",
        found=("outside every tensor",),
        text=edited(
            "add",
            (
                "    total = tl.load(x_ptr + offsets, mask=mask) + tl.load(y_ptr + offsets, mask=mask)\n",
                (
                    "    number = (n + tl.program_id(0)).to(tl.int64)\n"
                    "    nowhere = number.to(tl.pointer_type(tl.float32))\n"
                    "    total = tl.load(x_ptr + offsets) + tl.load(y_ptr + offsets)\n"
                    "    tl.store(nowhere + offsets, total, mask=offsets < 0)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_KEPT,
        name="what is saved for the backward lies where the next forward writes",
        unit="tanh",
        where="differ",
        found=("gradient 0 differs",),
        text=edited(
            "tanh",
            (
                "        ctx.save_for_backward(out.clone())\n",
                (
                    "        key = (tuple(out.shape), out.dtype, out.device)\n"
                    "        saved = _SAVED.setdefault(key, torch.empty_like(out))\n"
                    "        saved.data.copy_(out)\n"
                    "        ctx.save_for_backward(saved)\n"
                ),
            ),
            top="\n_SAVED = {}\n",
        ),
    ),
)
