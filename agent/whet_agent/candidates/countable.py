"""Which sweep variants a run without a clock can tell from the original. Pure.

Warps, stages, scheduling options, caching hints and more configurations for the autotuner
(pinned on the interpreter) move the same bytes: counting sees no difference, so testing
them would only cost time. Block sizes change what is loaded, and of several variants with
the same sizes the first stands for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

_CHANGE = re.compile(
    r"(?P<name>[A-Za-z_]\w*)(?:=\d+| (?P<change>\d+(?:, \d+)*(?: \(default\))? -> \d+(?:, \d+)*))"
)
_UNCOUNTED = frozenset({
    "num_warps", "num_stages", "num_ctas", "maxnreg", "waves_per_eu", "matrix_instr_nonkdim",
    "kpack",
})  # fmt: skip


class HasStrategy(Protocol):
    """A variant that says in words what it changes, as `sweep.Variant` does."""

    @property
    def strategy(self) -> str: ...


V = TypeVar("V", bound=HasStrategy)


def countable(variants: Iterable[V]) -> Iterator[V]:
    """The variants whose counted traffic can differ, in the same order."""
    seen: set[tuple[tuple[str, str], ...]] = set()
    for variant in variants:
        sizes = tuple(
            (found["name"], found["change"] or found[0])
            for found in _CHANGE.finditer(variant.strategy)
            if found["name"] not in _UNCOUNTED
        )
        if sizes and sizes not in seen:
            seen.add(sizes)
            yield variant
