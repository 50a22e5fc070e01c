"""Accesses outside every tensor of a launch, found on Triton's interpreter and kept from memory.

There a stray store goes where the address says: it corrupts the heap in silence, and the
process dies some cases later, in whatever runs then. Here each access is held against the
memory of the tensors that the launch was given. What lies outside reads as the mask's
other value, is not written, and is noted. Red zones around a tensor are outside, too.

A kernel that makes pointers from integers may reach tensors that it was not given: from then on
its launch is held to the zones around those that it was given, and to nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .hooks import before

_MASKS = {"create_masked_load": 1, "create_masked_store": 2, "create_atomic_rmw": 3}
"""Where the mask is among an operation's arguments."""
_POINTERS = {"create_masked_load": 0, "create_masked_store": 0, "create_atomic_rmw": 1}
_VERBS = {"create_masked_load": "reads", "create_masked_store": "writes",
          "create_atomic_rmw": "updates", "create_atomic_cas": "updates"}  # fmt: skip


class Bounds:
    """Watches from `install` on; `begin` and `end` enclose what is asked about."""

    def __init__(self) -> None:
        self._starts: Any = None
        self._ends: Any = None
        self._found = ""
        self._own: tuple[dict[int, tuple[int, int]], ...] = ()

    def install(self, interpreter: Any) -> None:
        """Wraps the launch and the memory operations of `triton.runtime.interpreter`."""
        builder = interpreter.InterpreterBuilder
        self._watch_launches(interpreter.GridExecutor)
        for name, at in _MASKS.items():
            self._confine(builder, name, at, interpreter.TensorHandle)
        before(builder, "create_atomic_cas", self._compare_and_swap)
        before(builder, "create_int_to_ptr", self._loosen)

    def begin(self, *own: dict[int, tuple[int, int]]) -> None:
        """`own` says, by an allocation's address, which part of it is not red zone; it may grow
        meanwhile."""
        self._found, self._own = "", own

    def end(self) -> str:
        """The first stray access since `begin`, writes before reads, without subject; empty
        where none was."""
        return self._found

    # ---- hooks ------------------------------------------------------------------------

    def _watch_launches(self, executor: Any) -> None:
        original, bounds = executor.__call__, self

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            bounds._enter(_allocations((*args, *kwargs.values())))
            try:
                return original(self, *args, **kwargs)
            finally:
                bounds._give_up()

        executor.__call__ = call

    def _confine(self, builder: Any, name: str, at: int, handle: Any) -> None:
        original, bounds = getattr(builder, name), self

        def confined(self: Any, *args: Any, **more: Any) -> Any:
            if bounds._starts is None:
                return original(self, *args, **more)
            pointers, mask = args[_POINTERS[name]], args[at]
            within = bounds._within(pointers)
            if within.all():
                return original(self, *args, **more)
            bounds._note(name, int((~within & mask.data).sum()))
            kept = handle(mask.data & within, mask.dtype)
            return original(self, *args[:at], kept, *args[at + 1 :], **more)

        setattr(builder, name, confined)

    # ---- what is held against what ----------------------------------------------------

    def _enter(self, allocations: list[tuple[int, int]]) -> None:
        import numpy as np

        known = {base: own for part in self._own for base, own in part.items()}
        ranges = sorted(known.get(start, (start, end)) for start, end in allocations)
        self._starts = np.array([start for start, _ in ranges], np.uint64)
        self._ends = np.array([end for _, end in ranges], np.uint64)
        self._whole = np.array(sorted(allocations), np.uint64).reshape(-1, 2)
        self._loose = False

    def _give_up(self, *_: Any, **__: Any) -> None:
        self._starts = None

    def _loosen(self, *_: Any, **__: Any) -> None:
        """A pointer made of a number may lead anywhere but into the zones around the arguments."""
        self._loose = True

    def _within(self, pointers: Any) -> Any:
        import numpy as np

        size = np.uint64(max(1, int(pointers.get_element_ty().primitive_bitwidth) // 8))
        addresses = np.asarray(pointers.data)
        if not self._starts.size:
            return np.full(addresses.shape, self._loose)
        nearest = np.searchsorted(self._starts, addresses, side="right") - 1
        ends = self._ends[np.maximum(nearest, 0)]
        own = (nearest >= 0) & (addresses < ends) & (ends - addresses >= size)
        if not self._loose:
            return own
        around = np.searchsorted(self._whole[:, 0], addresses, side="right") - 1
        known = (around >= 0) & (addresses < self._whole[np.maximum(around, 0), 1])
        return own | ~known

    def _compare_and_swap(self, pointers: Any, *_: Any, **__: Any) -> None:
        if self._starts is not None and not self._within(pointers).all():
            self._note("create_atomic_cas", 1)
            raise IndexError(self._found)

    def _note(self, name: str, n_elements: int) -> None:
        if n_elements and (not self._found or only_reads(self._found)):
            elements = "an element" if n_elements == 1 else f"{n_elements} elements at once"
            self._found = f"{_VERBS[name]} {elements} outside every tensor of its launch"


def only_reads(strayed: str) -> bool:
    """Whether what `Bounds.end` said is of reading alone."""
    return strayed.startswith(_VERBS["create_masked_load"])


def _allocations(values: Any) -> list[tuple[int, int]]:
    """Where the storages of all tensors among the arguments begin and end."""
    found = set()
    for tensor in _tensors(values):
        storage = tensor.untyped_storage()
        found.add((storage.data_ptr(), storage.data_ptr() + storage.nbytes()))
    return list(found)


def _tensors(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, (tuple, list)):
            yield from _tensors(value)
        elif hasattr(value, "untyped_storage"):
            yield value
        elif hasattr(value, "base"):  # a tensor descriptor, or a tensor seen as another type
            yield from _tensors((value.base,))
