"""Programs that draw their work from a counter, shown as if they drew in turns.

On the interpreter the first program draws every tile and the others find none left, so what two
of them would do to one element is never seen. Where a program drew from a counter more than once,
the case runs once more: of P programs, program p is shown p, p + P, p + 2 P and so on, as if each
drew as often as the others. That there is such an order is checked at the end: the numbers shown
must be those that were drawn, each once. Values of that run are not judged, only its accesses.

A draw orders what came before an earlier one with what comes after a later one, and nothing
else: two programs that go on drawing do not wait for each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_SLACK, _MIN_OPERATIONS = 4, 4096
"""A program that waits for one that has not had its turn waits forever: how many operations are
too many, as a multiple of those of the run before."""


class Stuck(Exception):
    """Programs wait for each other: in turns they cannot run one after the other."""


@dataclass
class _Counter:
    first: int
    step: int
    is_even: bool = True
    """Whether each draw took one step."""
    drawn: dict[int, list[int]] = field(default_factory=dict)
    """By program the places of its draws, from zero."""

    def is_a_schedule(self) -> bool:
        places = sorted(place for places in self.drawn.values() for place in places)
        return self.is_even and places == list(range(len(places)))

    def is_drawn_again(self) -> bool:
        return self.is_even and any(len(places) > 1 for places in self.drawn.values())


@dataclass
class Tickets:
    """The counters of one launch, by address."""

    n_programs: int = 1
    in_turns: bool = False
    program: int = -1
    counters: dict[int, _Counter] = field(default_factory=dict)

    def draw(self, address: int, step: int, before: int) -> int:
        """What the program that runs is shown of a counter that held `before`: that, but in turns."""
        counter = self.counters.setdefault(address, _Counter(before, step))
        counter.is_even &= counter.step == step != 0
        mine = counter.drawn.setdefault(self.program, [])
        if not counter.is_even:
            return before
        if not self.in_turns:
            mine.append((before - counter.first) // step)
            return before
        mine.append(self.program + len(mine) * self.n_programs)
        return counter.first + mine[-1] * step

    def disturb(self, address: int) -> None:
        """Something else than a draw was done to it."""
        if address in self.counters:
            self.counters[address].is_even = False

    def is_a_counter(self, address: int) -> bool:
        return self.in_turns and address in self.counters

    @property
    def are_drawn_again(self) -> bool:
        """Whether running in turns would show another order."""
        return self.n_programs > 1 and any(c.is_drawn_again() for c in self.counters.values())

    @property
    def are_a_schedule(self) -> bool:
        return all(counter.is_a_schedule() for counter in self.counters.values())

    @property
    def n_draws(self) -> tuple[int, ...]:
        """Of the program that runs, from each counter so far."""
        return tuple(len(c.drawn.get(self.program, ())) for c in self.counters.values())

    def order(self, one: tuple[int, tuple[int, ...]], other: tuple[int, tuple[int, ...]]) -> bool:
        """Whether draws order two accesses, each told by its program and the `n_draws` then."""
        return any(
            self._next(number, *a) < self._last(number, *b)
            for number in range(len(self.counters))
            for a, b in ((one, other), (other, one))
        )

    def _next(self, number: int, program: int, n_draws: tuple[int, ...]) -> float:
        places, n = self._places(number, program), _at(n_draws, number)
        return places[n] if n < len(places) else math.inf

    def _last(self, number: int, program: int, n_draws: tuple[int, ...]) -> float:
        n = _at(n_draws, number)
        return self._places(number, program)[n - 1] if n else -math.inf

    def _places(self, number: int, program: int) -> list[int]:
        return list(self.counters.values())[number].drawn.get(program, [])


def _at(n_draws: tuple[int, ...], number: int) -> int:
    """Counters met later are not in it yet."""
    return n_draws[number] if number < len(n_draws) else 0


@dataclass
class Patience:
    """How many operations a run may take: counted in one, and held to in the next."""

    n_operations: int = 0
    limit: float = math.inf

    def spend(self) -> None:
        """Raises `Stuck` past the limit."""
        self.n_operations += 1
        if self.n_operations > self.limit:
            raise Stuck("programs wait for each other")

    def for_another(self) -> Patience:
        return Patience(limit=_SLACK * self.n_operations + _MIN_OPERATIONS)
