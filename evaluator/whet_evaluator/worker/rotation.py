"""Sets of inputs that take turns under the clock, with values that change under fixed pointers.

What defeats which trick: every call of a sample has a set of its own and the next sample
goes on with others, so nothing can be kept by pointer or object (a device graph holds its
pointers: there the next round, which captures anew, goes on with others); values are written anew
before each sample through storages, which changes no version counter, so nothing can be
kept by pointer *and* version, and a graph that replays stale results is wrong; several
drawings of values alternate, so a buffer that comes back from the allocator holds the
results of other values. Nothing about a set depends on a seed that a version sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import calls
from .clock import Clock
from .replay import Replay
from .returned import parts, tensors_in

MAX_DRAWINGS = 5
ROLL = 97


class Rotation:
    """`replay.make` gives two drawings, which is slow on a host; the others are those two
    with their floats in another order. Sets are copies of the first, grown on demand."""

    def __init__(
        self, clock: Clock, replay: Replay, seed: int, most_drawings: int = MAX_DRAWINGS
    ) -> None:
        self._clock = clock
        self._like = replay.make(seed)
        self.drawings = [storage_bytes(clock, self._like)]
        self.set_bytes = sum(storage.nbytes for storage in self.drawings[0])
        affordable = clock.free_bytes() // 8 // max(1, self.set_bytes)
        self.n_drawings = max(2, min(most_drawings, affordable))
        self.drawings.append(storage_bytes(clock, replay.make(seed + 1)))
        floats = _float_storages(self._like)
        for number in range(2, self.n_drawings):
            drawn = self.drawings[number % 2]
            self.drawings.append(
                [
                    storage.roll(ROLL * number) if is_float else storage
                    for storage, is_float in zip(drawn, floats)
                ]
            )
        self.sets: list[Any] = []
        self.buffers: list[list[Any]] = []
        """By set, then as in `drawings`: one flat view of each storage."""
        self._pointers: list[frozenset[int]] = []
        self._may_change = _may_change(self._like)
        self._at = 0

    def grow(self, n_sets: int) -> None:
        """Makes sets until there are so many."""
        while len(self.sets) < n_sets:
            inputs = duplicate(self._clock, self._like)
            self.sets.append(inputs)
            self.buffers.append(storage_bytes(self._clock, inputs))
            self._pointers.append(frozenset(buffer.data_ptr() for buffer in self.buffers[-1]))

    def window(self, n_calls: int) -> list[int]:
        """The next `n_calls` sets, of which there must be as many."""
        start, n = self._at, len(self.sets)
        self._at = (start + n_calls) % n
        return [(start + i) % n for i in range(n_calls)]

    def pointers(self, window: Sequence[int]) -> set[int]:
        """Of all storages that the window's sets hold. Looked up anew only where a launcher
        may have put other tensors into them: sets are many, and this is the clock's idle time."""
        found = set().union(*(self._pointers[number] for number in window))
        if self._may_change:
            sets = [values(self.sets[number]) for number in window]
            found |= {tensor.untyped_storage().data_ptr() for tensor in tensors_in(sets)}
        return found

    def refresh(self, window: Sequence[int], drawing: int) -> None:
        """Writes values into the window's sets: the i-th gets drawing `drawing + i`."""
        into, new = [], []
        for position, number in enumerate(window):
            into += self.buffers[number]
            new += self.drawings[self.drawing_of(position, drawing)]
        if into:
            self._clock.copy_all(into, new)

    def drawing_of(self, position: int, drawing: int) -> int:
        """Which drawing the set at `position` of a refreshed window holds."""
        return int(drawing + position) % int(self.n_drawings)


def _may_change(inputs: Any) -> bool:
    """Whether a version is given a container that it can put something into, and that its next
    call is given again. Where a set holds anything rebuilt, a version gets copies."""
    inner = [item for _, held in parts(inputs) or () for _, item in parts(held) or ()]
    return not _holds(inputs, calls.Rebuilt) and any(_holds(item, (list, dict)) for item in inner)


def _holds(value: Any, kinds: Any) -> bool:
    return isinstance(value, kinds) or any(_holds(item, kinds) for _, item in parts(value) or ())


def values(inputs: Any) -> Any:
    """The part of a case's inputs that can hold tensors, as a list."""
    return list(inputs.values()) if isinstance(inputs, dict) else inputs


def storage_bytes(clock: Clock, inputs: Any) -> list[Any]:
    """One flat view of each distinct storage below `inputs`, in order of appearance."""
    found: dict[int, Any] = {}
    for tensor in tensors_in(values(inputs)):
        storage = tensor.untyped_storage()
        if storage.nbytes() and storage.data_ptr() not in found:
            found[storage.data_ptr()] = flat(clock, tensor)
    return list(found.values())


def _float_storages(inputs: Any) -> list[bool]:
    """Of each distinct storage, in the order of `storage_bytes`, whether it holds floats
    alone: integers may be indices, whose order matters."""
    found: dict[int, bool] = {}
    for tensor in tensors_in(values(inputs)):
        storage = tensor.untyped_storage()
        if storage.nbytes():
            before = found.get(storage.data_ptr(), True)
            found[storage.data_ptr()] = before and tensor.dtype.is_floating_point
    return list(found.values())


def flat(clock: Clock, tensor: Any) -> Any:
    """The whole storage of `tensor`, in words as wide as its size allows: copied the faster."""
    torch = clock.torch
    whole = clock.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
    return whole.view(torch.int64) if whole.nbytes % 8 == 0 else whole


def duplicate(clock: Clock, value: Any, copies: dict[int, Any] | None = None) -> Any:
    """`value` with every tensor in new memory. Tensors that shared a storage share the copy."""
    copies = {} if copies is None else copies
    if isinstance(value, (list, tuple)):
        return type(value)([duplicate(clock, item, copies) for item in value])
    if isinstance(value, dict):
        return {key: duplicate(clock, item, copies) for key, item in value.items()}
    if isinstance(value, calls.Rebuilt):
        return calls.Rebuilt(value.qualname, duplicate(clock, value.state, copies), value.home)
    if not hasattr(value, "untyped_storage"):
        return value
    storage = value.untyped_storage()
    if not storage.nbytes():
        return value
    if storage.data_ptr() not in copies:
        copies[storage.data_ptr()] = flat(clock, value).clone()
    copied = copies[storage.data_ptr()]
    words = copied.view(clock.torch.uint8)
    usable = words[: words.nbytes // value.dtype.itemsize * value.dtype.itemsize]
    view = usable.view(value.dtype).as_strided(value.shape, value.stride(), value.storage_offset())
    return view.detach().requires_grad_(value.requires_grad)
