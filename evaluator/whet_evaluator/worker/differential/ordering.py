"""A launch's accesses, and which of two atomics order: what `races` notes, judged at its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .contention import Contention
from .tickets import Tickets

READ, WRITE, ATOMIC = 0, 1, 2
MAX_ACCESSES = 1 << 22
"""Elements noted per launch: 100 MB. Of a larger launch nothing is said."""
_MAX_SUSPECTS = 1000


@dataclass
class Launch:
    """Accesses so far, an array for each operation. A program's number is its turn."""

    kernel: str
    tickets: Tickets
    n_accesses: int = 0
    n_acquired: list[int] = field(default_factory=list)
    n_released: list[int] = field(default_factory=list)
    """By program, how many atomic operations so far acquired, and how many released."""
    addresses: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    operations: list[tuple[int, int, int, int]] = field(default_factory=list)
    """`(program, kind, acquired before it, released before it)`, beside `addresses`."""
    draws: list[tuple[int, ...]] = field(default_factory=list)
    """Beside them, how often its program had drawn from each counter."""
    contention: Contention = field(init=False)

    def __post_init__(self) -> None:
        self.contention = Contention(self.tickets)

    @property
    def program(self) -> int:
        return self.tickets.program

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


def race(launch: Launch) -> str:
    import numpy as np

    addresses, values = np.concatenate(launch.addresses), np.concatenate(launch.values)
    sizes = [array.size for array in launch.addresses]
    columns = [*zip(*launch.operations), range(len(sizes))]
    order = np.lexsort((np.arange(addresses.size), addresses))
    addresses, values = addresses[order], values[order]
    program, kind, before, released, number = (
        np.repeat(np.array(column), sizes)[order] for column in columns
    )
    starts = np.flatnonzero(np.r_[True, addresses[1:] != addresses[:-1]])
    several = np.minimum.reduceat(program, starts) != np.maximum.reduceat(program, starts)
    suspect = several & np.logical_or.reduceat(kind == WRITE, starts)
    ends = np.r_[starts[1:], addresses.size]
    after = np.array(launch.n_released)[program] - released
    for start, end in list(zip(starts[suspect], ends[suspect]))[:_MAX_SUSPECTS]:
        rows = [
            _Access(*map(int, row))
            for row in zip(*(a[start:end] for a in (program, kind, values, before, after, number)))
        ]
        how = _conflict(rows, launch)
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
    operation: int


def _conflict(rows: list[_Access], launch: Launch) -> str:
    """`rows` are one element's accesses in the order they happened."""
    writes = [row for row in rows if row.kind == WRITE]
    for write in writes:
        for other in rows:
            if other.program == write.program or _ordered(write, other, launch):
                continue
            if other.kind == WRITE and other.value == write.value:
                continue
            verb = {READ: "reads", WRITE: "writes", ATOMIC: "updates"}[other.kind]
            return f"program {write.program} writes an element that program {other.program} {verb}"
    return ""


def _ordered(one: _Access, other: _Access, launch: Launch) -> bool:
    earlier, later = sorted((one, other), key=lambda access: access.program)
    if earlier.after > 0 and later.before > 0:
        return True
    when = [(a.program, launch.draws[a.operation]) for a in (one, other)]
    return launch.tickets.in_turns and launch.tickets.order(*when)


def is_possible(launch: Launch) -> bool:
    """Whether programs could have drawn as it was shown, with nothing else done to a counter."""
    import numpy as np

    written = [a for a, (_, kind, *_) in zip(launch.addresses, launch.operations) if kind == WRITE]
    counters = np.array(list(launch.tickets.counters), np.uint64)
    is_touched = any(np.isin(counters, touched).any() for touched in written)
    return launch.tickets.are_a_schedule and not is_touched


def bits(np: Any, values: Any) -> Any:
    """The elements' bytes as numbers, so that NaN equals itself."""
    raw = np.ascontiguousarray(values).reshape(-1)
    if raw.dtype == np.bool_:
        return raw.astype(np.uint64)
    return raw.view(f"u{raw.dtype.itemsize}").astype(np.uint64)
