"""Launches of what `warmup` compiled pass through whoever hooked `run`; by stand-ins for Triton's
classes, since the real ones launch on a device alone (`tests/gpu/try_timing.py` has them)."""

from __future__ import annotations

from typing import Any

import pytest

from whet_evaluator.worker import warmed


class Classes:
    """Fresh ones for each test, since they are hooked."""

    def __init__(self) -> None:
        self.launched: list[tuple[Any, ...]] = []
        launched = self.launched

        class Compiled:
            def __getitem__(self, grid: Any) -> Any:
                return lambda *args, stream=None: launched.append((grid, args, stream))

        class Jit:
            arg_names = ("x", "n", "BLOCK")
            compiled = Compiled()

            def run(self, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
                if not warmup:
                    launched.append((grid, args, "by run"))
                return self.compiled

        self.jit_class, self.compiled_class, self.jit = Jit, Compiled, Jit()
        warmed.install(Jit, Compiled)
        warmed.install(Jit, Compiled)
        self.seen: list[tuple[Any, ...]] = []
        run, seen = Jit.run, self.seen

        def noted(jit: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> Any:
            seen.append((args, grid, warmup, kwargs))
            return run(jit, *args, grid=grid, warmup=warmup, **kwargs)

        Jit.run = noted  # type: ignore[method-assign]


def test_a_launch_of_what_warmup_compiled_is_seen_once_and_made_once() -> None:
    made = Classes()
    compiled = made.jit.run("x", 3, BLOCK=64, num_warps=8, grid=(1,), warmup=True)
    assert made.launched == []
    made.seen.clear()
    compiled[(4, 1, 1)]("x", 3, 64, stream=7)
    assert made.seen == [(("x", 3, 64), (4, 1, 1), False, {"num_warps": 8})]
    assert made.launched == [((4, 1, 1), ("x", 3, 64), 7)]
    made.jit.run("x", 3, grid=(2,), warmup=False)
    assert made.launched[1:] == [((2,), ("x", 3), "by run")]


def test_what_nobody_compiled_here_is_launched_as_ever() -> None:
    made = Classes()
    made.compiled_class()[(4, 1, 1)]("x", 3, 64)
    assert made.seen == []
    assert made.launched == [((4, 1, 1), ("x", 3, 64), None)]


def test_a_launch_that_a_hook_keeps_back_leaves_nothing_behind() -> None:
    made = Classes()
    compiled = made.jit.run("x", 3, grid=(1,), warmup=True)
    hooked = made.jit_class.run

    def refusing(*_: Any, **__: Any) -> None:
        raise RuntimeError("kept back")

    made.jit_class.run = refusing  # type: ignore[assignment, method-assign]
    with pytest.raises(RuntimeError, match="kept back"):
        compiled[(1, 1, 1)]("x", 3, 64)
    made.jit_class.run = hooked  # type: ignore[method-assign]
    made.jit.run("x", 3, grid=(2,), warmup=False)
    assert made.launched == [((2,), ("x", 3), "by run")]
