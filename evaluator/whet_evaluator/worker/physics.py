"""What no kernel can beat: the time to move the bytes that a case must move.

Which bytes those are is found by trying. The original runs on inputs of which one small
block holds other values: if its outputs change, the block was read, and whoever computes
the same outputs must read it too. If all of 16 blocks drawn at random in a tensor were, at
least 83 % of it are read, with 95 % confidence; a tensor of which one block was not counts
as unread. Outputs must be written whole.

Operations set no floor: no least number of them follows from inputs and outputs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import hardware
from .clock import Clock
from .returned import tensors_in
from .rotation import Rotation, values

N_BLOCKS = 16
READ_SHARE = 0.83
"""0.05 ** (1 / 16): were less of a tensor read, 16 of 16 blocks would be luck."""
BLOCK_WORDS = 64
LEAST_BYTES = 1 << 20
"""Smaller tensors are a few nanoseconds of any device's memory."""
CACHE_FACTOR = 8.0
"""How many times faster than memory a device's caches are at most, warm: the L2s of an
MI300X's eight dies come closest, with about 6.5."""


@dataclass(frozen=True)
class Compulsory:
    """Bytes that every call must read from its inputs and write to its outputs."""

    read: float
    written: float


def floor_us(
    found: Compulsory, *, arch: str, is_cold: bool, repeats: int, cache_bytes: int
) -> float | None:
    """Microseconds that a call takes at the very least; None for an architecture of which no
    bandwidth is known. Cold, what is read comes from memory, while of what is written a cache
    full may still be there when the clock stops. Warm, all may come from and stay in caches."""
    bandwidth = hardware.FASTEST_BANDWIDTH.get(arch)
    if bandwidth is None:
        return None
    if is_cold:
        moved = found.read + max(0.0, found.written - cache_bytes / repeats)
        return moved / bandwidth * 1e6
    return (found.read + found.written) / (bandwidth * CACHE_FACTOR) * 1e6


def compulsory(
    clock: Clock, rotation: Rotation, run: Callable[[Any], list[Any]], seed: int
) -> Compulsory:
    """Tries the original. Nothing is known to be read where equal inputs do not give equal
    outputs."""
    made, bits = _outcome(clock, rotation, run)
    inputs = {t.untyped_storage().data_ptr() for t in tensors_in(values(rotation.sets[0]))}
    fresh = {
        t.untyped_storage().data_ptr(): t.numel() * t.dtype.itemsize
        for t in made
        if t.untyped_storage().data_ptr() not in inputs
    }
    written = float(sum(fresh.values()))
    del made
    if not _equal(clock, bits, _outcome(clock, rotation, run)[1]):
        return Compulsory(0.0, written)
    draw = random.Random(seed)
    read = sum(
        READ_SHARE * buffer.nbytes
        for number, buffer in enumerate(rotation.buffers[0])
        if buffer.nbytes >= LEAST_BYTES
        and all(_is_read(clock, rotation, run, bits, (number, draw)) for _ in range(N_BLOCKS))
    )
    return Compulsory(read, written)


def _is_read(
    clock: Clock,
    rotation: Rotation,
    run: Callable[[Any], list[Any]],
    bits: list[Any],
    where: tuple[int, random.Random],
) -> bool:
    """Whether the outputs change with a block of that buffer, drawn at random."""
    number, draw = where
    start = draw.randrange(len(rotation.buffers[0][number]) - BLOCK_WORDS)

    def change() -> None:
        block = slice(start, start + BLOCK_WORDS)
        rotation.buffers[0][number][block].copy_(rotation.drawings[1][number][block])

    return not _equal(clock, bits, _outcome(clock, rotation, run, change)[1])


def _outcome(
    clock: Clock,
    rotation: Rotation,
    run: Callable[[Any], list[Any]],
    change: Callable[[], None] | None = None,
) -> tuple[list[Any], list[Any]]:
    """What a call returns, and copies of it. Inputs changed in place do not count: a block
    that nobody reads would still look changed in them."""
    rotation.refresh([0], 0)
    if change is not None:
        change()
    made = run(rotation.sets[0])
    inputs = {t.untyped_storage().data_ptr() for t in tensors_in(values(rotation.sets[0]))}
    own = [t for t in made if t.untyped_storage().data_ptr() not in inputs]
    bits = [t.detach().clone() for t in own]
    clock.synchronize()
    return made, bits


def _equal(clock: Clock, before: list[Any], after: list[Any]) -> bool:
    """Bit by bit, so that NaN equals NaN."""
    uint8 = clock.torch.uint8
    return len(before) == len(after) and all(
        a.shape == b.shape
        and clock.equal(a.contiguous().view(-1).view(uint8), b.contiguous().view(-1).view(uint8))
        for a, b in zip(before, after)
    )
