"""In a process with `TRITON_INTERPRET=1`: what `Races` says of each kernel below, as JSON."""

# ruff: noqa: T201 - what it prints is its answer

import contextlib
import json
from typing import Any

import torch
import triton
import triton.language as tl
from triton.runtime.errors import InterpreterError

from whet_evaluator.worker.differential.races import Races

N = 64


@triton.jit
def own_slots(x, out, lock, n: tl.constexpr):
    at = tl.program_id(0) * n + tl.arange(0, n)
    tl.store(out + at, tl.load(x + at) + 1)


@triton.jit
def same_slot_same_value(x, out, lock, n: tl.constexpr):
    tl.store(out + tl.arange(0, n), tl.full((n,), 3.0, tl.float32))


@triton.jit
def same_slot_other_value(x, out, lock, n: tl.constexpr):
    tl.store(out + tl.arange(0, n), tl.full((n,), 1.0, tl.float32) * tl.program_id(0))


@triton.jit
def added_by_atomics(x, out, lock, n: tl.constexpr):
    tl.atomic_add(out + tl.arange(0, n), tl.load(x + tl.arange(0, n)))


@triton.jit
def added_without(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(out + at, tl.load(out + at) + tl.load(x + at))


@triton.jit
def zeroed_by_the_first(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    if tl.program_id(0) == 0:
        tl.store(out + at, tl.zeros((n,), tl.float32))
    tl.atomic_add(out + at, tl.load(x + at))


@triton.jit
def added_under_a_lock(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    while tl.atomic_cas(lock, 0, 1) == 1:
        pass
    tl.store(out + at, tl.load(out + at) + tl.load(x + at))
    tl.atomic_xchg(lock, 0)


@triton.jit
def added_under_a_lock_tried_once(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.atomic_cas(lock, 0, 1)
    tl.store(out + at, tl.load(out + at) + tl.load(x + at))
    tl.atomic_xchg(lock, 0)


@triton.jit
def handed_on_behind_a_flag(x, out, lock, n: tl.constexpr):
    pid, at = tl.program_id(0), tl.arange(0, n)
    total = tl.load(x + pid * n + at)
    if pid > 0:
        while tl.atomic_add(lock + pid - 1, 0) == 0:
            pass
        total += tl.load(out + (pid - 1) * n + at)
    tl.store(out + pid * n + at, total)
    tl.atomic_xchg(lock + pid, 1)


@triton.jit
def handed_on_behind_a_swapped_flag(x, out, lock, n: tl.constexpr):
    pid, at = tl.program_id(0), tl.arange(0, n)
    total = tl.load(x + pid * n + at)
    if pid > 0:
        while tl.atomic_cas(lock + pid - 1, 1, 1) == 0:
            pass
        total += tl.load(out + (pid - 1) * n + at)
    tl.store(out + pid * n + at, total)
    tl.atomic_cas(lock + pid, 0, 1)


@triton.jit
def handed_on_behind_a_flag_read_once(x, out, lock, n: tl.constexpr):
    pid, at = tl.program_id(0), tl.arange(0, n)
    total = tl.load(x + pid * n + at)
    if pid > 0:
        tl.atomic_add(lock + pid - 1, 0)
        total += tl.load(out + (pid - 1) * n + at)
    tl.store(out + pid * n + at, total)
    tl.atomic_xchg(lock + pid, 1)


@triton.jit
def summed_by_swaps(x, out, lock, n: tl.constexpr):
    """The second program takes back what the first added, so the third meets its sum again."""
    more = tl.where(tl.program_id(0) == 1, -1, 1)
    seen = 0
    held = tl.atomic_cas(lock, seen, seen + more)
    while held != seen:
        seen = held
        held = tl.atomic_cas(lock, seen, seen + more)


@triton.jit
def done_by_the_first_to_come(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    for row in range(4):
        if tl.atomic_cas(lock + row, 0, tl.program_id(0) + 1) == 0:
            tl.store(out + row * n + at, tl.load(x + row * n + at) + 1)


@triton.jit
def read_by_the_last_atomically(x, out, lock, n: tl.constexpr):
    pid = tl.program_id(0)
    tl.atomic_add(out + pid, tl.load(x + pid), sem="relaxed")
    if tl.atomic_add(lock, 1) == tl.num_programs(0) - 1:
        total = 0.0
        for k in range(4):
            total += tl.atomic_add(out + k, 0.0)
        tl.store(out + n, total)


@triton.jit
def summed_by_the_last(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    pid = tl.program_id(0)
    tl.store(x + pid * n + at, tl.load(x + pid * n + at) * 2)
    if tl.atomic_add(lock, 1) == tl.num_programs(0) - 1:
        total = tl.zeros((n,), tl.float32)
        for k in range(4):
            total += tl.load(x + k * n + at)
        tl.store(out + at, total)


@triton.jit
def summed_and_reset_by_the_last(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(x + tl.program_id(0) * n + at, tl.load(x + tl.program_id(0) * n + at) * 2)
    if tl.atomic_add(lock, 1) == tl.num_programs(0) - 1:
        tl.store(out + at, tl.load(x + at) + tl.load(x + n + at))
        tl.store(lock, 0)


@triton.jit
def summed_after_a_relaxed_count(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.store(x + tl.program_id(0) * n + at, tl.load(x + tl.program_id(0) * n + at) * 2)
    if tl.atomic_add(lock, 1, sem="relaxed") == tl.num_programs(0) - 1:
        tl.store(out + at, tl.load(x + at) + tl.load(x + n + at))


@triton.jit
def added_within_the_block(x, out, lock, n: tl.constexpr):
    tl.atomic_add(out + tl.arange(0, n), tl.load(x + tl.arange(0, n)), scope="cta")


@triton.jit
def shifted_in_place(x, out, lock, n: tl.constexpr):
    at = tl.program_id(0) * n + tl.arange(0, n)
    tl.store(x + at, tl.load(x + at + 1))


@triton.jit
def masked_apart(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    mine = at % 4 == tl.program_id(0)
    tl.store(out + at, tl.load(x + at, mask=mine, other=0.0), mask=mine)


@triton.jit
def tiles_drawn_and_added_without(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tile = tl.atomic_add(lock, 1)
    while tile < 8:
        tl.store(out + at, tl.load(out + at) + tl.load(x + tile % 4 * n + at))
        tile = tl.atomic_add(lock, 1)


@triton.jit
def added_without_between_two_draws(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tl.atomic_add(lock, 1)
    tl.store(out + at, tl.load(out + at) + tl.load(x + at))
    tl.atomic_add(lock, 1)


@triton.jit
def tiles_drawn_into_own_slots(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tile = tl.atomic_add(lock, 1)
    while tile < 4:
        tl.store(out + tile * n + at, tl.load(x + tile * n + at) + 1)
        tile = tl.atomic_add(lock, 1)


@triton.jit
def tiles_drawn_and_added_by_atomics(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tile = tl.atomic_add(lock, 1)
    while tile < 8:
        tl.atomic_add(out + at, tl.load(x + tile % 4 * n + at))
        tile = tl.atomic_add(lock, 1)


@triton.jit
def tiles_drawn_and_added_under_a_lock(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    tile = tl.atomic_add(lock, 1)
    while tile < 8:
        while tl.atomic_cas(lock + 1, 0, 1) == 1:
            pass
        tl.store(out + at, tl.load(out + at) + tl.load(x + tile % 4 * n + at))
        tl.atomic_xchg(lock + 1, 0)
        tile = tl.atomic_add(lock, 1)


@triton.jit
def added_in_the_order_of_tickets(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    for _ in range(2):
        mine = tl.atomic_add(lock, 1)
        while tl.atomic_add(lock + 1, 0) != mine:
            pass
        tl.store(out + at, tl.load(out + at) + tl.load(x + at))
        tl.atomic_add(lock + 1, 1)


@triton.jit
def slots_drawn_by_some_more_often(x, out, lock, n: tl.constexpr):
    at = tl.arange(0, n)
    for _ in range(3 - tl.program_id(0) % 2):
        slot = tl.atomic_add(lock, 1) % 4
        tl.atomic_add(out + slot * n + at, tl.load(x + at))


KERNELS = (
    tiles_drawn_and_added_without, added_without_between_two_draws, tiles_drawn_into_own_slots,
    tiles_drawn_and_added_by_atomics, tiles_drawn_and_added_under_a_lock,
    added_in_the_order_of_tickets, slots_drawn_by_some_more_often,
    own_slots, same_slot_same_value, same_slot_other_value, added_by_atomics, added_without,
    zeroed_by_the_first, added_under_a_lock, added_under_a_lock_tried_once,
    handed_on_behind_a_flag, handed_on_behind_a_swapped_flag, handed_on_behind_a_flag_read_once,
    summed_by_swaps, done_by_the_first_to_come, read_by_the_last_atomically,
    summed_by_the_last, summed_and_reset_by_the_last,
    summed_after_a_relaxed_count, added_within_the_block, shifted_in_place, masked_apart,
)  # fmt: skip

MADE = {
    "added_under_a_lock": lambda x, out, lock: (out[:N], 4 * x[:N]),
    "handed_on_behind_a_flag": lambda x, out, lock: (out[3 * N :], _rows(x).sum(0)),
    "handed_on_behind_a_swapped_flag": lambda x, out, lock: (out[3 * N :], _rows(x).sum(0)),
    "summed_by_swaps": lambda x, out, lock: (lock[0], torch.tensor(2, dtype=torch.int32)),
    "done_by_the_first_to_come": lambda x, out, lock: (_rows(out), _rows(x) + 1),
    "read_by_the_last_atomically": lambda x, out, lock: (out[N], x[:4].sum()),
}
"""By kernel, what four programs made and what they should have."""


def _rows(flat: torch.Tensor) -> torch.Tensor:
    return flat[: 4 * N].reshape(4, N)


def _in_turns(races: Races, kernel: Any, programs: int) -> str:
    """As `produce` does it."""
    if not races.may_go_otherwise:
        return ""
    races.begin(in_turns=True)
    out, lock = torch.zeros(4 * N), torch.zeros(4, dtype=torch.int32)
    with contextlib.suppress(InterpreterError):
        kernel[(programs,)](torch.randn(4 * N + 1), out, lock, N)
        return races.end()
    races.end()
    return ""


def main() -> None:
    from triton.runtime.interpreter import InterpreterBuilder

    name = ["kernel"]
    races = Races(lambda: name[0])
    races.install(InterpreterBuilder)
    said = {}
    for kernel in KERNELS:
        name[0] = kernel.fn.__name__
        for turn, programs in enumerate((4, 1)):
            x, out = torch.randn(4 * N + 1), torch.zeros(4 * N)
            lock = torch.zeros(4, dtype=torch.int32)
            races.begin()
            kernel[(programs,)](x, out, lock, N)
            said[f"{name[0]} {programs}"] = races.end() or _in_turns(races, kernel, programs)
            if programs == 4 and name[0] in MADE:
                said[f"{name[0]} made"] = torch.allclose(*MADE[name[0]](x, out, lock), atol=1e-5)
            assert turn == 0 or not said[f"{name[0]} {programs}"], "one program races with nobody"
    print(json.dumps(said))


if __name__ == "__main__":
    main()
