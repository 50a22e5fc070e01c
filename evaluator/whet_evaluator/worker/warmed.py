"""Launches of a kernel that `warmup` compiled: `compiled[grid](...)`, as Triton's own softmax
tutorial has them.

They do not pass through `JITFunction.run`, which is where launches are recorded and proven. Here
they are sent there once more: everything that is hooked onto `run` afterwards sees them like any
other launch, with the arguments in the kernel's order and the options that it was compiled with.
"""

from __future__ import annotations

from typing import Any

_MADE_BY = "_whet_made_by"
"""The attribute of a compiled kernel that leads back to its function and options."""


def install(jit_class: Any, compiled_class: Any) -> None:
    """Call before anybody hooks `jit_class.run`. Twice is once."""
    if hasattr(compiled_class, _MADE_BY):
        return
    setattr(compiled_class, _MADE_BY, None)
    waiting: list[Any] = []
    run, getitem = jit_class.run, compiled_class.__getitem__

    def run_or_launch(jit: Any, *args: Any, **kwargs: Any) -> Any:
        if waiting:
            return waiting.pop()(*args)
        made = run(jit, *args, **kwargs)
        if isinstance(made, compiled_class) and getattr(made, _MADE_BY) is None:
            setattr(made, _MADE_BY, (jit, _options(jit, kwargs)))
        return made

    def sent_round(compiled: Any, grid: Any) -> Any:
        launch, made_by = getitem(compiled, grid), getattr(compiled, _MADE_BY)
        if made_by is None:
            return launch
        jit, options = made_by

        def launched(*args: Any, stream: Any = None) -> Any:
            waiting.append(lambda *given: launch(*given, stream=stream))
            try:
                return type(jit).run(jit, *args, grid=grid, warmup=False, **options)
            finally:
                waiting.clear()  # whoever is hooked may have kept it from being launched

        return launched

    jit_class.run, compiled_class.__getitem__ = run_or_launch, sent_round


def _options(jit: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    taken = {"grid", "warmup", *jit.arg_names}
    return {name: value for name, value in kwargs.items() if name not in taken}
