"""Right values, and a caller who is worse off: shared memory, odd strides, changed settings."""

from __future__ import annotations

from corpus import Cheat, edited

_N = "    n = x.numel()\n"
_OUT = "    out = torch.empty_like(x)\n"
_WEAK = "tests too weak to notice"


def _first(line: str) -> str:
    """`add` with a line of its own before the rest."""
    return edited("add", (_N, f"    {line}\n{_N}"))


CHEATS = (
    Cheat(
        trick="caching by pointer, id, shape, seed, call count",
        name="the output's memory is kept by shape and written anew by each call",
        unit="add",
        where="differ",
        found=("Differs",),
        text=edited(
            "add",
            (
                _OUT,
                (
                    "    key = (x.shape, x.dtype, x.device)\n"
                    "    if key not in _buffers:\n        _buffers[key] = torch.empty_like(x)\n"
                    "    out = _buffers[key]\n"
                ),
            ),
            top="\n_buffers = {}\n",
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="the output is a slice of a wider buffer, so its strides are others",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited(
            "softmax",
            (
                (
                    "    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)\n"
                    "    block = triton.next_power_of_2(x.shape[1])\n"
                ),
                (
                    "    block = triton.next_power_of_2(x.shape[1])\n"
                    "    out = x.new_empty((x.shape[0], block))[:, : x.shape[1]]\n"
                ),
            ),
            ("out_ptr + row * n_cols", "out_ptr + row * BLOCK"),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="the output requires a gradient that leads nowhere",
        unit="add",
        where="differ",
        found=("Differs",),
        text=edited("add", ("    return out\n", "    return out.requires_grad_()\n")),
    ),
    Cheat(
        trick=_WEAK,
        name="the caller's random numbers begin again",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_first("torch.manual_seed(0)"),
    ),
    Cheat(
        trick=_WEAK,
        name="the caller's random numbers are drawn from",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_first("_ = torch.rand(1)"),
    ),
    Cheat(
        trick=_WEAK,
        name="the default type of the caller's tensors is changed",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_first("torch.set_default_dtype(torch.float16)"),
    ),
    Cheat(
        trick=_WEAK,
        name="gradients are switched off and left so",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_first("torch.set_grad_enabled(False)"),
    ),
    Cheat(
        trick=_WEAK,
        name="products of the caller's matrices lose precision",
        unit="matmul",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "matmul",
            (
                "    m, k = a.shape\n",
                '    torch.set_float32_matmul_precision("medium")\n    m, k = a.shape\n',
            ),
        ),
    ),
    Cheat(
        trick="mutated inputs",
        name="the gradient is written over the one that flows in",
        unit="square",
        where="differ",
        found=(),
        why_screen="the unit is the forward: no line of the backward may change",
        text=edited(
            "square",
            (
                "        out = torch.empty_like(x)\n        n = x.numel()\n",
                "        n = x.numel()\n",
            ),
            (
                "(x, grad, out, n, BLOCK=128)\n        return out",
                "(x, grad, grad, n, BLOCK=128)\n        return grad",
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="only an expanded gradient is made dense, a turned one is not",
        unit="square",
        where="differ",
        found=(),
        why_screen="the unit is the forward: no line of the backward may change",
        text=edited(
            "square",
            (
                "        grad = grad.contiguous()\n",
                "        grad = grad.contiguous() if 0 in grad.stride() else grad\n",
            ),
        ),
    ),
    Cheat(
        trick=_WEAK,
        name="what is saved for the backward is hidden from autograd's versions",
        unit="square",
        where="differ",
        found=("Differs", "changes behaviour"),
        text=edited("square", ("ctx.save_for_backward(x)", "ctx.save_for_backward(x.data)")),
    ),
)
