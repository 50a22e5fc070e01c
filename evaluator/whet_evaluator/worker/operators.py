"""Torch's operators as they run: by name, with what each was given, made and wrote to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

_WRAPPERS = ("TensorDescriptor", "TensorWrapper")
"""Triton's, made on the host: of `triton.tools.tensor_descriptor` and of `triton.reinterpret`."""


def caller(torch: Any) -> CodeType:
    """The code that asked for the operator being dispatched: the nearest that is not torch's."""
    inside = os.path.dirname(torch.__file__) + os.sep
    frame: Any = sys._getframe(1)
    while frame.f_back and frame.f_code.co_name != "__torch_dispatch__":
        frame = frame.f_back
    frame = frame.f_back or frame
    while frame.f_back and frame.f_code.co_filename.startswith(inside):
        frame = frame.f_back
    return frame.f_code  # type: ignore[no-any-return]


def mode(torch: Any, seen: Callable[[Any, Any, Any], Any]) -> Any:
    from torch.utils._python_dispatch import TorchDispatchMode

    class Operators(TorchDispatchMode):  # type: ignore[misc]
        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return "torch._dynamo" in sys.modules  # what nobody imported need not be kept out

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            body = _python_body(torch, func, args)
            if body is None:
                return seen(func, args, kwargs or {})
            with self:  # what it does is seen as if the launcher did it
                return body(*args, **(kwargs or {}))

    return Operators()


def _python_body(torch: Any, function: Any, args: Any) -> Any:
    """The Python function behind an operator made by `torch.library.custom_op` or `triton_op`;
    None for every other. Torch keeps them in a table of its own (`_library.custom_ops`)."""
    table = getattr(getattr(torch._library, "custom_ops", None), "OPDEFS", {})
    made = table.get(function._schema.name)
    bodies = getattr(made, "_backend_fns", {})
    devices = [tensor.device.type for tensor in tensors(torch, args)]
    return bodies.get(devices[0] if devices else None) or bodies.get(None)


def base_name(function: Any) -> str:
    """`softmax` of `aten::_softmax.int`; the namespace stays where it is not torch's own."""
    namespace, _, name = str(function._schema.name).rpartition("::")
    return name if namespace in {"aten", "prims", "prim"} else f"{namespace}::{name}"


def written(function: Any, args: Any, kwargs: Any, torch: Any) -> list[Any]:
    """Arguments that the operator's schema says it writes to."""
    found = []
    for position, argument in enumerate(function._schema.arguments):
        info = argument.alias_info
        if info is not None and info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += tensors(torch, value)
    return found


def tensors(torch: Any, value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors(torch, item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors(torch, item)]
    if type(value).__name__ in _WRAPPERS:
        return tensors(torch, value.base)
    return []


def memory(tensor: Any) -> int:
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):  # a tensor without storage: sparse, meta
        return -id(tensor)
