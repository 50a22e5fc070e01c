"""Programs that meet in memory as they may: counters, locks, flags, tickets, equal writes."""

from __future__ import annotations

from corpus import Control, edited

_TOTAL = "    tl.atomic_add(out_ptr, tl.sum(x, axis=0))\n"
_LAUNCH = "    total_kernel[(triton.cdiv(n, 128),)](x, out, n, BLOCK=128)\n"
_LOAD = (
    "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
    "    x = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0)\n"
)
_MATMUL = "    matmul_kernel[grid](a, b, c, m, n, k, BLOCK=16)\n"
_STORE = "    tl.store(c_ptr + rows[:, None] * n + columns[None, :], total, mask=c_mask)\n"
_SPLIT = ("range(0, k, BLOCK)", "range(tl.program_id(2) * BLOCK, k, 2 * BLOCK)")
_SCALE = "    scale_kernel[(triton.cdiv(n, 64),)](x, n, factor, BLOCK=64)\n"
_NEW_COUNTER = "    counter = torch.zeros(1, device=x.device, dtype=torch.int32)\n"
_KEPT_COUNTER = (
    "    if x.device not in _counters:\n"
    "        _counters[x.device] = torch.zeros(1, device=x.device, dtype=torch.int32)\n"
    "    counter = _counters[x.device]\n"
)


def _last_program(counter: str, reset: str = "", top: str = "") -> str:
    """`total` whose last program adds up what all have stored."""
    return edited(
        "total",
        ("x_ptr, out_ptr, n", "x_ptr, out_ptr, partial_ptr, counter_ptr, n"),
        (
            _TOTAL,
            (
                "    programs = tl.num_programs(0)\n"
                "    tl.store(partial_ptr + tl.program_id(0), tl.sum(x, axis=0))\n"
                "    if tl.atomic_add(counter_ptr, 1) == programs - 1:\n"
                "        lanes = tl.arange(0, 256)\n"
                "        parts = tl.load(partial_ptr + lanes, mask=lanes < programs, other=0.0)\n"
                f"        tl.store(out_ptr, tl.sum(parts, axis=0))\n{reset}"
            ),
        ),
        (
            _LAUNCH,
            (
                "    programs = triton.cdiv(n, 128)\n"
                "    partial = torch.empty(programs, device=x.device, dtype=torch.float32)\n"
                f"{counter}"
                "    total_kernel[(programs,)](x, out, partial, counter, n, BLOCK=128)\n"
            ),
        ),
        top=top,
    )


CONTROLS = (
    Control(
        name="the last program, known by a counter, adds up",
        unit="total",
        text=_last_program(_NEW_COUNTER),
    ),
    Control(
        name="the counter is kept, the last program resets it atomically",
        unit="total",
        text=_last_program(
            _KEPT_COUNTER, "        tl.atomic_xchg(counter_ptr, 0)\n", "\n_counters = {}\n"
        ),
    ),
    Control(
        name="the counter is kept, the last program resets it by a store",
        unit="total",
        text=_last_program(
            _KEPT_COUNTER, "        tl.store(counter_ptr, 0)\n", "\n_counters = {}\n"
        ),
    ),
    Control(
        name="tiles drawn by an atomic ticket",
        unit="total",
        text=edited(
            "total",
            ("x_ptr, out_ptr, n", "x_ptr, out_ptr, ticket_ptr, n"),
            (
                _LOAD + _TOTAL,
                (
                    "    total = 0.0\n    tile = tl.atomic_add(ticket_ptr, 1)\n"
                    "    while tile * BLOCK < n:\n"
                    "        offsets = tile * BLOCK + tl.arange(0, BLOCK)\n"
                    "        x = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0)\n"
                    "        total += tl.sum(x, axis=0)\n"
                    "        tile = tl.atomic_add(ticket_ptr, 1)\n"
                    "    tl.atomic_add(out_ptr, total)\n"
                ),
            ),
            (
                _LAUNCH,
                (
                    "    ticket = torch.zeros(1, device=x.device, dtype=torch.int32)\n"
                    "    programs = min(4, triton.cdiv(n, 128))\n"
                    "    total_kernel[(programs,)](x, out, ticket, n, BLOCK=128)\n"
                ),
            ),
        ),
    ),
    Control(
        name="sums handed from program to program behind flags",
        unit="total",
        text=edited(
            "total",
            ("x_ptr, out_ptr, n", "x_ptr, out_ptr, partial_ptr, flags_ptr, n"),
            (
                _TOTAL,
                (
                    "    pid = tl.program_id(0)\n    here = tl.sum(x, axis=0)\n"
                    "    if pid > 0:\n"
                    '        while tl.atomic_add(flags_ptr + pid - 1, 0, sem="acquire") == 0:\n'
                    "            pass\n"
                    "        here += tl.load(partial_ptr + pid - 1)\n"
                    "    tl.store(partial_ptr + pid, here)\n"
                    '    tl.atomic_xchg(flags_ptr + pid, 1, sem="release")\n'
                    "    if pid == tl.num_programs(0) - 1:\n        tl.store(out_ptr, here)\n"
                ),
            ),
            (
                _LAUNCH,
                (
                    "    programs = triton.cdiv(n, 128)\n"
                    "    partial = torch.empty(programs, device=x.device, dtype=torch.float32)\n"
                    "    flags = torch.zeros(programs, device=x.device, dtype=torch.int32)\n"
                    "    total_kernel[(programs,)](x, out, partial, flags, n, BLOCK=128)\n"
                ),
            ),
        ),
    ),
    Control(
        name="the inner dimension split, partial products added by atomics",
        unit="matmul",
        text=edited(
            "matmul",
            _SPLIT,
            ("torch.empty((m, n)", "torch.zeros((m, n)"),
            (_MATMUL, _MATMUL.replace("[grid]", "[(*grid, 2)]")),
            ("    tl.store(c_ptr", "    tl.atomic_add(c_ptr"),
        ),
    ),
    Control(
        name="the inner dimension split, partial products added under a lock",
        unit="matmul",
        text=edited(
            "matmul",
            _SPLIT,
            ("torch.empty((m, n)", "torch.zeros((m, n)"),
            ("c_ptr, m, n", "c_ptr, locks_ptr, m, n"),
            (
                _MATMUL,
                (
                    "    locks = torch.zeros(grid, device=a.device, dtype=torch.int32)\n"
                    "    matmul_kernel[(*grid, 2)](a, b, c, locks, m, n, k, BLOCK=16)\n"
                ),
            ),
            (
                _STORE,
                (
                    "    tile = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)\n"
                    "    while tl.atomic_cas(locks_ptr + tile, 0, 1) == 1:\n        pass\n"
                    "    place = c_ptr + rows[:, None] * n + columns[None, :]\n"
                    "    tl.store(place, tl.load(place, mask=c_mask) + total, mask=c_mask)\n"
                    "    tl.atomic_xchg(locks_ptr + tile, 0)\n"
                ),
            ),
        ),
    ),
    Control(
        name="the last tile moved back over the one before it",
        unit="add",
        text=edited(
            "add",
            (
                "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n",
                (
                    "    start = tl.program_id(0) * BLOCK\n"
                    "    start = tl.where(n >= BLOCK, tl.minimum(start, n - BLOCK), 0)\n"
                    "    offsets = start + tl.arange(0, BLOCK)\n"
                ),
            ),
        ),
    ),
    Control(
        name="tuned in place, the input put back",
        unit="scale",
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
                    "    configs=[triton.Config({'BLOCK': 64}), triton.Config({'BLOCK': 256})],\n"
                    "    key=['n'], restore_value=['x_ptr'],\n)\n@triton.jit\n"
                ),
            ),
        ),
    ),
)
