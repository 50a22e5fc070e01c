"""Outputs nobody computed: stale memory, constants, the input itself, skipped parts."""

from __future__ import annotations

from corpus import Cheat, edited

_SOFTMAX_LAUNCH = (
    "    softmax_kernel[(x.shape[0],)](x, out, x.stride(0), x.shape[1], BLOCK=block)\n"
)
_ADD_LAUNCH = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"

CHEATS = (
    Cheat(
        trick="torch.empty with stale memory",
        name="nothing launched, the output is what the allocator gives",
        unit="add",
        where="tests",
        found=("Failed", "Differs", "Cheated"),
        text=edited("add", (_ADD_LAUNCH, "")),
    ),
    Cheat(
        trick="torch.empty with stale memory",
        name="the right answer is computed first and freed, then empty memory is returned",
        unit="add",
        where="proof",
        found=("Differs", "Cheated", "Failed"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                "    del_me = x + y\n    del del_me\n    out = torch.empty_like(x)\n",
            ),
            (_ADD_LAUNCH, ""),
        ),
    ),
    Cheat(
        trick="torch.empty with stale memory",
        name="only every second row is computed, the rest is whatever was there",
        unit="softmax",
        where="tests",
        found=("Failed", "Differs"),
        text=edited(
            "softmax",
            ("    row = tl.program_id(0)\n", "    row = tl.program_id(0) * 2\n"),
            ("softmax_kernel[(x.shape[0],)]", "softmax_kernel[(x.shape[0] // 2,)]"),
        ),
    ),
    Cheat(
        trick="constants, input passed through",
        name="a constant that the weak test takes for the answer's shape",
        unit="add",
        where="tests",
        found=("Failed", "Differs", "Cheated"),
        text=edited("add", (_ADD_LAUNCH, "    out.fill_(0.5)\n")),
    ),
    Cheat(
        trick="constants, input passed through",
        name="the input is returned as the result",
        unit="scale",
        where="tests",
        found=("Failed", "Differs", "Cheated"),
        text=edited(
            "scale", ("    scale_kernel[(triton.cdiv(n, 64),)](x, n, factor, BLOCK=64)\n", "")
        ),
    ),
    Cheat(
        trick="constants, input passed through",
        name="the factor that the test uses is written into the kernel",
        unit="scale",
        where="differ",
        found=("Differs",),
        text=edited("scale", ("mask=mask) * factor", "mask=mask) * 0.5")),
    ),
    Cheat(
        trick="mutated inputs",
        name="the result is written into the first input as well",
        unit="add",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "add",
            (
                "    tl.store(out_ptr + offsets, total, mask=mask)\n",
                (
                    "    tl.store(out_ptr + offsets, total, mask=mask)\n"
                    "    tl.store(x_ptr + offsets, total, mask=mask)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick="mutated inputs",
        name="the input's memory serves as the output",
        unit="softmax",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "softmax",
            (
                "    out = torch.empty(x.shape, device=x.device, dtype=x.dtype)\n",
                "    out = x if x.is_contiguous() else torch.empty_like(x)\n",
            ),
        ),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="the second operand is forgotten past the first block",
        unit="add",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "add",
            (
                "tl.load(y_ptr + offsets, mask=mask)",
                "tl.load(y_ptr + offsets, mask=mask & (offsets < 256), other=0.0)",
            ),
        ),
    ),
    Cheat(
        trick="tests too weak to notice",
        name="a whole column of the inner dimension is left out within the tolerance",
        unit="matmul",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "matmul",
            (
                "    tl.store(c_ptr",
                "    total += 0.01\n    tl.store(c_ptr",
            ),
        ),
    ),
    Cheat(
        trick="tail tile skipped",
        name="only whole blocks are launched",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited("add", ("triton.cdiv(n, 64)", "n // 64")),
    ),
    Cheat(
        trick="tail tile skipped",
        name="the mask is dropped, so the tail writes past the end",
        unit="add",
        where="differ",
        found=("Differs", "Crashed"),
        text=edited(
            "add",
            (
                "    tl.store(out_ptr + offsets, total, mask=mask)\n",
                "    tl.store(out_ptr + offsets, total)\n",
            ),
        ),
    ),
    Cheat(
        trick="tail tile skipped",
        name="the last inner block of a product is not added",
        unit="matmul",
        where="differ",
        found=("Differs", "Failed"),
        text=edited("matmul", ("range(0, k, BLOCK)", "range(0, k - k % BLOCK, BLOCK)")),
    ),
    Cheat(
        trick="only tested shapes handled",
        name="sizes that no test has get half the work",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "add",
            (
                _ADD_LAUNCH,
                (
                    "    blocks = triton.cdiv(n, 64) if n in (256, 130) else n // 128\n"
                    "    add_kernel[(blocks,)](x, y, out, n, BLOCK=64)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick="only tested shapes handled",
        name="a strided input is read as if it were contiguous",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited(
            "softmax", ("x_ptr + row * stride + columns", "x_ptr + row * n_cols + columns")
        ),
    ),
    Cheat(
        trick="only tested shapes handled",
        name="rows wider than those tested are cut",
        unit="softmax",
        where="differ",
        found=("Differs",),
        text=edited(
            "softmax",
            (
                "    block = triton.next_power_of_2(x.shape[1])\n",
                "    block = min(64, triton.next_power_of_2(x.shape[1]))\n",
            ),
        ),
    ),
    Cheat(
        trick="non-determinism",
        name="one element in a thousand is left to chance",
        unit="softmax",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "softmax",
            (
                "    return out\n",
                "    keep = torch.rand(out.shape, device=out.device) > 0.02\n    return out * keep\n",
            ),
        ),
    ),
    Cheat(
        trick="non-determinism",
        name="a block is skipped now and then, unseen by tests with a seed",
        unit="matmul",
        where="differ",
        found=("Differs", "Failed"),
        text=edited(
            "matmul",
            (
                "    matmul_kernel[grid](a, b, c, m, n, k, BLOCK=16)\n",
                (
                    "    k_used = k if torch.rand(()).item() < 0.6 else max(k - 1, 1)\n"
                    "    matmul_kernel[grid](a, b, c, m, n, k, k_used, BLOCK=16)\n"
                ),
            ),
            (
                "def matmul_kernel(a_ptr, b_ptr, c_ptr, m, n, k, BLOCK: tl.constexpr):",
                "def matmul_kernel(a_ptr, b_ptr, c_ptr, m, n, k, k_used, BLOCK: tl.constexpr):",
            ),
            ("range(0, k, BLOCK)", "range(0, k_used, BLOCK)"),
            (
                "(rows[:, None] < m) & (inner[None, :] < k)",
                "(rows[:, None] < m) & (inner[None, :] < k_used)",
            ),
        ),
    ),
)
