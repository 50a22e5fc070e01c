"""Races between the programs of a launch, found on Triton's interpreter.

The interpreter runs one program after the other, so a race never shows in its values. It
shows in the addresses: two programs touch one element, one of them writes, and no atomic
orders the two. What is no race:

- both accesses are atomic;
- every program writes the same bits, and nobody else reads them;
- the earlier program released an atomic afterwards and the later one acquired one before:
  a lock, or a counter by which the last program knows that the others are done. Relaxed
  atomics order nothing else, and one of a block's own scope is no atomic to other programs.
  A lock that was held and a flag that was not up yet are not acquired: `contention` shows
  both once, so only a program that waits for them comes after what they guard. Which
  address the atomics name is not asked, so this errs towards silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .contention import Contention, Met
from .hooks import before

READ, WRITE, ATOMIC = 0, 1, 2
_ALONE = 3
"""An atomic of a block's own scope: a write that no other program's value equals."""
MAX_ACCESSES = 1 << 22
"""Elements noted per launch: 100 MB. Of a larger launch nothing is said."""
_MAX_SUSPECTS = 1000
ATOMICS: dict[str, tuple[Callable[..., Met], int, int | None]] = {
    "create_atomic_cas": (Contention.compare_and_swap, 0, None),
    "create_atomic_rmw": (Contention.update, 1, 3),
    "create_atomic_load": (Contention.load, 0, 1),
    "create_atomic_store": (Contention.store, 0, 2),
    "create_atomic_poll": (Contention.wait, 0, None),
}
"""How each is carried out, and where pointers and mask are among its arguments."""


@dataclass
class _Launch:
    """Accesses so far, an array for each operation. A program's number is its turn."""

    kernel: str
    program: int = -1
    n_accesses: int = 0
    n_acquired: list[int] = field(default_factory=list)
    n_released: list[int] = field(default_factory=list)
    """By program, how many atomic operations so far acquired, and how many released."""
    addresses: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    operations: list[tuple[int, int, int, int]] = field(default_factory=list)
    """`(program, kind, acquired before it, released before it)`, beside `addresses`."""
    contention: Contention = field(default_factory=Contention)

    def knows(self, address: int) -> bool:
        """Whether the program that runs can tell an earlier moment of `address` from now: by
        what it acquired or, where not too much was noted to say, by its own access."""
        if self.n_acquired[-1] or self.n_accesses > MAX_ACCESSES:
            return True
        for (program, kind, *_), touched in zip(
            reversed(self.operations), reversed(self.addresses)
        ):
            if program != self.program:
                return False
            if kind != READ and (touched == address).any():
                return True
        return False


class Races:
    """Watches between `begin` and `end`; outside it costs a comparison an operation.

    `kernel` names the unit's kernel that is being launched, None for any other.
    """

    def __init__(self, kernel: Callable[[], str | None]) -> None:
        self._kernel = kernel
        self._watching = False
        self._launch: _Launch | None = None
        self._found = ""

    def install(self, builder: Any) -> None:
        """Wraps the memory operations of Triton's `InterpreterBuilder`. Operations wrapped
        later, such as those that `widen` replaces for a while, still end here."""
        before(builder, "set_grid_dim", self._begin_launch, self._is_watching)
        before(builder, "set_grid_idx", self._begin_program, self._is_watching)
        before(builder, "create_masked_load", self._load, self._is_watching)
        before(builder, "create_masked_store", self._store, self._is_watching)
        for name in ATOMICS:
            self._around(builder, name)

    def begin(self) -> None:
        self._watching, self._launch, self._found = True, None, ""

    def end(self) -> str:
        """The first race since `begin` in a sentence without subject; empty where none was."""
        self._conclude()
        self._watching = False
        return self._found

    def _is_watching(self) -> bool:
        return self._watching

    def _around(self, builder: Any, name: str) -> None:
        """An atomic is noted after it ran: only then is known whether it acquired."""
        original, races = getattr(builder, name, None), self
        if original is None:  # atomic loads and stores are younger than Triton 3.6
            return
        carry_out, ptrs_at, mask_at = ATOMICS[name]

        def wrapped(self: Any, *args: Any) -> Any:
            launch = races._launch
            if not races._watching or launch is None:
                return original(self, *args)
            races._watching = False  # some are made of plain loads and stores
            try:
                met = carry_out(launch.contention, self, original, launch.knows, *args)
            finally:
                races._watching = True
            races._note_atomic(
                args[ptrs_at], None if mask_at is None else args[mask_at], args[-2:], met
            )
            return met.answer

        setattr(builder, name, wrapped)

    # ---- what is noted ----------------------------------------------------------------

    def _begin_launch(self, *_: Any) -> None:
        self._conclude()
        kernel = self._kernel()
        self._launch = _Launch(kernel) if kernel is not None else None

    def _begin_program(self, *_: Any) -> None:
        if self._launch is not None:
            self._launch.program += 1
            self._launch.n_acquired.append(0)
            self._launch.n_released.append(0)

    def _load(self, ptrs: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._note(READ, ptrs, mask, None)

    def _store(self, ptrs: Any, value: Any, mask: Any, *_: Any, **__: Any) -> None:
        self._note(WRITE, ptrs, mask, value)

    def _note_atomic(self, ptrs: Any, mask: Any, order: tuple[Any, ...], met: Met) -> None:
        """`order` is the operation's semantics and scope."""
        said = " ".join(str(one).upper() for one in order)
        is_own = said.endswith("CTA")
        self._note(_ALONE if is_own else ATOMIC, ptrs, mask, None)
        if self._launch is not None and not is_own:
            self._launch.n_acquired[-1] += met.acquires and "ACQUIRE" in said
            self._launch.n_released[-1] += met.releases and "RELEASE" in said

    def _note(self, kind: int, ptrs: Any, mask: Any, value: Any) -> None:
        import numpy as np

        launch = self._launch
        if launch is None or launch.n_accesses > MAX_ACCESSES:
            return
        addresses = np.asarray(ptrs.data)
        chosen = ... if mask is None else np.broadcast_to(mask.data, addresses.shape)
        touched = addresses[chosen].reshape(-1)
        if kind == READ:
            touched = np.unique(touched)
        launch.n_accesses += touched.size
        launch.addresses.append(touched)
        launch.values.append(
            np.full(touched.shape, launch.program if kind == _ALONE else 0, np.uint64)
            if value is None
            else bits(np, np.broadcast_to(value.data, addresses.shape)[chosen])
        )
        kind = WRITE if kind == _ALONE else kind
        launch.operations.append(
            (launch.program, kind, launch.n_acquired[-1], launch.n_released[-1])
        )

    # ---- what it comes to -------------------------------------------------------------

    def _conclude(self) -> None:
        launch, self._launch = self._launch, None
        if launch is None or self._found or launch.program < 1 or not launch.addresses:
            return
        if launch.n_accesses <= MAX_ACCESSES:
            self._found = _race(launch)


def _race(launch: _Launch) -> str:
    import numpy as np

    addresses, values = np.concatenate(launch.addresses), np.concatenate(launch.values)
    sizes = [array.size for array in launch.addresses]
    program, kind, before, released = (
        np.repeat(np.array(column), sizes) for column in zip(*launch.operations)
    )
    order = np.lexsort((np.arange(addresses.size), addresses))
    addresses, values = addresses[order], values[order]
    program, kind, before, released = (a[order] for a in (program, kind, before, released))
    starts = np.flatnonzero(np.r_[True, addresses[1:] != addresses[:-1]])
    several = np.minimum.reduceat(program, starts) != np.maximum.reduceat(program, starts)
    suspect = several & np.logical_or.reduceat(kind == WRITE, starts)
    ends = np.r_[starts[1:], addresses.size]
    after = np.array(launch.n_released)[program] - released
    for start, end in list(zip(starts[suspect], ends[suspect]))[:_MAX_SUSPECTS]:
        rows = [
            _Access(*map(int, row))
            for row in zip(*(a[start:end] for a in (program, kind, values, before, after)))
        ]
        how = _conflict(rows)
        if how:
            return f"{how} of {launch.kernel}, and no atomic orders them"
    return ""


@dataclass(frozen=True)
class _Access:
    """One access to the element in question. `before` counts what its program had acquired,
    `after` what it released from then on, an atomic access itself included."""

    program: int
    kind: int
    value: int
    before: int
    after: int


def _conflict(rows: list[_Access]) -> str:
    """`rows` are one element's accesses in the order they happened."""
    writes = [row for row in rows if row.kind == WRITE]
    for write in writes:
        for other in rows:
            if other.program == write.program or _ordered(*sorted((write, other), key=_turn)):
                continue
            if other.kind == WRITE and other.value == write.value:
                continue
            verb = {READ: "reads", WRITE: "writes", ATOMIC: "updates"}[other.kind]
            return f"program {write.program} writes an element that program {other.program} {verb}"
    return ""


def _ordered(earlier: _Access, later: _Access) -> bool:
    return earlier.after > 0 and later.before > 0


def _turn(access: _Access) -> int:
    return access.program


def bits(np: Any, values: Any) -> Any:
    """The elements' bytes as numbers, so that NaN equals itself."""
    raw = np.ascontiguousarray(values).reshape(-1)
    if raw.dtype == np.bool_:
        return raw.astype(np.uint64)
    return raw.view(f"u{raw.dtype.itemsize}").astype(np.uint64)
