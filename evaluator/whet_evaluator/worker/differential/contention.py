"""What a program could have met at an atomic, had the others run beside it.

On the interpreter programs take turns: every lock is free when it is tried, every flag is up
when it is read, and a program that does not wait looks like one that does. Here it is shown
another moment once: a lock in the hands of an earlier program, a flag as it was when the
launch began. Who waits asks again; who does not goes on without having acquired anything.

Only moments that there were are shown, and none that the program can know to be over:
`knows` says that it acquired something before, or touched the address itself. So what is
right on a device stays right here, such as work that goes to whoever comes first, or sums
that the last program reads by an atomic. Atomics on blocks are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .tickets import Tickets

_POLLS_WITH_ZERO = {"ADD", "FADD", "OR", "XOR"}


class Met(NamedTuple):
    """An atomic's answer, and what it counts as where its semantics say so."""

    answer: Any
    acquires: bool = True
    releases: bool = True


class Contention:
    """One launch's addresses. Every operation is handed the builder, the original method, who
    `knows` an address, and the method's arguments."""

    def __init__(self, tickets: Tickets) -> None:
        self._tickets = tickets
        self._first: dict[int, Any] = {}
        """By address, its value before the launch's first atomic there."""
        self._held: dict[tuple[int, bytes], Any] = {}
        """By address and the value that a program found there, what it swapped in."""

    def compare_and_swap(
        self, builder: Any, original: Any, knows: Callable[[int], bool],
        ptr: Any, compared: Any, value: Any, *order: Any,
    ) -> Met:  # fmt: skip
        """Fails as if it came while an earlier program had swapped the same value for its own.

        Where that value is not back, nothing is shown: whoever came first keeps what it took,
        and a sum made by swaps goes on from the truth.
        """
        address, found = _single(ptr, None), _bytes(compared)
        if address is None:
            return Met(original(builder, ptr, compared, value, *order))
        self._tickets.disturb(address)
        if found == _bytes(value):
            answer = original(builder, ptr, compared, value, *order)
            return self._polled(address, answer, knows)
        held = self._held.get((address, found))
        if held is not None and not knows(address):
            now = original(builder, ptr, compared, compared, *order)
            if _bytes(now) == found:
                return Met(_showing(now, held), acquires=False, releases=False)
        answer = original(builder, ptr, compared, value, *order)
        self._remember(address, answer)
        if _bytes(answer) == found:
            self._held[address, found] = _copied(value)
        return Met(answer)

    def update(
        self, builder: Any, original: Any, knows: Callable[[int], bool],
        op: Any, ptr: Any, value: Any, mask: Any, *order: Any,
    ) -> Met:  # fmt: skip
        answer = original(builder, op, ptr, value, mask, *order)
        address = _single(ptr, mask)
        if address is None:
            return Met(answer)
        polls = op.name in _POLLS_WITH_ZERO and not value.data.any()
        draws = op.name == "ADD" and not polls
        if not draws:
            self._tickets.disturb(address)
        if polls:
            return self._polled(address, answer, knows)
        self._remember(address, answer)
        return Met(self._drawn(address, value, answer) if draws else answer)

    def load(
        self, builder: Any, original: Any, knows: Callable[[int], bool],
        ptr: Any, mask: Any, *order: Any,
    ) -> Met:  # fmt: skip
        answer, address = original(builder, ptr, mask, *order), _single(ptr, mask)
        if address is not None:
            self._tickets.disturb(address)
        return Met(answer) if address is None else self._polled(address, answer, knows)

    def store(
        self, builder: Any, original: Any, _: Callable[[int], bool],
        ptr: Any, value: Any, mask: Any, *order: Any,
    ) -> Met:  # fmt: skip
        address = _single(ptr, mask)
        if address is not None:
            self._tickets.disturb(address)
        if address is not None and address not in self._first:
            self._remember(address, builder.create_atomic_load(ptr, mask, *order))
        return Met(original(builder, ptr, value, mask, *order))

    def wait(self, builder: Any, original: Any, _: Callable[[int], bool], *args: Any) -> Met:
        """The operation that polls until the value is there waits by itself."""
        return Met(original(builder, *args))

    def _drawn(self, address: int, value: Any, answer: Any) -> Any:
        import numpy as np

        before = int(answer.data.item())
        shown = self._tickets.draw(address, int(value.data.item()), before)
        return answer if shown == before else _showing(answer, np.array([shown]))

    def _polled(self, address: int, answer: Any, knows: Callable[[int], bool]) -> Met:
        """Reading what was there before anybody's atomic acquires from nobody. Releasing is
        left: adding zero is a link in the chain that later programs acquire from."""
        first = self._remember(address, answer)
        same = first.dtype != answer.data.dtype or first.tobytes() == _bytes(answer)
        if same or knows(address):
            return Met(answer)
        return Met(_showing(answer, first), acquires=False)

    def _remember(self, address: int, before: Any) -> Any:
        if address not in self._first:
            self._first[address] = _copied(before)
        return self._first[address]


def _single(ptr: Any, mask: Any) -> int | None:
    """The address, where it is one and not masked."""
    if ptr.data.size != 1 or (mask is not None and not mask.data.all()):
        return None
    return int(ptr.data.item())


def _showing(answer: Any, data: Any) -> Any:
    """`answer` with another value, of which the memory keeps nothing."""
    shown = data.astype(answer.data.dtype).reshape(answer.data.shape)
    return type(answer)(shown, answer.dtype)


def _copied(handle: Any) -> Any:
    import numpy as np

    return np.array(handle.data)


def _bytes(handle: Any) -> bytes:
    return bytes(handle.data.tobytes())
