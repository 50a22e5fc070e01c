"""Rebuilds recorded calls and launches as cases that run both versions on equal inputs.

A call is replayed through its launcher, which chooses grid and constants itself. Only a
kernel that a test launches itself is replayed alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from . import calls
from .protocol import from_json
from .records import Argument, Launch
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
    """Distinct recorded calls and direct launches, largest inputs first."""
    found = Cases()
    launches = [from_json(Launch, launch) for launch in job["launches"]]
    backward = any((launch.entry or "").endswith(".backward") for launch in launches)
    seen: set[str] = set()
    recorded = job["calls"]
    if versions.registers and recorded:
        found.not_timed.append(
            "calls of launchers: the module registers operators with torch when imported, so "
            "two versions of it cannot live in one process"
        )
        recorded = []
    for call in recorded:
        name = _call_name(call)
        if name not in seen:
            seen.add(name)
            _add(found, name, partial(_call, call, versions, device, backward))
    replayed = {call["launcher"] for call in recorded}
    for launch in launches:
        name = _launch_name(launch)
        if launch.entry is None and name not in seen:
            seen.add(name)
            _add(found, name, partial(_launch, launch, versions, device))
        elif launch.entry is not None and not _within(launch.entry, replayed):
            found.not_timed.append(f"{launch.kernel}: its launcher {launch.entry} was not recorded")
    found.not_timed = list(dict.fromkeys(found.not_timed))
    found.replays.sort(key=lambda replay: -replay.n_bytes)
    for left_out in found.replays[MAX_CASES:]:
        found.not_timed.append(f"{left_out.name}: beyond the {MAX_CASES} largest cases")
    del found.replays[MAX_CASES:]
    return found


def outputs(value: Any) -> list[Any]:
    """The tensors in whatever a launcher returned."""
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in outputs(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in outputs(item)]
    if isinstance(value, calls.Rebuilt):
        return outputs(value.state)
    return [value] if hasattr(value, "untyped_storage") else []


def _within(entry: str, replayed: set[str]) -> bool:
    """Whether a recorded call covers the launch. A backward's belong to some forward."""
    holder, _, last = entry.rpartition(".")
    if last == "backward":
        return bool(replayed)
    return entry in replayed or f"{holder}.apply" in replayed


def _add(found: Cases, name: str, build: Callable[[], Replay]) -> None:
    try:
        found.replays.append(build())
    except calls.UnreplayableError as reason:
        found.not_timed.append(f"{name}: {reason} cannot be rebuilt")


# ---- calls ----------------------------------------------------------------------------


def _call(call: dict[str, Any], versions: Versions, device: str, backward: bool) -> Replay:
    content = {"list": [{"list": call["args"]}, {"dict": call["kwargs"]}]}
    with_backward = backward and '"requires_grad": true' in _json(content)

    def make(seed: int) -> Any:
        import torch

        generator = torch.Generator().manual_seed(seed)
        return calls.decode(content, {}, device, generator)

    def runner(module: ModuleType) -> Callable[[Any], list[Any]]:
        function = _launcher(module, call["launcher"])

        def run(inputs: Any) -> list[Any]:
            args = [a.of(module) if isinstance(a, calls.Rebuilt) else a for a in inputs[0]]
            made = outputs(function(*args, **inputs[1]))
            return made + _gradients(made, inputs) if with_backward else made

        return run

    original, candidate = runner(versions.original), runner(versions.candidate)
    make(0)
    name = _call_name(call) + (" with backward" if with_backward else "")
    return Replay(name, _bytes(content), make, original, candidate)


def _launcher(module: ModuleType, name: str) -> Callable[..., Any]:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise calls.UnreplayableError(f"a launcher named {name}, which one version lacks,")
    return found  # type: ignore[no-any-return]


def _gradients(made: list[Any], inputs: Any) -> list[Any]:
    import torch

    wanted = [tensor for tensor in outputs(inputs) if tensor.requires_grad]
    made = [tensor for tensor in made if tensor.requires_grad]
    if not made or not wanted:
        return []
    ones = [torch.ones_like(tensor) for tensor in made]
    gradients = torch.autograd.grad(made, wanted, ones, allow_unused=True)
    return [gradient for gradient in gradients if gradient is not None]


def _call_name(call: dict[str, Any]) -> str:
    """`softmax(float32[64, 781], 0.5)`: what tells one case from another."""
    parts = [_short(a) for a in call["args"]]
    parts += [f"{k}={_short(v)}" for k, v in call["kwargs"].items()]
    return f"{call['launcher']}({', '.join(parts)})"


def _short(encoded: Any) -> str:
    (kind, content), *_ = encoded.items()
    if kind == "tensor":
        shape = "x".join(str(n) for n in content["shape"]) or "scalar"
        contiguous = _contiguous(content["shape"]) == content["strides"]
        strides = "" if contiguous else f" strides {tuple(content['strides'])}"
        return f"{content['dtype']}[{shape}]{strides}"
    if kind in {"list", "tuple"}:
        return "[" + ", ".join(_short(item) for item in content) + "]"
    if kind == "object":
        return str(content["class"])
    if kind == "dict":
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in content.items()) + "}"
    return str(content)


def _contiguous(shape: list[int]) -> list[int]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return strides[::-1]


def _bytes(encoded: Any) -> int:
    if not isinstance(encoded, (dict, list)):
        return 0
    if isinstance(encoded, dict) and "storage_bytes" in encoded:
        return int(encoded["storage_bytes"])
    items = encoded.values() if isinstance(encoded, dict) else encoded
    return sum(_bytes(item) for item in items)


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


# ---- launches -------------------------------------------------------------------------


def _launch(launch: Launch, versions: Versions, device: str) -> Replay:
    kernels = [_kernel(m, launch.kernel) for m in (versions.original, versions.candidate)]
    if any(hasattr(kernel, "configs") for kernel in kernels):
        raise calls.UnreplayableError("a directly launched autotuned kernel's grid")
    for argument in launch.arguments:
        if argument.type.startswith(("*i", "*u")):
            raise calls.UnreplayableError(
                f"the integer tensor `{argument.name}` of a direct launch"
            )
        if argument.value is None and argument.type != "constexpr" and argument.shape is None:
            raise calls.UnreplayableError(f"argument `{argument.name}` of type {argument.type}")
        if isinstance(argument.value, str) and argument.value.startswith("@"):
            raise calls.UnreplayableError(f"constant `{argument.name}`")

    def make(seed: int) -> Any:
        import torch

        generator = torch.Generator().manual_seed(seed)
        return {a.name: _rebuilt(a, device, generator) for a in launch.arguments}

    def runner(kernel: Any) -> Callable[[Any], list[Any]]:
        def run(inputs: Any) -> list[Any]:
            kernel[launch.grid](**inputs, **launch.options)
            return []

        return run

    make(0)
    n_bytes = sum(8 * _reach(a) for a in launch.arguments if a.shape is not None)
    return Replay(_launch_name(launch), n_bytes, make, *(runner(k) for k in kernels))


def _kernel(module: ModuleType, name: str) -> Any:
    kernel = getattr(module, name, None)
    if kernel is None or not hasattr(kernel, "run"):
        raise calls.UnreplayableError(f"a kernel named {name}, which one version lacks,")
    return kernel


def _rebuilt(argument: Argument, device: str, generator: Any) -> Any:
    import torch

    if argument.shape is None or argument.strides is None:
        return argument.value
    names = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32", "fp64": "float64"}
    names |= {"fp8e4nv": "float8_e4m3fn", "fp8e5": "float8_e5m2"}
    names |= {"fp8e4b8": "float8_e4m3fnuz", "fp8e5b16": "float8_e5m2fnuz"}
    dtype = getattr(torch, names[argument.type.lstrip("*k")])
    storage = torch.randn(_reach(argument), generator=generator).to(dtype).to(device)
    return storage.as_strided(argument.shape, argument.strides)


def _reach(argument: Argument) -> int:
    """Elements from the first to the last that shape and strides reach."""
    pairs = zip(argument.shape or (), argument.strides or ())
    return 1 + sum((n - 1) * abs(stride) for n, stride in pairs)


def _launch_name(launch: Launch) -> str:
    parts = []
    for a in launch.arguments:
        shape = "x".join(str(n) for n in a.shape or ())
        parts.append(f"{a.type.lstrip('*')}[{shape}]" if a.shape else f"{a.name}={a.value}")
    return f"{launch.kernel}[{'x'.join(map(str, launch.grid))}]({', '.join(parts)})"
