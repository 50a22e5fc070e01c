"""Memory that a launcher asks for uninitialised: filled with a pattern, between red zones.

`torch.empty` and its like return stale memory, which may hold the right answer of an
earlier call. Here it holds one of two byte patterns instead, so that a kernel that leaves
part of its output unwritten shows it, and lies between zones that nobody may write to.
Install before the unit is imported, for it may import the factories by name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

PATTERNS = (0xFF, 0x4B)
"""Bytes. The first makes NaN of every float type and -1 of integers, the second 1.3e7 in
float32, 14.6 in float16, 1.3e9 in int32."""
_ZONE = 0xA5
_ZONE_BYTES = 1024
_MAX_GUARDED_BYTES = 512 << 20
"""Twice what the inputs of the largest generated case take (`suite.MAX_ELEMENTS`, of 8 bytes each)."""
_FACTORIES = ("empty", "empty_like", "empty_strided", "empty_permuted")
_METHODS = ("new_empty", "new_empty_strided")
_FILLED_FACTORIES = ("zeros", "zeros_like", "ones", "ones_like", "full", "full_like")
_FILLED_METHODS = ("new_zeros", "new_ones", "new_full")
"""Their tensors hold what was asked for, but they too lie between red zones."""


class Poison:
    """One per process. `pattern` is an index into `PATTERNS`, or None to leave memory be."""

    def __init__(self, torch: Any) -> None:
        self.pattern: int | None = None
        self._torch = torch
        self._busy = False
        self._zones: list[Any] = []
        self.extents: dict[int, tuple[int, int]] = {}
        """By address of a guarded allocation, where the tensor's own bytes begin and end."""

    def install(self) -> None:
        """Replaces the factories. After the stand-ins for a device, which replace them too."""
        torch = self._torch
        for owner, names, keeps in (
            (torch, _FACTORIES, False), (torch.Tensor, _METHODS, False),
            (torch, _FILLED_FACTORIES, True), (torch.Tensor, _FILLED_METHODS, True),
        ):  # fmt: skip
            for name in names:
                if hasattr(owner, name):
                    setattr(owner, name, self._between_zones(getattr(owner, name), keeps=keeps))

    def begin(self, pattern: int | None) -> None:
        """Starts a run: from now on fresh memory holds the pattern of that index."""
        self.pattern = pattern
        self._zones.clear()
        self.extents.clear()

    def intact(self) -> bool:
        """Whether nobody wrote just outside a tensor allocated since `begin`."""
        return all(bool((zone == _ZONE).all()) for zone in self._zones)

    def _between_zones(self, factory: Callable[..., Any], *, keeps: bool) -> Callable[..., Any]:
        @functools.wraps(factory)
        def make(*args: Any, **kwargs: Any) -> Any:
            made = factory(*args, **kwargs)
            if self.pattern is None or self._busy or not self._is_plain(made, kwargs):
                return made
            self._busy = True
            try:
                return self._guarded(made, keeps=keeps)
            finally:
                self._busy = False

        return make

    def _is_plain(self, made: Any, kwargs: dict[str, Any]) -> bool:
        torch = self._torch
        return (
            type(made) is torch.Tensor
            and made.layout is torch.strided
            and kwargs.get("out") is None
            and not kwargs.get("pin_memory")
            and made.device.type != "meta"
            and made.numel() > 0
            and not made.is_quantized
        )

    def _guarded(self, made: Any, *, keeps: bool) -> Any:
        """The same tensor inside a larger allocation; a large one stays where it is.

        Unless it `keeps` its values they become the pattern.
        """
        torch, n_bytes = self._torch, made.untyped_storage().nbytes()
        assert self.pattern is not None
        with torch.no_grad():
            if n_bytes > _MAX_GUARDED_BYTES:
                if not keeps:
                    _bytes(torch, made.untyped_storage()).fill_(self._byte(made.dtype))
                return made
            # A multiple of the zone keeps pointers as aligned as the allocator makes them.
            item = made.element_size()
            body = -(-n_bytes // _ZONE_BYTES) * _ZONE_BYTES
            whole = made.new_zeros((body + 2 * _ZONE_BYTES) // item)
            raw = _bytes(torch, whole.untyped_storage())
            raw.fill_(_ZONE)
            inside = raw[_ZONE_BYTES : _ZONE_BYTES + n_bytes]
            if keeps:
                inside.copy_(_bytes(torch, made.untyped_storage()))
            else:
                inside.fill_(self._byte(made.dtype))
            self._zones += [raw[:_ZONE_BYTES], raw[_ZONE_BYTES + n_bytes :]]
            base = whole.untyped_storage().data_ptr()
            self.extents[base] = (base + _ZONE_BYTES, base + _ZONE_BYTES + n_bytes)
            marks = dict(getattr(made, "__dict__", {}))
            requires_grad, start = made.requires_grad, _ZONE_BYTES // item
            made = made.detach()
            made.set_(whole.untyped_storage(), start, made.size(), made.stride())
            made.__dict__.update(marks)
        return made.requires_grad_() if requires_grad else made

    def _byte(self, dtype: Any) -> int:
        assert self.pattern is not None
        return 1 - self.pattern if dtype == self._torch.bool else PATTERNS[self.pattern]


def _bytes(torch: Any, storage: Any) -> Any:
    """A view of a whole storage as bytes."""
    view = torch.tensor([], dtype=torch.uint8, device=storage.device)
    return view.set_(storage, 0, (storage.nbytes(),), (1,))
