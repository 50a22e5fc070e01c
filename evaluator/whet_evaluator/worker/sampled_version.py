"""One version under the clock: the calls that make a sample, and what they left to be checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[Any], "list[Any]"]


@dataclass
class SampledVersion:
    """`graph` is captured anew for each round, and None where calls are made one by one."""

    run: Run
    graph: Any = None
    kept: list[Any] = field(default_factory=list)
    """What one call of the latest sample made; which one is not known while it runs."""
    position: int = 0
    """That call's place in the sample; -1 keeps none."""
    after_us: list[float] = field(default_factory=list)

    def calls(self, sets: list[Any]) -> Callable[[], None]:
        """Calls once with each of `sets`, which a graph has captured already."""
        if self.graph is not None:
            return self.graph.replay  # type: ignore[no-any-return]
        position, run = self.position, self.run

        def calls() -> None:
            for i, inputs in enumerate(sets):
                made = run(inputs)
                if i == position:
                    self.kept = made

        return calls
