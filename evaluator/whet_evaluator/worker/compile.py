"""Compiles recorded launches of the unit's kernels for an architecture, without a device.

Each launch is compiled as Triton's own launcher would specialise it (`specialising`). The
module is imported under stand-ins for a device, so that a module that asks for one
while it is imported compiles on a machine that has none, and none is disturbed.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import Any

from . import gate, hardware, importing, interpret, isa, overlay, sharing
from .codec import to_json
from .foretold import foretold
from .launch_records import Compiled, Launch
from .phases import mark_of
from .specialising import NotCompiledError, Source, kernels_of, specialised


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Compiles `job["launches"]` for `job["arch"]`: `{compiled, broken, not_compiled, launches}`.

    With `job["calls"]` those that the candidate will make of these calls instead (`foretold`);
    `launches` are what was compiled. `broken` is the first failure (import or compilation) as
    `{trace, kernel}`; `not_compiled` has a sentence for each launch that was not compiled. What
    it will launch in `job["also"]` is compiled for the cache alone, once `job["compiled"]` says
    that the rest is there.
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
        broken = {"trace": trace, "kernel": None}
        return {"compiled": [], "broken": broken, "not_compiled": [], "launches": []}
    mark("unit import")
    told = foretold(job, module)
    mark("foretelling")
    kernels = kernels_of(module)
    answer = _compile_all(job, told.launches, kernels)
    mark("compile")
    if told.also:
        gate.open_gate(job["compiled"])
        _compile_all(job, told.also, kernels)
        mark("compile more")
    return answer


def _compile_all(
    job: dict[str, Any], launches: list[Launch], kernels: dict[str, Any]
) -> dict[str, Any]:
    sources: dict[str, tuple[Source, Launch]] = {}
    failures: list[tuple[str, str | None]] = []
    for launch in launches:
        try:
            source = specialised(kernels, launch, job["arch"])
            sources.setdefault(source.key(), (source, launch))
        except NotCompiledError as reason:
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
        "launches": to_json(launches),
    }


def _compile_shared(
    job: dict[str, Any], sources: list[tuple[Source, Launch]]
) -> list[dict[str, Any]]:
    """`{compiled}` or `{kernel, trace}` of each, by as many forks as there are cores."""

    def work(item: tuple[Source, Launch]) -> dict[str, Any]:
        source, launch = item
        try:
            return {"compiled": to_json(_compile(source, launch, job["arch"]))}
        except Exception as error:
            trace = importing.trimmed_trace(error, job["unit_file"])
            return {"kernel": launch.kernel, "trace": trace}

    def on_done(n_done: int) -> None:
        job["progress"]("", n_done, len(sources))

    return sharing.mapped(work, sources, on_done)


class _OutOfResourcesError(Exception):
    """Needs more shared memory than the architecture has."""


def _compile(source: Source, launch: Launch, arch: str) -> Compiled:
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
