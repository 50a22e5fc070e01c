"""What a call leaves behind beside its outputs: settings of the process, and earlier outputs.

A launcher that switches gradients off, seeds or draws from the generator of its caller, or
hands out one buffer again and again computes right values all the same.
"""

from __future__ import annotations

from typing import Any

from .outputs import Output, raw_bytes


class Settings:
    """The process's settings as they were when this was made."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._before = _settings(torch)

    def changed(self) -> tuple[str, ...]:
        """What is otherwise now, put back as it was: the next run must not inherit it."""
        torch, before, now = self._torch, self._before, _settings(self._torch)
        names = tuple(name for name in before if not _same(torch, before[name], now[name]))
        if names:
            torch.set_grad_enabled(before["the gradient mode"])
            torch.set_default_dtype(before["the default dtype"])
            torch.set_rng_state(before["the random generator"])
            torch.set_float32_matmul_precision(before["the precision of products"])
            torch.use_deterministic_algorithms(before["deterministic algorithms"])
            if before["the number of threads"] != now["the number of threads"]:
                torch.set_num_threads(before["the number of threads"])
        return names


def overwritten(live: tuple[Any, ...], outputs: tuple[Output, ...], later: tuple[Any, ...]) -> bool:
    """Whether tensors that a call returned hold something else than when it returned, or share
    their memory with what a `later` call on other tensors returned: equal inputs leave equal
    bytes there."""
    memory, again = (
        {tensor.untyped_storage().data_ptr() for tensor in tensors if tensor.numel()}
        for tensors in (live, later)
    )
    return bool(memory & again) or any(
        raw_bytes(tensor.detach().to("cpu").contiguous()) != raw_bytes(output.data)
        for tensor, output in zip(live, outputs)
        if tensor.numel()
    )


def _settings(torch: Any) -> dict[str, Any]:
    return {
        "the gradient mode": torch.is_grad_enabled(),
        "the default dtype": torch.get_default_dtype(),
        "the random generator": torch.get_rng_state(),
        "the precision of products": torch.get_float32_matmul_precision(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "the number of threads": torch.get_num_threads(),
    }


def _same(torch: Any, before: Any, now: Any) -> bool:
    return bool(torch.equal(before, now)) if hasattr(before, "numel") else before == now
