"""Builds a case's inputs: fresh memory with guarded red zones around every storage.

Each storage lies inside a larger allocation whose bytes on both sides are a known
pattern. A kernel that writes past its tensor changes them; one that only reads there
reads something else when the pattern is another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from .. import rebuilding
from . import encoded, far, values

RED_ZONE_BYTES = 1 << 16
PATTERN = 0xA5


def build(
    case: dict[str, Any],
    device: str,
    *,
    bare: bool = False,
    pattern: int = PATTERN,
    filled: bool = True,
) -> Inputs:
    """Inputs of one case, equal for equal cases. `bare` storages are as a caller's: they begin where
    their memory does and end there, but for the zone behind them on a device, where a stray read
    may end the process. Not `filled`, their memory is never touched.

    Raises `rebuilding.UnreplayableError` for a value that cannot be rebuilt.
    """
    before = 0 if bare else RED_ZONE_BYTES
    behind = 0 if bare and _is_host(device) else RED_ZONE_BYTES
    made = Inputs(case, device, (before, behind), pattern)
    if filled:
        made.refill(case)
    return made


class Inputs:
    """`args` and `kwargs` to call the launcher with, and what they lie in."""

    def __init__(
        self, case: dict[str, Any], device: str, zones: tuple[int, int], pattern: int
    ) -> None:
        import torch

        self._torch: Any = torch
        self._device = device
        self._guarded: dict[int, _Guarded] = {}
        self._views: list[tuple[dict[str, Any], Any]] = []
        self._zones, self._pattern = zones, pattern
        call = case["call"]
        self._storages = _storages(call)
        self._n_bytes = _n_bytes(call)
        self.args: list[Any] = [self._decoded(a) for a in call["args"]]
        self.kwargs: dict[str, Any] = {k: self._decoded(a) for k, a in call["kwargs"].items()}

    @property
    def tensors(self) -> list[Any]:
        """Every tensor among the arguments, in order of the call."""
        return [tensor for _, tensor in self._views]

    def arguments(self, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments for a function of one version: objects are of that version's classes."""
        return rebuilding.bound_to(_module_of(function), self.args, self.kwargs)

    def refill(self, case: dict[str, Any]) -> None:
        """Draws the case's values into the same memory; red zones are made anew."""
        generator = self._torch.Generator().manual_seed(int(case["seed"]))
        for number, guarded in self._guarded.items():
            kind = case["values"].get(str(number), "normal")
            guarded.fill(kind, self._storages[number], generator)
        far_away = {number for number, kind in case["values"].items() if far.is_kind(kind)}
        self._write_recorded(lambda described: str(described["storage"]) not in far_away)

    def restore_integers(self) -> None:
        """Writes the recorded values, and zeros into other tensors of whole numbers. For inputs
        that were not filled."""
        with self._torch.no_grad():
            for described, tensor in self._views:
                if not tensor.dtype.is_floating_point and not described.get("values"):
                    tensor.detach().zero_()
        self._write_recorded(lambda _: True)

    def _write_recorded(self, wanted: Callable[[dict[str, Any]], bool]) -> None:
        with self._torch.no_grad():
            for described, tensor in self._views:
                if described.get("values") and wanted(described):
                    flat = self._torch.tensor(described["values"]).reshape(described["shape"])
                    _write(tensor.detach(), flat)

    def red_zones_intact(self) -> bool:
        """Whether no byte around any storage has changed."""
        return all(guarded.intact() for guarded in self._guarded.values())

    def extents(self) -> dict[int, tuple[int, int]]:
        """By address of an allocation, where in it the tensors' own bytes begin and end."""
        found = {}
        for guarded in self._guarded.values():
            base = guarded.memory.untyped_storage().data_ptr()
            found[base] = (base + guarded.start, base + guarded.end)
        return found

    def snapshot(self) -> list[Any]:
        """A copy of every tensor's elements as they are now, in `tensors`' order, on the CPU."""
        return [tensor.detach().to("cpu", copy=True) for tensor in self.tensors]

    def _decoded(self, argument: Any) -> Any:
        return rebuilding.rebuilt(argument, self._tensor, self._device)

    def _tensor(self, described: dict[str, Any]) -> Any:
        number = described["storage"]
        if number not in self._guarded:
            device = "cpu" if described.get("device") == "cpu" else self._device
            self._guarded[number] = _Guarded.allocate(
                self._n_bytes[number], device, self._zones, self._pattern
            )
        tensor = self._guarded[number].view(described)
        self._views.append((described, tensor))
        return tensor


@dataclass
class _Guarded:
    """One storage: bytes `start` to `end` of `memory` are the tensors', the rest is red."""

    memory: Any
    start: int
    end: int
    pattern: int

    @classmethod
    def allocate(cls, n_bytes: int, device: str, zones: tuple[int, int], pattern: int) -> _Guarded:
        import torch

        start, behind = zones
        size = start + n_bytes + behind
        memory = torch.empty(size, dtype=torch.uint8, device=device)
        return cls(memory, start, start + n_bytes, pattern)

    def view(self, described: dict[str, Any]) -> Any:
        """The tensor, a leaf of its own if it requires a gradient."""
        import torch

        dtype = getattr(torch, described["dtype"])
        offset = self.start // dtype.itemsize + described["offset"]
        with torch.no_grad():
            whole = self._elements(dtype)
            tensor = whole.as_strided(described["shape"], described["strides"], offset).detach()
        return tensor.requires_grad_() if described["requires_grad"] else tensor

    def fill(self, kind: str, described: dict[str, Any], generator: Any) -> None:
        """Values for the whole storage, drawn on the CPU; the pattern around it."""
        import torch

        dtype = getattr(torch, described["dtype"])
        n = described["storage_bytes"] // dtype.itemsize
        drawn = _drawn(kind, n, dtype, described, generator)
        with torch.no_grad():
            # By `data`: what a kernel writes raises no tensor's version either, and a version
            # that rises with the values would make answers kept by it look honest.
            self.memory.data.fill_(self.pattern)
            first = self.start // dtype.itemsize
            _write(self._elements(dtype).data[first : first + n], drawn)

    def intact(self) -> bool:
        red = (self.memory[: self.start], self.memory[self.end :])
        return all(bool((zone == self.pattern).all()) for zone in red)

    def _elements(self, dtype: Any) -> Any:
        usable = self.memory.numel() // dtype.itemsize * dtype.itemsize
        return self.memory[:usable].view(dtype)


def _is_host(device: str) -> bool:
    """Whether tensors of that device lie in the host's memory, pretended or not."""
    import torch

    memory = torch.empty(16, dtype=torch.uint8, device=device)
    return bool(memory.untyped_storage().device.type == "cpu")


def _drawn(kind: str, n: int, dtype: Any, described: dict[str, Any], generator: Any) -> Any:
    import torch

    if dtype.is_floating_point or dtype.is_complex:
        return values.draw(kind, n, dtype, described, generator)
    if dtype == torch.bool:
        return torch.randint(0, 2, (n,), generator=generator).bool()
    low, high = described.get("range") or _extremes(described)
    if kind == far.FAR:
        reach = far.REACH.get(described["dtype"], high)
        low, high = -reach, reach
    elif kind == far.FROM_THE_END:
        low, high = -1 - high, -1
    return torch.randint(low, high + 1, (n,), generator=generator).to(dtype)


def _extremes(described: dict[str, Any]) -> tuple[int, int]:
    found = described.get("values")
    return (min(found), max(found)) if found else (0, 1)


def _write(target: Any, source: Any) -> None:
    """Copies; of an expanded dimension, whose elements are one in memory, only the first."""
    for dim, stride in enumerate(target.stride()):
        if stride == 0 and target.shape[dim] > 1:
            target, source = target.narrow(dim, 0, 1), source.narrow(dim, 0, 1)
    target.copy_(source.to(target.dtype).to(target.device))


def _storages(call: encoded.Call) -> dict[int, dict[str, Any]]:
    """One tensor of each storage, the largest view: its type and range are the storage's."""
    found: dict[int, dict[str, Any]] = {}
    for described in encoded.tensors(call).values():
        known = found.get(described["storage"])
        if known is None or _size(described) > _size(known):
            found[described["storage"]] = described
    return found


def _n_bytes(call: encoded.Call) -> dict[int, int]:
    """Of each storage, what holds every view of it."""
    found: dict[int, int] = {}
    for described in encoded.tensors(call).values():
        number = described["storage"]
        found[number] = max(found.get(number, 0), described["storage_bytes"])
    return found


def _size(described: dict[str, Any]) -> int:
    return encoded.reach(described["shape"], described["strides"])


def _module_of(function: Callable[..., Any]) -> ModuleType | None:
    """The module that `function`, a class's `apply` or a method comes from."""
    for holder in (function, getattr(function, "__self__", None), getattr(function, "fn", None)):
        name = getattr(holder, "__module__", None)
        if isinstance(name, str) and name in sys.modules and not name.startswith("torch"):
            return sys.modules[name]
    return None
