"""Launches of tensors that nobody has the memory for, on the interpreter: only the outermost
programs run, on memory that is never filled.

Offsets that outgrow 32 bits, an axis of the grid that ends at 65535, a block as large as its
tensor are right at every size that can be computed. Here the operating system gives pages of
zeros for what is touched and nothing for the rest, a launch runs the first and the last program
of each axis, and what is asked is whether the launcher raises and whether an access falls
outside every tensor. Values mean nothing.
"""

from __future__ import annotations

import builtins
import contextlib
import re
import signal
import types
from collections.abc import Callable, Iterator
from typing import Any

from .. import integrity
from .inputs import Inputs
from .outputs import NOT_RUN

LIMIT_S = 1.0
"""A launcher that walks all of its input on the host, or a program that does, is given up."""
GRID_ENDS = (2**31 - 1, 65535, 65535)
"""Programs along each axis: CUDA's programming guide, table of compute capabilities; HIP's
`maxGridSize` of CDNA devices is no smaller."""
_FEW_PROGRAMS = 64
_NO_MEMORY = re.compile(r"alloc|memory", re.IGNORECASE)
_MAX_MESSAGE = 300


class _TooLong(BaseException):
    """Not an `Exception`, so that no launcher takes it for its own."""


class Dry:
    """One per process. Installed before the unit is imported; dormant outside of `call`."""

    def __init__(self) -> None:
        self._on = False

    def install(self, interpreter: Any) -> None:
        """Wraps the launch of `triton.runtime.interpreter`. Before anybody else does: its loops
        over the grid take their `range` from here, in a copy of the function's own, since what
        is set in that module lands among the globals of users' modules."""
        executor, builder = interpreter.GridExecutor, interpreter.InterpreterBuilder
        launch = executor.__call__

        def outermost(self_: Any, *args: Any, **kwargs: Any) -> Any:
            around = {**vars(interpreter), "range": self._range}
            copied = types.FunctionType(launch.__code__, around, closure=launch.__closure__)
            return copied(self_, *args, **kwargs)

        self._unless_on(executor, "__call__", outermost)
        self._unless_on(executor, "_init_args_hst", lambda _, args, kwargs: (args, kwargs))
        self._unless_on(executor, "_restore_args_dev", lambda *_: None)
        set_grid_dim = builder.set_grid_dim

        def checked(self_: Any, *grid: int) -> Any:
            if self._on:
                _check_grid(grid)
            return set_grid_dim(self_, *grid)

        builder.set_grid_dim = checked

    def call(self, find: Callable[[], Callable[..., Any]], made: Inputs) -> str | None:
        """What the launcher raised, as in `outputs.Run`."""
        with integrity.around_call("a launcher"):
            return self._called(find, made)

    def _called(self, find: Callable[[], Callable[..., Any]], made: Inputs) -> str | None:
        try:
            function = find()
            args, kwargs = made.arguments(function)
            with self._running():
                function(*args, **kwargs)
        except _TooLong:
            return f"{NOT_RUN}: it takes more than {LIMIT_S:g} s even without its inner programs"
        except MemoryError:
            return f"{NOT_RUN}: this host has not the memory"
        except Exception as error:
            if isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)):
                return f"{NOT_RUN}: this host has not the memory"
            return f"{type(error).__name__}: {error}"[:_MAX_MESSAGE]
        return None

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        before = signal.signal(signal.SIGALRM, _give_up)
        self._on = True
        signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            self._on = False

    def _range(self, *bounds: int) -> Any:
        whole = builtins.range(*bounds)
        if not self._on or len(whole) <= _FEW_PROGRAMS:
            return whole
        return (whole[0], whole[-1])

    def _unless_on(self, owner: Any, name: str, instead: Callable[..., Any]) -> None:
        real = getattr(owner, name)

        def either(self_: Any, *args: Any, **kwargs: Any) -> Any:
            return (instead if self._on else real)(self_, *args, **kwargs)

        setattr(owner, name, either)


def _check_grid(grid: tuple[int, ...]) -> None:
    for axis, (n, end) in enumerate(zip(grid, GRID_ENDS)):
        if n > end:
            raise ValueError(f"a grid of {n:,} programs along axis {axis}, which ends at {end:,}")


def _give_up(*_: Any) -> None:
    raise _TooLong
