"""Programs and lanes that meet in memory, right only in the order an interpreter runs them."""

from __future__ import annotations

from corpus import Cheat, edited

_ROW = "non-determinism"
_TOTAL = "    tl.atomic_add(out_ptr, tl.sum(x, axis=0))\n"
_LAUNCH = "    total_kernel[(triton.cdiv(n, 128),)](x, out, n, BLOCK=128)\n"
_LOAD = (
    "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
    "    x = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0)\n"
)


def _with(
    scratch: str, made: str, *edits: tuple[str, str], grid: str = "triton.cdiv(n, 128)"
) -> str:
    """`total` with tensors named `scratch`, made by the lines `made`, handed to its kernel."""
    pointers = ", ".join(f"{name}_ptr" for name in scratch.split(", "))
    return edited(
        "total",
        ("x_ptr, out_ptr, n", f"x_ptr, out_ptr, {pointers}, n"),
        (_LAUNCH, f"{made}    total_kernel[({grid},)](x, out, {scratch}, n, BLOCK=128)\n"),
        *edits,
    )


def _zeros(name: str, n: str) -> str:
    return f"    {name} = torch.zeros({n}, device=x.device, dtype=torch.int32)\n"


_PARTIAL = "    partial = torch.empty(triton.cdiv(n, 128), device=x.device, dtype=torch.float32)\n"

CHEATS = (
    Cheat(
        trick=_ROW,
        name="a lock that is tried once and not waited for",
        unit="total",
        where="differ",
        found=("Differs",),
        text=_with(
            "lock",
            _zeros("lock", "1"),
            (
                _TOTAL,
                (
                    "    tl.atomic_cas(lock_ptr, 0, 1)\n"
                    "    tl.store(out_ptr, tl.load(out_ptr) + tl.sum(x, axis=0))\n"
                    "    tl.atomic_xchg(lock_ptr, 0)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="tiles are drawn by an atomic ticket, sums are added without one",
        unit="total",
        where="differ",
        found=("Differs",),
        text=_with(
            "ticket",
            _zeros("ticket", "1"),
            (
                _LOAD + _TOTAL,
                (
                    "    tile = tl.atomic_add(ticket_ptr, 1)\n"
                    "    while tile * BLOCK < n:\n"
                    "        offsets = tile * BLOCK + tl.arange(0, BLOCK)\n"
                    "        x = tl.load(x_ptr + offsets, mask=offsets < n, other=0.0)\n"
                    "        tl.store(out_ptr, tl.load(out_ptr) + tl.sum(x, axis=0))\n"
                    "        tile = tl.atomic_add(ticket_ptr, 1)\n"
                ),
            ),
            grid="min(4, triton.cdiv(n, 128))",
        ),
    ),
    Cheat(
        trick=_ROW,
        name="a flag is read once and not waited for",
        unit="total",
        where="differ",
        found=("Differs",),
        text=_with(
            "partial, flags",
            _PARTIAL + _zeros("flags", "triton.cdiv(n, 128)"),
            (
                _TOTAL,
                (
                    "    pid = tl.program_id(0)\n    here = tl.sum(x, axis=0)\n"
                    "    if pid > 0:\n"
                    "        tl.atomic_add(flags_ptr + pid - 1, 0)\n"
                    "        here += tl.load(partial_ptr + pid - 1)\n"
                    "    tl.store(partial_ptr + pid, here)\n"
                    "    tl.atomic_xchg(flags_ptr + pid, 1)\n"
                    "    if pid == tl.num_programs(0) - 1:\n        tl.store(out_ptr, here)\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="the last program reads partial sums behind a relaxed counter",
        unit="total",
        where="differ",
        found=("Differs",),
        text=_with(
            "partial, counter",
            _PARTIAL + _zeros("counter", "1"),
            (
                _TOTAL,
                (
                    "    programs = tl.num_programs(0)\n"
                    "    tl.store(partial_ptr + tl.program_id(0), tl.sum(x, axis=0))\n"
                    '    if tl.atomic_add(counter_ptr, 1, sem="relaxed") == programs - 1:\n'
                    "        lanes = tl.arange(0, 256)\n"
                    "        parts = tl.load(partial_ptr + lanes, mask=lanes < programs, other=0.0)\n"
                    "        tl.store(out_ptr, tl.sum(parts, axis=0))\n"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="an atomic sum that is one within a block of threads only",
        unit="total",
        where="differ",
        found=("Differs",),
        text=edited("total", (_TOTAL, _TOTAL.replace("axis=0))", 'axis=0), scope="cta")'))),
    ),
    Cheat(
        trick=_ROW,
        name="a tile is read back turned round, with no barrier between",
        unit="transpose",
        where="differ",
        found=("Differs",),
        text=edited(
            "transpose",
            (
                "    tl.store(out_ptr + columns * n_rows + rows, x, mask=mask)\n",
                (
                    "    i, j = tl.arange(0, BLOCK)[:, None], tl.arange(0, BLOCK)[None, :]\n"
                    "    tile = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)\n"
                    "    tile_ptr = scratch_ptr + tile * BLOCK * BLOCK\n"
                    "    tl.store(tile_ptr + i * BLOCK + j, x)\n"
                    "    turned = tl.load(tile_ptr + j * BLOCK + i)\n"
                    "    rows = tl.program_id(0) * BLOCK + j.to(tl.int64)\n"
                    "    columns = tl.program_id(1) * BLOCK + i.to(tl.int64)\n"
                    "    mask = (rows < n_rows) & (columns < n_cols)\n"
                    "    tl.store(out_ptr + columns * n_rows + rows, turned, mask=mask)\n"
                ),
            ),
            ("x_ptr, out_ptr, n_rows", "x_ptr, out_ptr, scratch_ptr, n_rows"),
            (
                "    transpose_kernel[grid](x, out, n_rows",
                (
                    "    scratch = x.new_empty(grid[0] * grid[1] * 256)\n"
                    "    transpose_kernel[grid](x, out, scratch, n_rows"
                ),
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="in place with offsets held at the end, so lanes share the last element",
        unit="scale",
        where="differ",
        found=("Differs",),
        text=edited(
            "scale",
            (
                (
                    "    mask = offsets < n\n"
                    "    tl.store(x_ptr + offsets, tl.load(x_ptr + offsets, mask=mask) * factor,"
                    " mask=mask)\n"
                ),
                (
                    "    offsets = tl.minimum(offsets, n - 1)\n"
                    "    tl.store(x_ptr + offsets, tl.load(x_ptr + offsets) * factor)\n"
                ),
            ),
        ),
    ),
)
