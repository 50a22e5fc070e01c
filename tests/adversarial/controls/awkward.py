"""Honest code that resembles a trick: streams, scratch tensors, several launches, tuning."""

from __future__ import annotations

from corpus import Control, edited

_ADD = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"
_SOFTMAX = "    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block)\n"
_TUNED = (
    "@triton.autotune(configs=[triton.Config({'BLOCK': 64}), triton.Config({'BLOCK': 256})],"
    " key=['n'])\n@triton.jit\ndef add_kernel("
)

CONTROLS = (
    Control(
        name="bits moved as whole numbers, by triton.reinterpret",
        unit="transpose",
        text=edited(
            "transpose",
            (
                "    transpose_kernel[grid](x, out, n_rows, n_cols, BLOCK=16)\n",
                (
                    "    if x.element_size() == 4:\n"
                    "        x, made = (triton.reinterpret(t, tl.int32) for t in (x, out))\n"
                    "        transpose_kernel[grid](x, made, n_rows, n_cols, BLOCK=16)\n"
                    "    else:\n"
                    "        transpose_kernel[grid](x, out, n_rows, n_cols, BLOCK=16)\n"
                ),
            ),
        ),
    ),
    Control(
        name="an object keeps the grid it has worked out",
        unit="average",
        text=edited(
            "average",
            (
                "        blend_kernel[(triton.cdiv(n, 64),)]",
                (
                    "        if getattr(self, '_grid', None) is None:\n"
                    "            self._grid = (triton.cdiv(n, 64),)\n"
                    "        blend_kernel[self._grid]"
                ),
            ),
        ),
    ),
    Control(
        name="autotuned over two tiles",
        unit="add",
        text=edited(
            "add",
            (_ADD, "    add_kernel[lambda meta: (triton.cdiv(n, meta['BLOCK']),)](x, y, out, n)\n"),
            ("@triton.jit\ndef add_kernel(", _TUNED),
        ),
    ),
    Control(
        name="a heuristic chooses the tile",
        unit="softmax",
        text=edited(
            "softmax",
            (_SOFTMAX, _SOFTMAX.replace(", BLOCK=block", "")),
            (
                "@triton.jit\n",
                (
                    "@triton.heuristics(\n"
                    "    {'BLOCK': lambda a: triton.next_power_of_2(a['n_cols'])}\n)\n@triton.jit\n"
                ),
            ),
        ),
    ),
    Control(
        name="two launches, each of one half",
        unit="add",
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    half = (n // 2) // 64 * 64\n"
                    "    if half:\n"
                    "        add_kernel[(half // 64,)](x, y, out, half, 0, BLOCK=64)\n"
                    "    add_kernel[(triton.cdiv(n - half, 64),)](x, y, out, n, half, BLOCK=64)\n"
                ),
            ),
            ("out_ptr, n, BLOCK", "out_ptr, n, start, BLOCK"),
            ("    offsets = tl.program_id(0)", "    offsets = start + tl.program_id(0)"),
        ),
    ),
    Control(
        name="two kernels: sums first, then the quotients",
        unit="softmax",
        text=edited(
            "softmax",
            (
                _SOFTMAX,
                (
                    "    sums = torch.empty((x.shape[0], 2), device=x.device, dtype=torch.float32)\n"
                    "    sums_kernel[(x.shape[0],)](x, sums, x.stride(0), x.shape[1], BLOCK=block)\n"
                    "    softmax_kernel[(x.shape[0],)](\n"
                    "        x, out, sums, x.stride(0), x.shape[1], BLOCK=block\n    )\n"
                ),
            ),
            ("x_ptr, out_ptr, stride", "x_ptr, out_ptr, sums_ptr, stride"),
            (
                "    x = tl.exp(x - tl.max(x, axis=0))\n",
                "    x = tl.exp(x - tl.load(sums_ptr + row * 2))\n",
            ),
            ("x / tl.sum(x, axis=0)", "x / tl.load(sums_ptr + row * 2 + 1)"),
            top="""

@triton.jit
def sums_kernel(x_ptr, sums_ptr, stride, n_cols, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    columns = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * stride + columns, mask=columns < n_cols, other=-float("inf"))
    top = tl.max(x, axis=0)
    tl.store(sums_ptr + row * 2, top)
    tl.store(sums_ptr + row * 2 + 1, tl.sum(tl.exp(x - top), axis=0))
""",
        ),
    ),
    Control(
        name="a scratch tensor of zeros that is handed to the kernel",
        unit="matmul",
        text=edited(
            "matmul",
            (
                "    c = torch.empty((m, n), device=a.device, dtype=a.dtype)\n",
                "    c = torch.zeros((m, n), device=a.device, dtype=a.dtype)\n",
            ),
        ),
    ),
    Control(
        name="rows and columns that wrap, with the hints of Triton's own tutorial",
        unit="matmul",
        text=edited(
            "matmul",
            (
                "    total = tl.zeros",
                (
                    "    wrapped = tl.max_contiguous(tl.multiple_of(rows % m, BLOCK), BLOCK)\n"
                    "    across = tl.max_contiguous(tl.multiple_of(columns % n, BLOCK), BLOCK)\n"
                    "    total = tl.zeros"
                ),
            ),
            ("a_mask = (rows[:, None] < m) & (inner[None, :] < k)", "a_mask = inner[None, :] < k"),
            (
                "b_mask = (inner[:, None] < k) & (columns[None, :] < n)",
                "b_mask = inner[:, None] < k",
            ),
            ("a_ptr + rows[:, None] * k", "a_ptr + wrapped[:, None] * k"),
            ("* n + columns[None, :], mask=b_mask", "* n + across[None, :], mask=b_mask"),
        ),
    ),
    Control(
        name="a contiguous copy of the second operand's transpose",
        unit="matmul",
        text=edited(
            "matmul",
            (
                "    matmul_kernel[grid](a, b, c, m, n, k, BLOCK=16)\n",
                "    matmul_kernel[grid](a, b.t().contiguous(), c, m, n, k, BLOCK=16)\n",
            ),
            (
                "b_ptr + inner[:, None] * n + columns[None, :]",
                "b_ptr + columns[None, :] * k + inner[:, None]",
            ),
        ),
    ),
    Control(
        name="the output allocated by new_empty and viewed",
        unit="softmax",
        text=edited(
            "softmax",
            (
                "    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)\n",
                "    out = x.new_empty(x.numel()).view(x.shape)\n",
            ),
        ),
    ),
    Control(
        name="an early return for nothing",
        unit="add",
        text=edited(
            "add",
            ("    n = x.numel()\n", "    n = x.numel()\n    if n == 0:\n        return out\n"),
        ),
    ),
    Control(
        name="a stream of its own, joined before the return",
        unit="add",
        text=edited(
            "add",
            (
                _ADD,
                "    stream, current = torch.cuda.Stream(), torch.cuda.current_stream()\n"
                "    stream.wait_stream(current)\n"
                "    with torch.cuda.stream(stream):\n    "
                + _ADD
                + "    current.wait_stream(stream)\n"
                "    out.record_stream(stream)\n",
            ),
        ),
    ),
    Control(
        name="the device's properties choose the number of programs",
        unit="add",
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    n_units = torch.cuda.get_device_properties(x.device).multi_processor_count\n"
                    "    block = 64 if n < 64 * n_units else 128\n"
                    "    add_kernel[(triton.cdiv(n, block),)](x, y, out, n, BLOCK=block)\n"
                ),
            ),
        ),
    ),
    Control(
        name="a constant computed once and kept",
        unit="add",
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    block = _block(n)\n"
                    "    add_kernel[(triton.cdiv(n, block),)](x, y, out, n, BLOCK=block)\n"
                ),
            ),
            top="import functools\n\n\n@functools.lru_cache\ndef _block(n):\n"
            "    return min(256, triton.next_power_of_2(n))\n",
        ),
    ),
    Control(
        name="split along the inner dimension, partial products added by torch",
        unit="matmul",
        text=edited(
            "matmul",
            (
                "    c = torch.empty((m, n), device=a.device, dtype=a.dtype)\n",
                "    c = torch.empty((2, m, n), device=a.device, dtype=torch.float32)\n",
            ),
            (
                "    grid = (triton.cdiv(m, 16), triton.cdiv(n, 16))\n",
                "    grid = (triton.cdiv(m, 16), triton.cdiv(n, 16), 2)\n",
            ),
            ("    return c\n", "    return c.sum(0).to(a.dtype)\n"),
            ("range(0, k, BLOCK)", "range(tl.program_id(2) * BLOCK, k, 2 * BLOCK)"),
            ("tl.store(c_ptr + ", "tl.store(c_ptr + tl.program_id(2) * m * n + "),
        ),
    ),
    Control(
        name="fewer tensors kept for the backward",
        unit="square",
        text=edited(
            "square",
            (
                "        out = torch.empty_like(x)\n        square_kernel[",
                (
                    "        out = torch.empty(x.shape, dtype=x.dtype, device=x.device)\n"
                    "        square_kernel["
                ),
            ),
        ),
    ),
    Control(
        name="fewer warps and a least tile",
        unit="softmax",
        text=edited(
            "softmax",
            (
                "    block = triton.next_power_of_2(x.shape[1])\n",
                "    block = max(16, triton.next_power_of_2(x.shape[1]))\n",
            ),
            (_SOFTMAX, _SOFTMAX.replace("BLOCK=block", "BLOCK=block, num_warps=2")),
        ),
    ),
    Control(
        name="descriptors made by the host for whole tiles",
        unit="add",
        text=edited(
            "add",
            (
                _ADD,
                (
                    "    tensors = (x, y, out)\n"
                    "    aligned = all(t.is_contiguous() and t.data_ptr() % 16 == 0 for t in tensors)\n"
                    "    if n and n % 64 == 0 and aligned:\n"
                    "        described = [TensorDescriptor(t.view(-1), [n], [1], [64]) for t in tensors]\n"
                    "        tile_kernel[(n // 64,)](*described, BLOCK=64)\n"
                    "    else:\n    "
                )
                + _ADD,
            ),
            top="""from triton.tools.tensor_descriptor import TensorDescriptor


@triton.jit
def tile_kernel(x_desc, y_desc, out_desc, BLOCK: tl.constexpr):
    start = tl.program_id(0) * BLOCK
    out_desc.store([start], x_desc.load([start]) + y_desc.load([start]))
""",
        ),
    ),
    Control(
        name="the launch as an operator of its own",
        unit="add",
        text=edited(
            "add",
            (_ADD, "    _add_into(x, y, out)\n"),
            top="""

@torch.library.custom_op("small::add_into", mutates_args=("out",))
def _add_into(x: torch.Tensor, y: torch.Tensor, out: torch.Tensor) -> None:
    n = x.numel()
    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)
""",
        ),
    ),
    Control(
        name="a variable called input",
        unit="add",
        text=edited(
            "add",
            (
                (
                    "    total = tl.load(x_ptr + offsets, mask=mask)"
                    " + tl.load(y_ptr + offsets, mask=mask)\n"
                ),
                (
                    "    input = tl.load(x_ptr + offsets, mask=mask)\n"
                    "    total = input + tl.load(y_ptr + offsets, mask=mask)\n"
                ),
            ),
        ),
    ),
    Control(
        name="partial sums by 64 programs, added up by torch, for an atomic of each row",
        unit="weight_grad",
        text=edited(
            "weight_grad",
            ("    row = tl.program_id(0)\n", ""),
            (
                (
                    "    x = tl.load(x_ptr + row * n_cols + columns, mask=mask, other=0.0)\n"
                    "    grad = tl.load(grad_ptr + row * n_cols + columns, mask=mask, other=0.0)\n"
                    "    tl.atomic_add(out_ptr + columns, x * grad, mask=mask)\n"
                ),
                (
                    "    total = tl.zeros((BLOCK,), tl.float32)\n"
                    "    for row in range(tl.program_id(0), n_rows, tl.num_programs(0)):\n"
                    "        x = tl.load(x_ptr + row * n_cols + columns, mask=mask, other=0.0)\n"
                    "        grad = tl.load(grad_ptr + row * n_cols + columns, mask=mask, other=0.0)\n"
                    "        total += x * grad\n"
                    "    tl.store(out_ptr + tl.program_id(0) * n_cols + columns, total, mask=mask)\n"
                ),
            ),
            ("out_ptr, n_cols, BLOCK", "out_ptr, n_rows, n_cols, BLOCK"),
            (
                (
                    "    out = torch.zeros(n_cols, device=x.device)\n"
                    "    weight_grad_kernel[(n_rows,)](x, grad, out, n_cols, BLOCK=triton.next_power_of_2(n_cols))\n"
                    "    return out\n"
                ),
                (
                    "    n_programs = min(n_rows, 64)\n"
                    "    parts = torch.empty(n_programs, n_cols, device=x.device)\n"
                    "    block = triton.next_power_of_2(n_cols)\n"
                    "    weight_grad_kernel[(n_programs,)](x, grad, parts, n_rows, n_cols, BLOCK=block)\n"
                    "    return parts.sum(0)\n"
                ),
            ),
        ),
    ),
)
