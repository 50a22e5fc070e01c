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
  address the atomics name is not asked, so this errs towards silence; where programs draw
  tickets, a second run asks more (`tickets`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import ordering
from .contention import Contention, Met
from .hooks import before
from .ordering import ATOMIC, MAX_ACCESSES, READ, WRITE, Launch, bits
from .tickets import Patience, Tickets

_ALONE = 3
"""An atomic of a block's own scope: a write that no other program's value equals."""
ATOMICS: dict[str, tuple[Callable[..., Met], int, int | None]] = {
    "create_atomic_cas": (Contention.compare_and_swap, 0, None),
    "create_atomic_rmw": (Contention.update, 1, 3),
    "create_atomic_load": (Contention.load, 0, 1),
    "create_atomic_store": (Contention.store, 0, 2),
    "create_atomic_poll": (Contention.wait, 0, None),
}
"""How each is carried out, and where pointers and mask are among its arguments."""


class Races:
    """Watches between `begin` and `end`; outside it costs a comparison an operation.

    `kernel` names the unit's kernel that is being launched, None for any other.
    """

    def __init__(self, kernel: Callable[[], str | None]) -> None:
        self._kernel = kernel
        self._watching = False
        self._launch: Launch | None = None
        self._found = ""
        self._in_turns = False
        self._are_drawn_again = False
        self._patience = Patience()

    def install(self, builder: Any) -> None:
        """Wraps the memory operations of Triton's `InterpreterBuilder`. Operations wrapped
        later, such as those that `widen` replaces for a while, still end here."""
        before(builder, "set_grid_dim", self._begin_launch, self._is_watching)
        before(builder, "set_grid_idx", self._begin_program, self._is_watching)
        before(builder, "create_masked_load", self._load, self._is_watching)
        before(builder, "create_masked_store", self._store, self._is_watching)
        for name in ATOMICS:
            self._around(builder, name)

    def begin(self, *, in_turns: bool = False) -> None:
        """With `in_turns` what `may_go_otherwise` asked for; the run before must have ended."""
        self._watching, self._launch, self._found = True, None, ""
        self._in_turns, self._are_drawn_again = in_turns, False
        self._patience = self._patience.for_another() if in_turns else Patience()

    def end(self) -> str:
        """The first race since `begin` in a sentence without subject; empty where none was."""
        self._conclude()
        self._watching = False
        return self._found

    @property
    def may_go_otherwise(self) -> bool:
        """Whether programs drew tickets, so that another order is worth a run (`tickets`)."""
        return self._are_drawn_again and not self._found

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
            races._patience.spend()
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

    def _begin_launch(self, *grid: int) -> None:
        self._conclude()
        kernel = self._kernel()
        tickets = Tickets(math.prod(grid), self._in_turns)
        self._launch = Launch(kernel, tickets) if kernel is not None else None

    def _begin_program(self, *_: Any) -> None:
        if self._launch is not None:
            self._launch.tickets.program += 1
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
        if self._launch is None or self._launch.tickets.is_a_counter(int(ptrs.data.flat[0])):
            return  # a draw orders as `Tickets.order` says
        if not is_own:
            self._launch.n_acquired[-1] += met.acquires and "ACQUIRE" in said
            self._launch.n_released[-1] += met.releases and "RELEASE" in said

    def _note(self, kind: int, ptrs: Any, mask: Any, value: Any) -> None:
        import numpy as np

        launch = self._launch
        if launch is None:
            return
        self._patience.spend()
        if launch.n_accesses > MAX_ACCESSES:
            return
        addresses = np.asarray(ptrs.data)
        chosen = ... if mask is None else np.broadcast_to(mask.data, addresses.shape)
        touched = addresses[chosen].reshape(-1)
        if kind == READ:
            touched = np.unique(touched)
        launch.n_accesses += touched.size
        launch.draws.append(launch.tickets.n_draws)
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
        self._are_drawn_again |= launch.tickets.are_drawn_again
        if self._in_turns and not ordering.is_possible(launch):
            return
        if launch.n_accesses <= MAX_ACCESSES:
            self._found = ordering.race(launch)
