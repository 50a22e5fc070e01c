"""Compiles recorded launches of the unit's kernels for an architecture, without a device.

Each launch is compiled as Triton's own launcher would specialise it: integers of value
one become constants, and divisibility by 16 of pointers and integers is passed on. A
matmul compiled without these used two-byte accesses where it really uses sixteen.
The module is imported under stand-ins for a device, so that a module that asks for one
while it is imported compiles on a machine that has none, and none is disturbed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import Any

from . import hardware, importing, interpret, isa, overlay, sharing
from .codec import from_json, to_json
from .launch_records import Argument, Compiled, Launch
from .phases import mark_of

_MAX_BUFFER_BYTES = (1 << 31) - 1


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Compiles `job["launches"]` for `job["arch"]`: `{compiled, broken, not_compiled}`.

    `broken` is the first failure (import or compilation) as `{trace, kernel}`;
    `not_compiled` has a sentence for each launch that was not compiled.
    """
    mark = mark_of(job)
    mark("imports")
    overlay.install(job)
    interpret.install_device(job)
    mark("overlay")
    try:
        module = importing.import_unit(job)
    except BaseException as error:
        trace = importing.trimmed_trace(error, job["unit_file"])
        return {"compiled": [], "broken": {"trace": trace, "kernel": None}, "not_compiled": []}
    mark("unit import")
    answer = _compile_all(job, _kernels(module))
    mark("compile")
    return answer


def _compile_all(job: dict[str, Any], kernels: dict[str, Any]) -> dict[str, Any]:
    sources: dict[str, tuple[_Source, Launch]] = {}
    failures: list[tuple[str, str | None]] = []
    for launch in (from_json(Launch, launch) for launch in job["launches"]):
        try:
            source = _specialise(kernels, launch, job["arch"])
            sources.setdefault(source.key(), (source, launch))
        except _NotCompiled as reason:
            failures.append((f"{launch.kernel}: {reason}", None))
        except Exception as error:
            failures.append((launch.kernel, importing.trimmed_trace(error, job["unit_file"])))
    ends = _compile_shared(job, list(sources.values()))
    failures += [(end["kernel"], end["trace"]) for end in ends if "trace" in end]
    broken = [{"trace": trace, "kernel": kernel} for kernel, trace in failures if trace]
    reasons = [f"{what}: {trace.splitlines()[-1]}" if trace else what for what, trace in failures]
    return {
        "compiled": [end["compiled"] for end in ends if "compiled" in end],
        "broken": broken[0] if broken else None,
        "not_compiled": list(dict.fromkeys(reasons)),
    }


def _compile_shared(
    job: dict[str, Any], sources: list[tuple[_Source, Launch]]
) -> list[dict[str, Any]]:
    """`{compiled}` or `{kernel, trace}` of each, by as many forks as there are cores."""

    def work(item: tuple[_Source, Launch]) -> dict[str, Any]:
        source, launch = item
        try:
            return {"compiled": to_json(_compile(source, launch, job["arch"]))}
        except Exception as error:
            trace = importing.trimmed_trace(error, job["unit_file"])
            return {"kernel": launch.kernel, "trace": trace}

    def on_done(n_done: int) -> None:
        job["progress"]("", n_done, len(sources))

    return sharing.mapped(work, sources, on_done)


class _NotCompiled(Exception):
    """This launch says too little to compile it; `str()` is the reason."""


class _OutOfResourcesError(Exception):
    """Needs more shared memory than the architecture has."""


@dataclass
class _Source:
    """What Triton compiles: one kernel with its specialised signature."""

    jit: Any
    signature: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    attributes: dict[tuple[int, ...], list[list[Any]]] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    guessed: bool = False

    def key(self) -> str:
        parts = (self.signature, self.constants, self.attributes, self.options)
        return f"{self.jit.fn.__qualname__}{parts!r}"


def _kernels(module: Any) -> dict[str, Any]:
    """Jit objects of the module by qualified name, as decorated; classes looked into."""
    found: dict[str, Any] = {}
    for value in list(vars(module).values()):
        members = vars(value).values() if isinstance(value, type) else ()
        for candidate in (value, *(getattr(m, "__func__", m) for m in members)):
            function = _function(candidate)
            if function is not None:
                found[function.__qualname__.replace(".<locals>", "")] = candidate
    return found


def _function(value: Any) -> Any:
    """The Python function below a jit object and its autotuner and heuristics, or None."""
    if not hasattr(value, "run") or not hasattr(value, "fn"):
        return None
    while hasattr(value, "fn"):
        value = value.fn
    return value if hasattr(value, "__qualname__") else None


def _specialise(kernels: dict[str, Any], launch: Launch, arch: str) -> _Source:
    decorated = kernels.get(launch.kernel)
    if decorated is None:
        raise _NotCompiled("no longer defined at the top of its file")
    jit, tuned = decorated, None
    while hasattr(jit, "fn") and not hasattr(jit, "params"):
        tuned = jit if hasattr(jit, "configs") else tuned
        jit = jit.fn
    source = _Source(jit, options=dict(launch.options))
    recorded = {argument.name: argument for argument in launch.arguments}
    _follow_configs(source, tuned, recorded)
    for parameter in jit.params:
        _add_parameter(source, parameter, recorded.get(parameter.name), arch, kernels)
    return source


def _follow_configs(source: _Source, tuned: Any, recorded: dict[str, Argument]) -> None:
    """An autotuner that has other configs than the recorded one is taken at its first."""
    if tuned is None:
        return
    for config in tuned.configs:
        if all(k in recorded and recorded[k].value == v for k, v in config.kwargs.items()):
            return
    first = tuned.configs[0]
    source.guessed = True
    for name, value in first.kwargs.items():
        recorded[name] = Argument(name=name, type="constexpr", value=value)
    source.options |= {k: v for k, v in first.all_kwargs().items() if k not in first.kwargs}


def _add_parameter(
    source: _Source, parameter: Any, argument: Argument | None, arch: str, kernels: dict[str, Any]
) -> None:
    name = parameter.name
    if argument is None:
        if not parameter.has_default:
            raise _NotCompiled(
                f"its parameter `{name}` was not recorded; the tests' own launches will tell"
            )
        argument = Argument(name=name, type="constexpr", value=parameter.default)
        source.guessed = source.guessed or not parameter.is_constexpr
    is_one = argument.value == 1 and argument.type.startswith(("i", "u")) and argument.type != "u1"
    if parameter.is_constexpr or argument.type == "constexpr":
        source.signature[name] = "constexpr"
        source.constants[name] = _decoded(argument.value, kernels)
    elif is_one and not parameter.do_not_specialize:
        source.signature[name] = "constexpr"
        source.constants[name] = 1
    elif (
        not argument.type.lstrip("*").rstrip("0123456789").isalpha() and "fp8" not in argument.type
    ):
        raise _NotCompiled(f"argument `{name}` of type {argument.type} cannot be rebuilt")
    else:
        source.signature[name] = parameter.annotation_type or argument.type
        attributes = _attributes(parameter, argument, arch)
        if attributes:
            source.attributes[(parameter.num,)] = attributes


def _attributes(parameter: Any, argument: Argument, arch: str) -> list[list[Any]]:
    attributes: list[list[Any]] = []
    aligned = not parameter.do_not_specialize and not parameter.do_not_specialize_on_alignment
    if argument.divisible_by_16 and aligned:
        attributes.append(["tt.divisibility", 16])
    if arch.startswith("gfx") and argument.type.startswith("*") and _extent(argument):
        attributes.append(["tt.pointer_range", 32])
    return attributes


def _extent(argument: Argument) -> bool:
    """Whether the tensor surely fits AMD's 32-bit buffer offsets."""
    if argument.shape is None or argument.strides is None:
        return False
    reach = sum((n - 1) * abs(s) for n, s in zip(argument.shape, argument.strides) if n)
    return (reach + 1) * 8 <= _MAX_BUFFER_BYTES


def _decoded(value: Any, kernels: dict[str, Any]) -> Any:
    """Constexprs that JSON has no word for, see `record`."""
    if not isinstance(value, str) or not value.startswith("@"):
        return value
    kind, _, text = value[1:].partition(":")
    if kind == "dtype":
        import triton.language as tl

        return tl.dtype(text)
    if kind == "jit" and text in kernels:
        return kernels[text]
    raise _NotCompiled(f"a constant of type {kind} cannot be rebuilt")


def _compile(source: _Source, launch: Launch, arch: str) -> Compiled:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    target = GPUTarget(*hardware.triton_target(arch))
    ast_source = ASTSource(source.jit, source.signature, source.constants, source.attributes)
    kernel = triton.compile(ast_source, target=target, options=source.options)
    shared = int(kernel.metadata.shared)
    _check_shared(shared, arch)
    _check_threads(int(kernel.metadata.num_warps) * target.warp_size, arch)
    if target.backend == "hip":
        facts = isa.parse_amdgcn(kernel.asm["amdgcn"])
    else:
        facts = isa.parse_ptx(kernel.asm["ptx"])
        facts |= _resource_usage(kernel.asm["cubin"], kernel.metadata.name)
    facts["lds_bytes"] = max(shared, facts.get("lds_bytes") or 0)
    return Compiled(
        kernel=launch.kernel,
        arch=arch,
        guessed_signature=source.guessed,
        triton=triton.__version__,
        **facts,
    )


def _check_shared(shared: int, arch: str) -> None:
    """Triton itself notices only when the kernel is loaded on a device."""
    if arch not in hardware.CHIPS:
        return
    limit = hardware.CHIPS[arch].shared_bytes_per_block
    if shared > limit:
        raise _OutOfResourcesError(
            f"needs {shared} bytes of shared memory, {arch} has {limit} for a block; "
            "smaller blocks or fewer stages need less"
        )


def _check_threads(threads: int, arch: str) -> None:
    """Triton compiles a block that no device starts, for AMD with a bound of 1024 threads."""
    if threads > hardware.MAX_THREADS:
        raise _OutOfResourcesError(
            f"needs {threads} threads a block, {arch} starts {hardware.MAX_THREADS}; fewer warps "
            "need less"
        )


def _resource_usage(cubin: bytes, name: str) -> dict[str, Any]:
    """Registers of an assembled NVIDIA kernel, by the tool that Triton ships."""
    from triton import knobs

    tool = getattr(knobs.nvidia, "cuobjdump", None)
    if tool is None:
        return {}
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        argv = [tool.path, "--dump-resource-usage", file.name]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, env=environment, timeout=60
        )
    return isa.parse_resource_usage(done.stdout.replace(":\n", ": "), name)
