"""Autotuned kernels while cases are run: every configuration has its turn, none is timed.

A clock would pick by luck. So a case runs with one configuration of those left after
pruning, the next case with the next one. There are often more of them than cases, and most
differ in warps and stages alone. Hence those that compute something else come first, and
neighbours in the list, which mostly are of one kind, lie far apart in this order.

Tuning itself runs a kernel several times over the same memory, once for each new key, which
a kernel that changes its input survives only with `restore_value` or `reset_to_zero`. That
happens in runs within `tuned`, and there by Triton's own code, which calls all hooks; only
the benchmark is a single call. It must not happen in runs by which values are judged: an
original that tuning damages is right from the second call on, which is what its tests and
users see, and a candidate that is always right equals that. A run within `tuned` is held
against the version's own first run instead, and only where the original's stays the same.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass
class _State:
    """One for the whole process, since there is one tuner class."""

    turn: int = 0
    tuning: bool = False
    n_tunings: int = 0
    n_configs: int = 0
    """The most that one tuner had left to choose from since the turn began."""
    begun: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    """Tuners whose choices are of this turn."""


_state = _State()


def install() -> None:
    """Once per process, after the interpreter's stand-ins: what those hide is used here."""
    from triton.runtime.autotuner import Autotuner

    real_run = Autotuner.run
    real_prune, real_bench = map(inspect.unwrap, (Autotuner.prune_configs, Autotuner._bench))

    def prune(self: Any, *args: Any, **kwargs: Any) -> Any:
        left = list(real_prune(self, *args, **kwargs))
        _state.n_configs = max(_state.n_configs, len(left))
        chosen = ordered(left)[_state.turn % len(left)]
        # A single one is not benched. Another one could write what the chosen one leaves out.
        return [chosen, chosen] if _state.tuning and len(left) > 1 else [chosen]

    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self not in _state.begun:
            _state.begun.add(self)
            self.cache = {}
            self.cache_results = False  # on disk
        return real_run(self, *args, **kwargs)

    def bench(self: Any, *args: Any, config: Any, **meta: Any) -> Any:
        if not _state.tuning:  # Triton 3.6 benches even a single one
            return _NO_TIME
        _state.n_tunings += 1
        return real_bench(self, *args, config=config, **meta)

    Autotuner.prune_configs = prune
    Autotuner.run = run
    Autotuner._bench = bench
    Autotuner.do_bench = property(lambda self: _once)


def turn(number: int) -> None:
    """Which configuration comes next."""
    _state.turn, _state.n_configs = number, 0
    _state.begun.clear()


@contextlib.contextmanager
def tuned() -> Iterator[None]:
    """Within, kernels are tuned as if for the first time, and then run as in this turn."""
    _state.begun.clear()
    _state.tuning = True
    try:
        yield
    finally:
        _state.tuning = False


def n_tunings() -> int:
    """How often tuning has run a kernel so far."""
    return _state.n_tunings


def n_configs() -> int:
    """How many configurations the longest list held in this turn, after pruning."""
    return _state.n_configs


def ordered(configs: Sequence[Any]) -> list[Any]:
    """Those with new constants first, and no part of the list late as a whole."""
    seen: Counter[str] = Counter()
    ranks = []
    for number, config in enumerate(configs):
        constants = repr((sorted(config.kwargs.items()), id(config.pre_hook)))
        ranks.append((seen[constants], number * _GOLDEN % 1, number))
        seen[constants] += 1
    return [configs[number] for _, _, number in sorted(ranks)]


_NO_TIME = (0.0, 0.0, 0.0)


def _once(call: Callable[[], Any], **_: Any) -> tuple[float, ...]:
    call()
    return _NO_TIME
