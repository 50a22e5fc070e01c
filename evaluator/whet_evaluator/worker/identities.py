"""What a verdict rests on inside a child: the objects behind some names, to be compared."""

from __future__ import annotations

import sys
import types
from typing import Any

Identities = dict[str, object]
"""The object behind each dotted name that exists."""

WATCHED: dict[str, tuple[str, ...]] = {
    "builtins": (
        "abs", "all", "any", "max", "min", "len", "sum", "float", "round", "isinstance", "open",
        "getattr", "id", "print", "range", "zip", "__import__", "AssertionError",
    ),
    "time": (
        "perf_counter", "perf_counter_ns", "time", "time_ns", "monotonic", "monotonic_ns",
        "process_time", "sleep",
    ),
    "os": ("_exit", "write", "read", "open", "replace", "path"),
    "json": ("dumps", "loads", "dump", "load"),
    "math": ("isclose", "isnan", "isfinite"),
    "torch": (
        "allclose", "equal", "isclose", "eq", "ne", "empty", "empty_like", "empty_strided", "randn",
        "rand", "randint", "manual_seed", "isfinite", "isnan", "softmax", "matmul", "sum", "mm",
        "Tensor.__eq__", "Tensor.__ne__", "Tensor.allclose", "Tensor.equal", "Tensor.isclose",
        "Tensor.cpu", "Tensor.to", "Tensor.item", "Tensor.tolist", "Tensor.numpy", "Tensor.clone",
        "Tensor.detach", "Tensor.copy_", "Tensor.data_ptr", "Tensor.all", "Tensor.__bool__",
        "Tensor.__sub__", "Tensor.abs", "Tensor.max", "Tensor.double", "Tensor.float",
        "cuda.Event", "cuda.Event.record", "cuda.Event.synchronize", "cuda.Event.elapsed_time",
        "cuda.Event.query", "cuda.synchronize", "cuda.current_stream", "cuda.Stream",
        "cuda.CUDAGraph", "cuda.CUDAGraph.replay", "cuda.graph", "cuda._sleep",
        "cuda.get_device_properties", "nn.functional.softmax", "autograd.grad",
    ),
    "torch._compile": ("_disable_dynamo",),
    "torch.testing": ("assert_close", "assert_allclose"),
    "torch.testing._comparison": (
        "assert_close", "originate_pairs", "not_close_error_metas",
        "TensorLikePair.compare", "TensorLikePair._compare_values",
        "TensorLikePair._compare_regular_values_close", "NumberPair.compare", "BooleanPair.compare",
        "ObjectPair.compare",
    ),
    "numpy": ("allclose", "isclose", "array_equal", "array_equiv"),
    "numpy.testing": ("assert_allclose", "assert_array_equal", "assert_equal"),
    "unittest": ("TestCase.assertTrue", "TestCase.assertEqual", "TestCase.fail"),
    "triton": ("jit", "autotune", "heuristics", "Config", "cdiv", "next_power_of_2", "compile"),
    "triton.testing": ("do_bench", "do_bench_cudagraph"),
    "triton.runtime.jit": ("JITFunction", "JITFunction.run", "KernelInterface.__getitem__"),
    "triton.runtime.interpreter": (
        "InterpretedFunction", "InterpretedFunction.run", "GridExecutor.__call__",
    ),
    "triton.runtime.autotuner": ("Autotuner.run", "Autotuner._bench", "Heuristics.run"),
    "triton.runtime.cache": ("FileCacheManager", "get_cache_manager"),
    "triton.compiler.compiler": ("compile", "CompiledKernel"),
    "pytest": ("main", "raises", "approx", "fail", "skip", "exit"),
    "_pytest.python": ("Function.runtest", "Function.setup", "pytest_pyfunc_call"),
    "_pytest.runner": (
        "runtestprotocol", "call_and_report", "pytest_runtest_call", "pytest_runtest_makereport",
        "CallInfo.from_call",
    ),
    "_pytest.reports": ("TestReport.from_item_and_call", "TestReport.__init__"),
    "_pytest.outcomes": ("Failed", "Skipped", "fail"),
    "_pytest.assertion": ("pytest_runtest_protocol",),
    "pluggy": ("PluginManager", "HookCaller"),
}  # fmt: skip
"""By module, since `torch.testing` must have been imported for its names to count."""
_OPERATOR = "the operator "


def taken(*, ours: bool) -> Identities:
    """The objects as they are now; with `ours` also this package's, and torch's operators
    that Python code has implemented anew."""
    found: Identities = {}
    for module, names in WATCHED.items():
        holder = sys.modules.get(module)
        if holder is not None:
            found[f"sys.modules.{module}"] = holder
            for name in names:
                _note(found, f"{module}.{name}", holder, name)
    if ours:
        _note_package(found)
        library = sys.modules.get("torch.library")
        for key in getattr(library, "_impls", ()):
            if str(key).startswith(("aten/", "prims/", "prim/")):
                found[f"{_OPERATOR}{key}"] = True
    return found


def changed(before: Identities, after: Identities) -> list[str]:
    """Names that now stand for something else. One that appeared counts only where that is
    an operator of torch's own with a new implementation: modules are imported all the time."""
    exchanged = [
        name for name, value in before.items()
        if after.get(name) is not value and not _wrapped_by_torch(value, after.get(name))
    ]  # fmt: skip
    return exchanged + [n for n in after if n not in before and n.startswith(_OPERATOR)]


def _wrapped_by_torch(old: Any, new: Any) -> bool:
    """As it is imported, `torch._dynamo` wraps `torch.manual_seed`: told by the wrapper's code,
    which is torch's own, and by what it encloses. That whoever makes such wrappers was not
    exchanged is watched like all else."""
    make = getattr(sys.modules.get("torch._compile"), "_disable_dynamo", None)
    if type(new) is not types.FunctionType or type(make) is not types.FunctionType:
        return False
    if not any(new.__code__ is code for code in make.__code__.co_consts):
        return False
    enclosed = dict(zip(new.__code__.co_freevars, new.__closure__ or ()))
    return "fn" in enclosed and enclosed["fn"].cell_contents is old


def _note(found: Identities, name: str, holder: Any, dotted: str) -> None:
    """Without `getattr` on instances: nothing of the candidate's may run here."""
    value = holder
    for part in dotted.split("."):
        value = _attribute(value, part)
        if value is _MISSING:
            return
    found[name] = value


_MISSING = object()


def _attribute(holder: Any, name: str) -> Any:
    if isinstance(holder, type):
        for kind in holder.__mro__:
            if name in vars(kind):
                return vars(kind)[name]
        return _MISSING
    return getattr(holder, "__dict__", {}).get(name, _MISSING)


def _note_package(found: Identities) -> None:
    assert __package__ is not None
    for module_name, module in list(sys.modules.items()):
        if not module_name.startswith(__package__):
            continue
        found[f"sys.modules.{module_name}"] = module
        for name, value in vars(module).items():
            if callable(value) and not name.startswith("__"):
                found[f"{module_name}.{name}"] = value
            if isinstance(value, type) and value.__module__ == module_name:
                for inner, member in vars(value).items():
                    if callable(member) and not inner.startswith("__"):
                        found[f"{module_name}.{name}.{inner}"] = member
