"""Proof that a kernel of the unit made the outputs: where each byte of them came from.

While a launcher runs, every storage carries a label: whether a kernel of the unit has
written to it, and which computing operators of torch (or foreign kernels) its content went
through. A kernel's written storages inherit the operators of whatever it was given, so a
kernel that copies what torch computed proves nothing. Operators that only move or make
memory (views, copies, casts, fills) are no computation; neither are operators on little
data beside the call's largest tensor (offsets of sequences, partial sums), for honest
rewrites have them.

What an original does, its candidate may do: `judge` compares two records and runs where
neither version was imported. A launch is taken to have written what has changed in memory,
which holds for both versions alike since outputs start as poison; and what was nothing but
zeros before it and after it, to which an honest kernel may have added zeros.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Union

from . import streams

Origin = dict[str, Any]
"""One tensor's label as JSON: `{"kernel": bool, "through": [names of operators], "sums":
[names of operators]}`. `sums` are those that added up few partial results of a kernel: nothing
to object to, but an original that has them may be rewritten with more parts."""

LARGE = 4
"""An operator counts from a quarter of the elements of the call's largest tensor."""
FEW = 64
"""Adding up at most this many partial results of a kernel is part of many honest splits, such
as the gradient of a weight by as many groups of rows."""
_MIN_ELEMENTS = 16
_MAX_COMPARED_BYTES = 512 << 20
_MOVES = frozenset((
    "_local_scalar_dense", "_pin_memory", "_reshape_alias", "_reshape_copy", "_to_copy",
    "_unsafe_view", "alias", "arange", "as_strided", "broadcast_to", "cat", "clone",
    "constant_pad_nd", "contiguous", "copy", "copy_", "detach", "detach_", "diagonal", "dropout",
    "empty", "empty_like", "empty_permuted", "empty_strided", "equal", "expand", "fill", "fill_",
    "flatten", "full", "full_like", "is_pinned", "is_same_size", "item", "lift",
    "lift_fresh", "lift_fresh_copy", "movedim", "narrow", "new_empty", "new_empty_strided",
    "new_full", "new_ones", "new_zeros", "normal_", "numel", "ones", "ones_like", "permute",
    "pin_memory", "positive", "rand", "rand_like", "randint", "randn", "randn_like", "random_",
    "record_stream", "repeat", "reshape", "resize_", "resolve_conj", "resolve_neg",
    "scalar_tensor", "select", "set_", "size", "slice", "split", "split_with_sizes", "squeeze",
    "squeeze_", "stack", "storage_offset", "stride", "t", "t_", "to", "transpose", "transpose_",
    "unbind", "unfold", "uniform_", "unsafe_split", "unsafe_view", "unsqueeze", "unsqueeze_",
    "view", "view_as", "view_as_complex", "view_as_real", "zero", "zero_", "zeros", "zeros_like",
))  # fmt: skip
_SUMS = frozenset(("sum", "amax", "amin", "max", "min", "any", "all", "prod", "mean", "logsumexp"))


@dataclass(frozen=True)
class _Label:
    kernel: bool = False
    through: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()

    def joined(self, other: _Label) -> _Label:
        return _Label(
            self.kernel or other.kernel, self.through | other.through, self.sums | other.sums
        )


@dataclass(frozen=True)
class Trick:
    """What a comparison of two records showed."""

    reason: str
    detail: str


class Proof:
    """One per process. `install` hooks launches; `watching` makes one record."""

    def __init__(self, torch: Any, unit_file: str) -> None:
        self._torch = torch
        self._weakly = importlib.import_module("torch.multiprocessing.reductions").StorageWeakRef
        self._unit_file = os.path.realpath(unit_file)
        self._labels: dict[int, _Label] = {}
        self._written_before: frozenset[int] = frozenset()
        """Memory that kernels wrote in the record before and that was kept since: in a second run
        on equal inputs they leave there what lies there."""
        self._written: dict[int, Any] = {}
        """Weak references to the storages that kernels were given, by memory."""
        self._given_bytes: dict[int, int] = {}
        """By memory, the most that a kernel was given of it."""
        self._n_in: Counter[str] = Counter()
        self._watching = False
        self._within_kernel = 0
        self._threshold = 0
        self._numbers: frozenset[str] = frozenset()
        """What torch computed that became a number of Python's, which no label follows."""

    def install(self, *jit_classes: Any) -> None:
        """Hooks `run` of Triton's classes of launchable functions."""
        for jit_class in jit_classes:
            jit_class.run = self._hooked(jit_class.run)

    @contextmanager
    def watching(self, inputs: Sequence[Any], *, again: bool = False) -> Iterator[None]:
        """Labels storages from here on. `inputs` are the call's tensors; `again` says that the
        record before was of the same call on equal values."""
        kept = [memory for memory, storage in self._written.items() if not storage.expired()]
        written = [memory for memory in kept if self._labels.get(memory, _Label()).kernel]
        self._written_before = frozenset(written if again else ())
        self._labels, self._given_bytes, self._written = {}, {}, {}
        self._numbers = frozenset()
        self._n_in.clear()
        largest = max((tensor.numel() for tensor in inputs), default=0)
        self._threshold = max(_MIN_ELEMENTS, largest // LARGE)
        self._watching = True
        try:
            with _mode(self._torch, self._operator):
                yield
        finally:
            self._watching = False

    def origins(self, made: Sequence[tuple[str, Any]]) -> dict[str, Origin]:
        """By role, where the elements of tensors come from. Empty tensors have no origin."""
        found = {}
        for role, tensor in made:
            if tensor.numel():
                label = self._label(tensor)
                # An input that nobody wrote to is no product of a number.
                numbers = self._numbers if label.kernel or label.through else frozenset()
                found[role] = {
                    "kernel": label.kernel,
                    "through": sorted(label.through | numbers),
                    "sums": sorted(label.sums),
                }
        return found

    # ---- what is seen -----------------------------------------------------------------

    def _operator(self, function: Any, args: Any, kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if self._within_kernel:
            return result
        given = _tensors(self._torch, (args, kwargs))
        made = _tensors(self._torch, result)
        label = _Label()
        for tensor in given:
            label = label.joined(self._label(tensor))
        name = _base_name(function)
        if name == "_local_scalar_dense":
            self._numbers |= label.through
        source = self._label(args[1]) if name == "copy_" else label
        if name.rstrip("_") not in _MOVES and name not in _MOVES:
            label = self._computed(name, label, given, made)
        before = {_memory(tensor) for tensor in given}
        for tensor in made:
            fresh = _memory(tensor) not in before
            self._labels[_memory(tensor)] = label if fresh else self._label(tensor).joined(label)
        for tensor in _written(function, args, kwargs, self._torch):
            self._labels[_memory(tensor)] = self._label(tensor).joined(label)
        if name == "copy_" and self._covers(args[0]):  # nothing is left of what lay there
            self._labels[_memory(args[0])] = source
        return result

    def _covers(self, tensor: Any) -> bool:
        """Whether it holds all that a kernel was given of its memory."""
        n_bytes = tensor.numel() * tensor.element_size()
        return n_bytes >= self._given_bytes.get(_memory(tensor), 0) and 0 not in tensor.stride()

    def _computed(self, name: str, label: _Label, given: list[Any], made: list[Any]) -> _Label:
        n_in = max((tensor.numel() for tensor in given), default=0)
        self._n_in[name] += n_in  # over the whole call: in small pieces it is as much
        n_out = max((tensor.numel() for tensor in made), default=0)
        little = self._n_in[name] < self._threshold
        partial = label.kernel and name in _SUMS and n_in <= FEW * max(1, n_out)
        named = frozenset({f"torch's {name}"})
        if partial:
            return label.joined(_Label(sums=named))
        return label if little else label.joined(_Label(through=named))

    def _hooked(self, original: Callable[..., Any]) -> Callable[..., Any]:
        proof = self

        def run(jit: Any, *args: Any, **kwargs: Any) -> Any:
            streams.note_launch()
            if not proof._watching or proof._within_kernel or kwargs.get("warmup"):
                return original(jit, *args, **kwargs)
            proof._within_kernel += 1
            try:
                return proof._launched(jit, original, args, kwargs)
            finally:
                proof._within_kernel -= 1

        return run

    def _launched(self, jit: Any, original: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        given = _tensors(self._torch, (args, kwargs))
        storages = {_memory(tensor): tensor for tensor in given}
        before = {memory: self._bytes(tensor) for memory, tensor in storages.items()}
        result = original(jit, *args, **kwargs)
        label = self._label_of_kernel(jit)
        for tensor in given:
            own = self._label(tensor)
            label = label.joined(_Label(through=own.through, sums=own.sums))
            n_bytes = tensor.numel() * tensor.element_size()
            memory = _memory(tensor)
            self._written[memory] = self._weakly(tensor.untyped_storage())
            self._given_bytes[memory] = max(n_bytes, self._given_bytes.get(memory, 0))
        for memory, tensor in storages.items():
            known = memory in self._written_before
            if known or self._may_have_written(tensor, before[memory]):
                self._labels[memory] = self._label(tensor).joined(label)
        return result

    def _may_have_written(self, tensor: Any, before: Any) -> bool:
        """Whether its memory changed, or holds nothing but zeros where the tensor lies. `before`
        is None where there was too much of it."""
        if before is None or not bool((before == self._bytes(tensor)).all()):
            return True
        own = tensor.detach().contiguous().reshape(-1).view(self._torch.uint8)
        return not bool(own.any())

    def _label_of_kernel(self, jit: Any) -> _Label:
        code = getattr(getattr(jit, "fn", None), "__code__", None)
        if code is not None and os.path.realpath(code.co_filename) == self._unit_file:
            return _Label(kernel=True)
        name = getattr(getattr(jit, "fn", None), "__name__", "?")
        return _Label(through=frozenset({f"the kernel {name} of another file"}))

    def _label(self, tensor: Any) -> _Label:
        return self._labels.get(_memory(tensor), _Label())

    def _bytes(self, tensor: Any) -> Any:
        """A copy of the whole storage, None where it is too large to compare."""
        storage = tensor.untyped_storage()
        if storage.nbytes() > _MAX_COMPARED_BYTES:
            return None
        torch = self._torch
        view = torch.empty(0, dtype=torch.uint8, device=storage.device)
        return view.set_(storage, 0, (storage.nbytes(),), (1,)).clone()


Record = Union[dict[str, Any], None]
"""`{"origins": {role: Origin}, "launches": {kernel: n}}` of one run, None if not watched."""


def judge(original: Record, candidate: Record) -> Trick | None:
    """What the candidate's run shows that the original's does not. Pure."""
    if original is None or candidate is None:
        return None
    allowed = {n for o in original["origins"].values() for n in (*o["through"], *o["sums"])}
    for role, origin in sorted(candidate["origins"].items()):
        foreign = [name for name in origin["through"] if name not in allowed]
        if foreign:
            return Trick(
                "somebody else's code did the work",
                f"{role} went through {', '.join(foreign)}, which the original does not use",
            )
    if original["launches"] and not candidate["launches"]:
        kernels = ", ".join(sorted(original["launches"]))
        return Trick(
            "the kernel was not launched",
            f"the original launches {kernels} in this call, the candidate no kernel of the unit",
        )
    for role, origin in sorted(candidate["origins"].items()):
        known = original["origins"].get(role)
        if known is not None and known["kernel"] and not origin["kernel"]:
            return Trick(
                "no kernel computed the output",
                f"{role} was written by a kernel of the unit in the original, not here",
            )
    return None


def _mode(torch: Any, seen: Callable[[Any, Any, Any], Any]) -> Any:
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
    devices = [tensor.device.type for tensor in _tensors(torch, args)]
    return bodies.get(devices[0] if devices else None) or bodies.get(None)


def _base_name(function: Any) -> str:
    """`softmax` of `aten::_softmax.int`; the namespace stays where it is not torch's own."""
    namespace, _, name = str(function._schema.name).rpartition("::")
    return name if namespace in {"aten", "prims", "prim"} else f"{namespace}::{name}"


def _written(function: Any, args: Any, kwargs: Any, torch: Any) -> list[Any]:
    """Arguments that the operator's schema says it writes to."""
    found = []
    for position, argument in enumerate(function._schema.arguments):
        info = argument.alias_info
        if info is not None and info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found += _tensors(torch, value)
    return found


def _tensors(torch: Any, value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(torch, item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _tensors(torch, item)]
    if type(value).__name__ == "TensorDescriptor":  # Triton's, made on the host
        return _tensors(torch, value.base)
    return []


def _memory(tensor: Any) -> int:
    try:
        return int(tensor.untyped_storage().data_ptr())
    except (RuntimeError, NotImplementedError):  # a tensor without storage: sparse, meta
        return -id(tensor)
