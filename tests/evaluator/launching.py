"""In a process without a device: under which keys of its cache Triton's own launcher would look
for what the unit launches in recorded calls, beside the keys of what is compiled for them."""

from __future__ import annotations

import contextlib
from typing import Any

from whet_evaluator.worker import foretold, gate, importing, interpret, overlay, specialising
from whet_evaluator.worker.hardware import triton_target


def run(job: dict[str, Any]) -> dict[str, Any]:
    """`{launcher, compiled}`: sorted keys; `also`: how many others were foretold. None of it may
    wait until something is compiled."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    from triton.compiler.compiler import get_cache_key, make_backend
    from triton.runtime.jit import JITFunction

    overlay.install(job)
    interpret.install_device(job)
    module = importing.import_unit(job)
    backend = make_backend(GPUTarget(*triton_target(job["arch"])))

    def key(source: Any, options: dict[str, Any]) -> str:
        return str(get_cache_key(source, backend, backend.parse_options(options), env_vars={}))

    gate.wait_for = _must_not_wait
    told = foretold.foretold(job, module)
    kernels = specialising.kernels_of(module)
    compiled = []
    for launch in told.launches:
        source = specialising.specialised(kernels, launch, job["arch"])
        ast = ASTSource(source.jit, source.signature, source.constants, source.attributes)
        compiled.append(key(ast, source.options))

    looked_for: list[str] = []
    real = JITFunction.run

    def run_without_device(jit: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        del grid, warmup
        real(jit, *args, grid=None, warmup=True, **kwargs)

    def do_compile(
        jit: Any, _: Any, signature: Any, device: Any, constants: Any, options: Any, attrs: Any,
        warmup: bool,
    ) -> None:  # fmt: skip
        del device, warmup
        looked_for.append(key(ASTSource(jit, signature, constants, attrs), options.__dict__))

    JITFunction.run, JITFunction._do_compile = run_without_device, do_compile
    interpret.choose_first_config(triton.runtime.autotuner.Autotuner)
    for call in job["calls"]:
        with contextlib.suppress(AttributeError):  # launchers that use the kernel they get back
            foretold.call(module, call)
    return {
        "launcher": sorted(set(looked_for)), "compiled": sorted(set(compiled)),
        "also": len(told.also),
    }  # fmt: skip


def _must_not_wait(path: str, patience_s: float) -> None:
    raise SystemExit(f"waits {patience_s} s for {path}")
