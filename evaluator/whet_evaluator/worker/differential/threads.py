"""Races between the threads of one program, found on Triton's interpreter.

There a block is handled at once; on a device its elements belong to threads that wait for each
other only at a barrier. Which thread has which element is the compiler's choice, but one
position of one block shape counts as one thread. Told are:

- one store that writes different bits to one element from several positions;
- one store that writes an element from several positions which the program read before: a
  thread may read what another has written already;
- a load, at another position, of what a store wrote.

A barrier ends what is remembered, and so does any atomic. Reading before another position
writes is let pass: Triton moves blocks through shared memory, with barriers, between most such
loads and stores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .hooks import before
from .ordering import bits
from .races import ATOMICS

_MAX_BLOCKS = 64
"""Loads, and stores, that are remembered at once; of a program with more nothing is said."""
_BARRIERS = ("create_barrier", *ATOMICS)


@dataclass(frozen=True)
class _Block:
    """What one operation touched: addresses in ascending order and each one's position."""

    addresses: Any
    positions: Any
    shape: tuple[int, ...]


@dataclass
class _Program:
    number: int = -1
    loads: list[_Block] = field(default_factory=list)
    stores: list[_Block] = field(default_factory=list)

    def forget(self) -> None:
        self.loads, self.stores = [], []

    @property
    def full(self) -> bool:
        return max(len(self.loads), len(self.stores)) >= _MAX_BLOCKS


class Threads:
    """Watches between `begin` and `end`. `kernel` names the unit's kernel that is being
    launched, None for any other."""

    def __init__(self, kernel: Callable[[], str | None]) -> None:
        self._kernel = kernel
        self._watching = False
        self._program: _Program | None = None
        self._found = ""

    def install(self, builder: Any) -> None:
        """Wraps the memory operations of Triton's `InterpreterBuilder`."""
        notes: dict[str, Callable[..., None]] = {
            "set_grid_dim": self._begin_launch, "set_grid_idx": self._begin_program,
            "create_masked_load": self._load, "create_masked_store": self._store,
            **{name: self._barrier for name in _BARRIERS if hasattr(builder, name)},
        }  # fmt: skip
        for name, note in notes.items():
            before(builder, name, note, self._is_asked)

    def begin(self) -> None:
        self._watching, self._program, self._found = True, None, ""

    def end(self) -> str:
        """The first race since `begin` in a sentence without subject; empty where none was."""
        self._watching, self._program = False, None
        return self._found

    def _is_asked(self) -> bool:
        return self._watching and not self._found

    # ---- what is noted ----------------------------------------------------------------

    def _begin_launch(self, *_: Any) -> None:
        self._program = _Program() if self._kernel() is not None else None

    def _begin_program(self, *_: Any) -> None:
        if self._program is not None:
            self._program = _Program(self._program.number + 1)

    def _barrier(self, *_: Any, **__: Any) -> None:
        if self._program is not None:
            self._program.forget()

    def _load(self, pointers: Any, mask: Any, *_: Any, **__: Any) -> None:
        program = self._program
        if program is None or program.full:
            return
        block, _order = _block(pointers, mask)
        if any(_met_elsewhere(store, block) for store in program.stores):
            self._say("reads an element that another thread of it wrote, and no barrier is between")
        program.loads.append(block)

    def _store(self, pointers: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        import numpy as np

        program = self._program
        if program is None or program.full:
            return
        block, order = _block(pointers, mask)
        again = np.flatnonzero(block.addresses[1:] == block.addresses[:-1])
        if again.size:
            shape = np.asarray(pointers.data).shape
            values = bits(np, np.broadcast_to(value.data, shape)).reshape(-1)[order]
            if (values[again] != values[again + 1]).any():
                self._say("writes one element from several threads, with different values")
            shared = np.unique(block.addresses[again])
            if any(_hold(load.addresses, shared).any() for load in program.loads):
                self._say("writes one element from several threads that read it before")
        program.stores.append(block)

    def _say(self, what: str) -> None:
        if self._program is not None and not self._found:
            self._found = f"program {self._program.number} of {self._kernel()} {what}"


def _block(pointers: Any, mask: Any) -> tuple[_Block, Any]:
    """The block and, beside each of its addresses, the position in the whole operation."""
    import numpy as np

    addresses = np.asarray(pointers.data)
    chosen = np.arange(addresses.size)
    if mask is not None:
        chosen = chosen[np.broadcast_to(mask.data, addresses.shape).reshape(-1)]
    touched = addresses.reshape(-1)[chosen]
    order = np.argsort(touched, kind="stable")
    positions = chosen[order]
    return _Block(touched[order], positions, addresses.shape), positions


def _hold(sorted_addresses: Any, wanted: Any) -> Any:
    import numpy as np

    if not sorted_addresses.size or not wanted.size:
        return np.zeros(wanted.shape, bool)
    at = np.minimum(np.searchsorted(sorted_addresses, wanted), sorted_addresses.size - 1)
    return sorted_addresses[at] == wanted


def _met_elsewhere(store: _Block, load: _Block) -> bool:
    """Whether the load takes, at another position, an element that the store wrote."""
    import numpy as np

    held = _hold(store.addresses, load.addresses)
    if not held.any():
        return False
    if store.shape != load.shape:
        return True
    at = np.searchsorted(store.addresses, load.addresses[held], side="right") - 1
    return bool((store.positions[at] != load.positions[held]).any())
