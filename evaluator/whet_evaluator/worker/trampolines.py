"""Swapping a function's code: the object stays, so nobody who holds it is missed."""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any


def copied(function: types.FunctionType) -> types.FunctionType:
    """The function under another identity, which keeps the code when the first is swapped."""
    copied = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied


def trampoline(code: types.CodeType, hook: Callable[..., Any]) -> types.CodeType:
    """Code in `code`'s place that calls `hook`, which sits among its constants: no name is added anywhere."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        scope: dict[str, Any] = {}
        exec("def call(*args, **kwargs):\n    return 'hook'(*args, **kwargs)\n", scope)
    template: types.CodeType = scope["call"].__code__
    constants = tuple(hook if c == "hook" else c for c in template.co_consts)
    return template.replace(
        co_consts=constants,
        co_filename=code.co_filename,
        co_firstlineno=code.co_firstlineno,
        co_name=code.co_name,
        co_freevars=code.co_freevars,  # a closure's code can only be swapped for a closure's
    )
