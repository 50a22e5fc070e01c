"""Proof that a kernel of the unit made the outputs: where each byte of them came from.

While a launcher runs, every storage carries a label: whether a kernel of the unit has
written to it, and which computing operators of torch (or foreign kernels) its content went
through. A kernel's written storages inherit the operators of whatever it was given, so a
kernel that copies what torch computed proves nothing. Operators that only move or make
memory (views, copies, casts, fills) are no computation; neither are operators on little
data beside the call's largest tensor (offsets of sequences, partial sums), for honest
rewrites have them.

What an original does, its candidate may do (`proof_verdict`). A launch is taken to have written
what has changed in memory, which holds for both versions alike since outputs start as poison; and
what was nothing but zeros before it and after it, to which an honest kernel may have added zeros.
"""

from __future__ import annotations

import importlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import operators, streams
from .proof_verdict import Origin

_INTERPRETER = os.path.join("triton", "runtime", "interpreter.py")
_COPIES = frozenset(("_to_cpu", "_init_args_hst", "_from_cpu", "_restore_args_dev"))
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
            with operators.mode(self._torch, self._operator):
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
        if self._within_kernel and self._is_launchers_own():
            return result
        given = operators.tensors(self._torch, (args, kwargs))
        made = operators.tensors(self._torch, result)
        label = _Label()
        for tensor in given:
            label = label.joined(self._label(tensor))
        name = operators.base_name(function)
        if name == "_local_scalar_dense":
            self._numbers |= label.through
        source = self._label(args[1]) if name == "copy_" else label
        if name.rstrip("_") not in _MOVES and name not in _MOVES:
            label = self._computed(name, label, given, made)
        before = {operators.memory(tensor) for tensor in given}
        for tensor in made:
            fresh = operators.memory(tensor) not in before
            self._labels[operators.memory(tensor)] = (
                label if fresh else self._label(tensor).joined(label)
            )
        for tensor in operators.written(function, args, kwargs, self._torch):
            self._labels[operators.memory(tensor)] = self._label(tensor).joined(label)
        if name == "copy_" and self._covers(args[0]):  # nothing is left of what lay there
            self._labels[operators.memory(args[0])] = source
        return result

    def _is_launchers_own(self) -> bool:
        """What the interpreter copies to and fro, and what is compared here; not what a grid's
        function or a hook computes on the way."""
        code = operators.caller(self._torch)
        if code.co_filename == __file__:
            return True
        return code.co_name in _COPIES and code.co_filename.endswith(_INTERPRETER)

    def _covers(self, tensor: Any) -> bool:
        """Whether it holds all that a kernel was given of its memory."""
        n_bytes = tensor.numel() * tensor.element_size()
        return (
            n_bytes >= self._given_bytes.get(operators.memory(tensor), 0)
            and 0 not in tensor.stride()
        )

    def _computed(self, name: str, label: _Label, given: list[Any], made: list[Any]) -> _Label:
        n_in = max((tensor.numel() for tensor in given), default=0)
        self._n_in[name] += n_in  # over the whole call: in small pieces it is as much
        n_out = max((tensor.numel() for tensor in made), default=0)
        little = self._n_in[name] < self._threshold
        named = frozenset({f"torch's {name}"})
        is_first = not named & label.sums  # in steps of few any number can be added up
        partial = label.kernel and name in _SUMS and n_in <= FEW * max(1, n_out) and is_first
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
        given = operators.tensors(self._torch, (args, kwargs))
        storages = {operators.memory(tensor): tensor for tensor in given}
        before = {memory: self._bytes(tensor) for memory, tensor in storages.items()}
        result = original(jit, *args, **kwargs)
        label = self._label_of_kernel(jit)
        for address in _integers((args, kwargs)):
            own = self._labels.get(address, _Label())  # a pointer passed as a number
            label = label.joined(_Label(through=own.through, sums=own.sums))
        for tensor in given:
            own = self._label(tensor)
            label = label.joined(_Label(through=own.through, sums=own.sums))
            n_bytes = tensor.numel() * tensor.element_size()
            memory = operators.memory(tensor)
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
        return self._labels.get(operators.memory(tensor), _Label())

    def _bytes(self, tensor: Any) -> Any:
        """A copy of the whole storage, None where it is too large to compare."""
        storage = tensor.untyped_storage()
        if storage.nbytes() > _MAX_COMPARED_BYTES:
            return None
        torch = self._torch
        view = torch.empty(0, dtype=torch.uint8, device=storage.device)
        return view.set_(storage, 0, (storage.nbytes(),), (1,)).clone()


def _integers(value: Any) -> Iterator[int]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _integers(item)
    elif isinstance(value, dict):
        yield from _integers(tuple(value.values()))
    elif type(value) is int:
        yield value
