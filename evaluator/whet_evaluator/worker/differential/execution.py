"""One execution of a launcher: its inputs, and everything it did to the world of its caller."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .. import integrity, streams
from ..proof import Proof
from ..returned import structure_of, tensors_in
from . import encoded, inputs
from .aftermath import Settings
from .forms import BETWEEN
from .holdings import Holdings
from .outputs import Output

_MAX_MESSAGE = 300


@dataclass(frozen=True)
class Made:
    raised: str | None
    structure: str
    plain: tuple[Any, ...]
    outputs: tuple[Output, ...]
    changed: tuple[int, ...]
    zones_intact: bool
    settings: tuple[str, ...] = ()
    live: tuple[Any, ...] = ()
    """The returned tensors themselves, beside the copies that begin `outputs`."""
    origins: dict[str, Any] | None = None
    together: tuple[tuple[int, int], ...] = ()
    """Pairs of outputs of which some element is the same memory."""
    is_work_left: bool = False
    """Whether a launch lies on a stream that nobody waited for (`streams`)."""
    held: dict[str, str] = field(default_factory=dict)
    """By place in the caller's lists, dicts and objects, what lies there now (`holdings`)."""


class Prepared:
    """A case's inputs, ready to be passed."""

    def __init__(self, torch: Any, case: dict[str, Any], device: str, *, shifted: bool) -> None:
        self._torch = torch
        self.with_backward = bool(case["call"].get("backward"))
        self.flow: str = case["call"].get("flow", "")
        """One of `forms.FLOWS`; empty for gradients as tests pass them."""
        self._is_disturbed = bool(case["call"].get("disturbed"))
        self._call = case["call"]
        self.is_again = shifted
        self._inputs = inputs.build(case, device, bare=shifted)

    @property
    def launcher(self) -> str:
        return str(self._call["launcher"])

    @property
    def tensors(self) -> list[Any]:
        """Every tensor among the arguments, in order of the call."""
        tensors: list[Any] = self._inputs.tensors
        return tensors

    def arguments(self, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        args, kwargs = self._inputs.arguments(function)
        return args, kwargs

    def holdings(self, args: list[Any], kwargs: dict[str, Any]) -> Holdings:
        """What these arguments hold, by the names of the launcher's parameters."""
        named = {encoded.parameter(self._call, ("args", n)): value for n, value in enumerate(args)}
        return Holdings({**named, **kwargs}, self.tensors)

    def zones_intact(self) -> bool:
        return bool(self._inputs.red_zones_intact())

    def extents(self) -> dict[int, tuple[int, int]]:
        return self._inputs.extents()

    def refill(self, case: dict[str, Any]) -> None:
        """Other values into the same memory."""
        self._inputs.refill(case)

    def disturb(self) -> None:
        """Writes to the inputs what they hold, where the case asks for it."""
        for tensor in self.tensors if self._is_disturbed else ():
            # An expanded tensor cannot be written to as a whole.
            with self._torch.no_grad(), contextlib.suppress(RuntimeError):
                tensor.copy_(tensor.clone())

    def nudge(self) -> None:
        """Moves every floating-point input by one ulp, up or down by its own bits."""
        torch = self._torch
        for tensor in self.tensors:
            if tensor.dtype.is_floating_point and tensor.numel():
                # An expanded tensor cannot be written to as a whole; it stays as it is.
                with torch.no_grad(), contextlib.suppress(RuntimeError):
                    tensor.copy_(_moved(torch, tensor.detach()))


class Execution:
    """`dump` numbers the inputs whose content afterwards is wanted though unchanged."""

    def __init__(
        self, torch: Any, prepared: Prepared, dump: list[int] | None, proof: Proof | None = None
    ) -> None:
        self._torch = torch
        self._prepared = prepared
        self._dump = set(dump or ())
        self._proof = proof
        self._origins: dict[str, Any] | None = None

    def of(self, find: Callable[[], Callable[..., Any]]) -> Made:
        prepared = self._prepared
        before = [_bits(self._torch, tensor) for tensor in prepared.tensors]
        raised, returned, gradients = None, None, []
        held: dict[str, str] = {}
        kept: list[tuple[str, Any]] = []
        settings = Settings(self._torch)
        check = integrity.sealed(f"while {prepared.launcher} ran")
        streams.begin()
        try:
            function = find()
            args, kwargs = prepared.arguments(function)
            holdings = prepared.holdings(args, kwargs)
            with self._watched():
                returned = function(*args, **kwargs)
                check()  # at once: what is exchanged for a moment is put back when it is used
                if prepared.flow == BETWEEN:
                    function(*map(_other, args), **{k: _other(v) for k, v in kwargs.items()})
                gradients = self._gradients(tensors_in(returned))
                check()
                held, kept = holdings.changed()
                self._note_origins(returned, gradients, kept)
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"[:_MAX_MESSAGE]
        is_work_left = streams.is_work_left()
        left_changed = settings.changed()
        changed = tuple(
            number
            for number, (tensor, bits) in enumerate(zip(prepared.tensors, before))
            if not bool((_bits(self._torch, tensor) == bits).all())
        )
        made = [] if raised else self._outputs(returned, gradients, changed, kept)
        plain: list[Any] = []
        live = () if raised else tuple(tensors_in(returned))
        structure = "" if raised else structure_of(returned, plain)
        check()
        return Made(
            raised, structure, tuple(plain), tuple(made), changed, prepared.zones_intact(),
            left_changed, live, self._origins, _together(self._torch, live), is_work_left,
            held,
        )  # fmt: skip

    def _watched(self) -> contextlib.AbstractContextManager[None]:
        if self._proof is None:
            return contextlib.nullcontext()
        return self._proof.watching(self._prepared.tensors, again=self._prepared.is_again)

    def _note_origins(
        self, returned: Any, gradients: list[Any], kept: list[tuple[str, Any]]
    ) -> None:
        """Before anything looks at the outputs: one that computes when it is read is seen so."""
        if self._proof is None:
            return
        made = [(f"output {n}", t) for n, t in enumerate(tensors_in(returned))]
        made += [(f"gradient {n}", t) for n, t in enumerate(gradients) if t is not None]
        made += [(f"input {n} afterwards", t) for n, t in enumerate(self._prepared.tensors)]
        made += [(f"{place} afterwards", t) for place, t in kept]
        self._origins = self._proof.origins(made)

    def _gradients(self, made: list[Any]) -> list[Any]:
        torch = self._torch
        if not self._prepared.with_backward:  # what the tests never ran may not exist
            return []
        wanted = [t for t in self._prepared.tensors if t.requires_grad and t.is_leaf]
        made = [tensor for tensor in made if tensor.requires_grad]
        if not made or not wanted:
            return []
        flow = self._prepared.flow
        made = made[:1] if flow == "first alone" else made
        weights = [_weights(torch, tensor) for tensor in made]
        if flow == "expanded":
            # One element, and others behind it for whoever takes the gradient for dense.
            weights = [w.flatten()[:1].expand(w.numel()).reshape(w.shape) for w in weights]
        self._prepared.disturb()
        if flow == "twice":
            torch.autograd.grad(made, wanted, weights, allow_unused=True, retain_graph=True)
        found = torch.autograd.grad(made, wanted, weights, allow_unused=True)
        return list(found)

    def _outputs(
        self, returned: Any, gradients: list[Any], changed: tuple[int, ...],
        kept: list[tuple[str, Any]],
    ) -> list[Output]:  # fmt: skip
        made = [(f"output {n}", t) for n, t in enumerate(tensors_in(returned))]
        made += [(f"gradient {n}", t) for n, t in enumerate(gradients) if t is not None]
        wanted = sorted(self._dump | set(changed))
        made += [(f"input {n} afterwards", self._prepared.tensors[n]) for n in wanted]
        made += [(f"{place} afterwards", tensor) for place, tensor in kept]
        return [self._output(role, tensor) for role, tensor in made]

    def _output(self, role: str, tensor: Any) -> Output:
        shares = None
        if role.startswith("output"):
            memory = tensor.untyped_storage().data_ptr()
            owners = [t.untyped_storage().data_ptr() for t in self._prepared.tensors]
            shares = owners.index(memory) if memory in owners and tensor.numel() else None
        kind = type(tensor).__name__
        data = tensor.detach().to("cpu").contiguous()
        dtype = str(data.dtype).removeprefix("torch.")
        return Output(
            role, kind, dtype, tuple(data.shape), shares, data,
            strides=tuple(tensor.stride()), requires_grad=bool(tensor.requires_grad),
        )  # fmt: skip


def _other(value: Any) -> Any:
    """Another tensor of the kind, with other numbers in it; what is no tensor stays."""
    if not hasattr(value, "untyped_storage") or not value.dtype.is_floating_point:
        return value
    made = value.detach().clone().neg_().sub_(1.0)
    return made.requires_grad_() if value.requires_grad else made


def _together(torch: Any, made: tuple[Any, ...]) -> tuple[tuple[int, int], ...]:
    """Outputs may be parts of one buffer; what counts is whether writing to one changes another."""
    return tuple(
        (i, j)
        for (i, one), (j, other) in itertools.combinations(enumerate(made), 2)
        if one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        and one.untyped_storage().nbytes()
        and _overlap(torch, one, other)
    )


def _overlap(torch: Any, one: Any, other: Any) -> bool:
    """Marks the bytes of one and looks at those of the other, in memory of its own."""
    marks = torch.zeros(one.untyped_storage().nbytes(), dtype=torch.bool)
    _bytes_of(marks, one).fill_(True)
    return bool(_bytes_of(marks, other).any())


def _bytes_of(marks: Any, tensor: Any) -> Any:
    size = tensor.element_size()
    strides = [stride * size for stride in tensor.stride()]
    return marks.as_strided([*tensor.shape, size], [*strides, 1], tensor.storage_offset() * size)


def _bits(torch: Any, tensor: Any) -> Any:
    """A copy of the elements as bytes, where the tensor lies."""
    return tensor.detach().contiguous().clone().reshape(-1).view(torch.uint8)


def _weights(torch: Any, tensor: Any) -> Any:
    """What flows back into an output: different for each element, and the same each time."""
    ramp = torch.arange(tensor.numel(), dtype=torch.float32) % 7 - 3.0
    ramp = (ramp / 4 + 0.125).to(tensor.dtype).reshape(tensor.shape)
    return ramp.to(tensor.device)


def _moved(torch: Any, tensor: Any) -> Any:
    wide = tensor.to(torch.float64)
    up = (wide.abs() * 1e6).to(torch.int64) % 2 == 0
    step = float(torch.finfo(tensor.dtype).eps)
    return (wide * torch.where(up, 1 + step, 1 - step)).to(tensor.dtype)
