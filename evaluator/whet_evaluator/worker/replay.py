"""Rebuilds recorded calls as cases that run both versions on equal inputs.

A call is replayed through its launcher, which chooses grid and constants itself. Only a
kernel that a test launches itself is replayed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from . import launchers, rebuilding
from .differential import encoded
from .returned import tensors_in
from .versions import Versions

MAX_CASES = 12


@dataclass
class Replay:
    """One case: `make(seed)` gives fresh inputs, `original` and `candidate` take them.

    Both return the list of output tensors; either may also change its inputs.
    """

    name: str
    n_bytes: int
    make: Callable[[int], Any]
    original: Callable[[Any], list[Any]]
    candidate: Callable[[Any], list[Any]]


@dataclass
class Cases:
    replays: list[Replay] = field(default_factory=list)
    not_timed: list[str] = field(default_factory=list)


def cases(job: dict[str, Any], versions: Versions, device: str) -> Cases:
    """Distinct recorded calls, largest inputs first; those of a benchmark alone if there is one."""
    found = Cases()
    recorded = job["calls"]
    named = [call for call in recorded if call.get("benchmark")]
    if job.get("benchmark") and not named:
        found.not_timed.append(
            f"the benchmark {job['benchmark']}: it called no launcher of the unit, so the calls of "
            "the tests were timed instead"
        )
    seen: set[str] = set()
    for call in named or recorded:
        name = encoded.name_of(call)
        if name not in seen:
            seen.add(name)
            _add(found, name, partial(_call, call, versions, device))
    found.not_timed = list(dict.fromkeys(found.not_timed))
    found.replays.sort(key=lambda replay: -replay.n_bytes)
    for left_out in found.replays[MAX_CASES:]:
        found.not_timed.append(f"{left_out.name}: beyond the {MAX_CASES} largest cases")
    del found.replays[MAX_CASES:]
    _thin_out(found, int(job.get("max_cases", MAX_CASES)))
    return found


def spread(n: int, limit: int) -> set[int]:
    """At most `limit` of the indices below `n`: the first, the last and evenly between."""
    if n <= limit:
        return set(range(n))
    return {round(i * (n - 1) / max(1, limit - 1)) for i in range(limit)}


def _thin_out(found: Cases, limit: int) -> None:
    """Keeps the largest, the smallest and evenly between; names the others."""
    kept = spread(len(found.replays), limit)
    for number, replay in enumerate(found.replays):
        if number not in kept:
            found.not_timed.append(f"{replay.name}: left to the confirmation")
    found.replays = [replay for i, replay in enumerate(found.replays) if i in kept]


def left_out(launches: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> list[str]:
    """What a candidate launched and no timed call covers; a benchmark is all that it names."""
    named = any(call.get("benchmark") for call in recorded)
    return [] if named else not_recorded(launches, recorded)


def not_recorded(launches: list[dict[str, Any]], recorded: list[dict[str, Any]]) -> list[str]:
    """Launches, as JSON, that no recorded call covers: a sentence for each."""
    replayed = {launchers.entry_of(call) for call in recorded if "grid" not in call}
    direct = {call["launcher"] for call in recorded if "grid" in call}
    found = []
    for launch in launches:
        kernel, entry = launch["kernel"], launch["entry"]
        if entry is None and kernel not in direct:
            found.append(f"{kernel}: its launch by a test was not recorded")
        elif entry is not None and not _within(entry, replayed):
            found.append(f"{kernel}: its launcher {entry} was not recorded")
    return list(dict.fromkeys(found))


def _within(entry: str, replayed: set[str]) -> bool:
    """Whether a recorded call covers the launch. A backward's belong to some forward."""
    holder, _, last = entry.rpartition(".")
    if last == "backward":
        return bool(replayed)
    return entry in replayed or f"{holder}.apply" in replayed


def _add(found: Cases, name: str, build: Callable[[], Replay]) -> None:
    try:
        found.replays.append(build())
    except rebuilding.UnreplayableError as reason:
        found.not_timed.append(f"{name}: {reason} cannot be rebuilt")


# ---- calls ----------------------------------------------------------------------------


def _call(call: dict[str, Any], versions: Versions, device: str) -> Replay:
    content = {"list": [{"list": call["args"]}, {"dict": call["kwargs"]}]}
    with_backward = bool(call.get("backward")) and any(
        described["requires_grad"] for described in encoded.tensors(call).values()
    )

    by_version = rebuilding.depends_on_version(content)

    def make(seed: int) -> Any:
        import torch

        generator = torch.Generator().manual_seed(seed)
        return rebuilding.decode(content, {}, device, generator)

    def runner(module: ModuleType) -> Callable[[Any], list[Any]]:
        function = launchers.launcher_of(module, call, device)

        def run(inputs: Any) -> list[Any]:
            args, kwargs = rebuilding.bound_to(module, *inputs) if by_version else inputs
            made = tensors_in(function(*args, **kwargs))
            return made + _gradients(made, inputs) if with_backward else made

        return run

    original, candidate = runner(versions.original), runner(versions.candidate)
    make(0)
    name = encoded.name_of(call) + (" with backward" if with_backward else "")
    return Replay(name, _bytes(call), make, original, candidate)


def _gradients(made: list[Any], inputs: Any) -> list[Any]:
    import torch

    wanted = [tensor for tensor in tensors_in(inputs) if tensor.requires_grad]
    made = [tensor for tensor in made if tensor.requires_grad]
    if not made or not wanted:
        return []
    ones = [torch.ones_like(tensor) for tensor in made]
    gradients = torch.autograd.grad(made, wanted, ones, allow_unused=True)
    return [gradient for gradient in gradients if gradient is not None]


def _bytes(call: dict[str, Any]) -> int:
    """Bytes of all storages together."""
    storages = {d["storage"]: d["storage_bytes"] for d in encoded.tensors(call).values()}
    return sum(storages.values())
