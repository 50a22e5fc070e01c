"""What a verdict rests on inside a child: the objects behind some names, to be compared."""

from __future__ import annotations

import builtins
import itertools
import operator
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

WATCHED: Mapping[str, tuple[str, ...]] = types.MappingProxyType({
    "builtins": tuple(name for name, value in vars(builtins).items() if callable(value)),
    "time": (
        "perf_counter", "perf_counter_ns", "time", "time_ns", "monotonic", "monotonic_ns",
        "process_time", "sleep",
    ),
    "importlib._bootstrap_external": (
        "SourceFileLoader.get_data", "SourceFileLoader.get_filename",
        "SourceFileLoader.source_to_code", "SourceFileLoader.get_code",
        "SourceFileLoader.exec_module", "SourceFileLoader.create_module",
        "spec_from_file_location",
    ),
    "importlib._bootstrap": (
        "module_from_spec", "_call_with_frames_removed", "_init_module_attrs", "_load_unlocked",
    ),
    "importlib.util": ("spec_from_file_location", "module_from_spec"),
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
})  # fmt: skip
"""By module, since `torch.testing` must have been imported for its names to count."""
_OPERATORS = ("aten/", "prims/", "prim/")
_MISSING: Any = object()


class Place(NamedTuple):
    """Where a name is looked up, and what was there: `_MISSING` where nothing was."""

    name: str
    namespace: Mapping[str, Any]
    key: str
    value: Any


def world() -> list[Place]:
    """What comparisons, clocks, pytest and Triton are made of, as far as it is imported."""
    found: list[Place] = []
    for module, names in WATCHED.items():
        holder = sys.modules.get(module)
        if holder is not None:
            found.append(Place(f"sys.modules.{module}", sys.modules, module, holder))
            for name in names:
                found += _reached(module, holder, name)
    return found


def package() -> list[Place]:
    """What this package is made of: its modules, their functions, classes and constants."""
    assert __package__ is not None
    found: list[Place] = []
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(__package__):
            found.append(Place(f"sys.modules.{module_name}", sys.modules, module_name, module))
            found += _made_of(module_name, module)
    return found


def version(module: types.ModuleType) -> list[Place]:
    """Every name of a version of the unit; of its kernels also what they wrap and have chosen."""
    name, names = module.__name__, vars(module)
    found = [Place(f"sys.modules.{name}", sys.modules, name, module)]
    for key, value in list(names.items()):
        if not key.startswith("__"):
            found.append(Place(f"{name}.{key}", names, key, value))
            is_own = isinstance(value, type) and value.__module__ == name
            found += _members(f"{name}.{key}", value) if is_own else ()
        if type(value).__module__.startswith("triton."):
            found += _kernel(f"{name}.{key}", value)
    return found


def namespaces() -> list[tuple[str, Mapping[str, Any]]]:
    """This package's modules, into which nobody else puts names: one would hide a builtin there."""
    assert __package__ is not None
    modules = list(sys.modules.items())
    return [(name, vars(module)) for name, module in modules if name.startswith(__package__)]


def closed(spaces: list[tuple[str, Mapping[str, Any]]]) -> Callable[[], list[str]]:
    """A function that names what was put into them by then; modules aside, which arrive as they are
    imported, and names of Python's own, such as `__warningregistry__`."""
    known = tuple((name, space, frozenset(space)) for name, space in spaces)
    module = types.ModuleType

    def added() -> list[str]:
        return [
            f"{name}.{key}" for name, space, keys in known if len(space) != len(keys)
            for key, value in list(space.items())
            if key not in keys and type(value) is not module and not key.startswith("__")
        ]  # fmt: skip

    return added


def hidden_builtins(module: types.ModuleType) -> Callable[[], list[str]]:
    """A function that names builtins that a name put into `module` by then hides from its code.
    Other names may arrive: Triton's interpreter rewrites kernels among their globals."""
    name, names = module.__name__, vars(module)
    free = tuple(key for key in vars(builtins) if key not in names and not key.startswith("__"))
    return lambda: [f"{name}.{key}" for key in free if key in names]


def sealed(places: list[Place], *, torch_may_wrap: bool) -> Callable[[], list[str]]:
    """A function that names what stands for something else by then.

    It holds all that it needs: whoever exchanges a name of this module meanwhile changes nothing
    about it. With `torch_may_wrap` it excuses torch's own wrappers around torch's own functions.
    Asked several times in each call of a launcher, so what is as it was costs two passes in C.
    """
    by_space: dict[int, list[Place]] = {}
    for place in places:
        by_space.setdefault(id(place.namespace), []).append(place)
    kept = tuple(
        (found[0].namespace.get, tuple(p.key for p in found), tuple(p.value for p in found), found)
        for found in by_space.values()
    )
    missing, every, each, same, again = _MISSING, all, map, operator.is_, itertools.repeat
    excuses = _wrapped_by_torch if torch_may_wrap else _never

    def changed() -> list[str]:
        return [
            name for look, keys, values, found in kept
            if not every(each(same, each(look, keys, again(missing)), values))
            for name, _, key, value in found
            if look(key, missing) is not value and not excuses(value, look(key, missing))
        ]  # fmt: skip

    return changed


def reimplemented() -> Callable[[], list[str]]:
    """A function that names torch's own operators that Python code has implemented anew by then.
    Torch keeps a set, from which nothing is taken while its library lives."""
    library = sys.modules.get("torch.library")
    known: Any = getattr(library, "_impls", frozenset())
    before, ours = frozenset(known), _OPERATORS

    def implemented() -> list[str]:
        if len(known) == len(before):
            return []
        return [f"the operator {key}" for key in known - before if str(key).startswith(ours)]

    return implemented


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


def _never(_old: Any, _new: Any) -> bool:
    return False


def _reached(name: str, holder: Any, dotted: str) -> Iterator[Place]:
    """Each step from `holder` along `dotted`, as far as it leads. Without `getattr` on instances:
    nothing of the candidate's may run here."""
    for part in dotted.split("."):
        for namespace in _namespaces(holder):
            value = namespace.get(part, _MISSING)
            yield Place(f"{name}.{part}", namespace, part, value)
            if value is not _MISSING:
                break
        else:
            return
        name, holder = f"{name}.{part}", value


def _namespaces(holder: Any) -> list[Mapping[str, Any]]:
    """Where Python looks for an attribute, in its order: what appears in an earlier one counts."""
    if isinstance(holder, type):
        return [vars(kind) for kind in holder.__mro__]
    return [getattr(holder, "__dict__", {})]


def _made_of(module_name: str, module: types.ModuleType) -> Iterator[Place]:
    """Names that nobody assigns to while a program runs: what can be called, what is imported,
    constants; with classes, their methods."""
    namespace = vars(module)
    for name, value in list(namespace.items()):
        if name.startswith("__"):
            continue
        if name.isupper() or isinstance(value, types.ModuleType) or _stays(value):
            yield Place(f"{module_name}.{name}", namespace, name, value)
        if isinstance(value, type) and value.__module__ == module_name:
            yield from _members(f"{module_name}.{name}", value)


def _members(name: str, kind: type) -> Iterator[Place]:
    members = vars(kind)
    for inner, member in list(members.items()):
        if _stays(member):
            yield Place(f"{name}.{inner}", members, inner, member)


def _stays(value: Any) -> bool:
    """Whether it is code, or an object of this package's own."""
    assert __package__ is not None
    is_method = isinstance(value, (property, classmethod, staticmethod))
    return callable(value) or is_method or type(value).__module__.startswith(__package__)


def _kernel(name: str, kernel: Any) -> Iterator[Place]:
    """What Triton's object for a kernel calls, wrappers and what they wrap alike; a tuner's choices
    so far, which only an original's own launch may add to."""
    own = getattr(kernel, "__dict__", {})
    for key in ("fn", "run", "configs", "cache", "device_caches", "base_fn"):
        yield Place(f"{name}.{key}", own, key, own.get(key, _MISSING))
    if isinstance(cache := own.get("cache"), dict):
        for key, chosen in list(cache.items()):
            yield Place(f"{name}.cache", cache, key, chosen)
    for config in own.get("configs") or ():
        for held in (getattr(config, "__dict__", {}), getattr(config, "kwargs", None) or {}):
            for key, value in list(held.items()):
                yield Place(f"{name}.configs.{key}", held, key, value)
    inner = own.get("fn")
    if type(inner).__module__.startswith("triton."):
        yield from _kernel(f"{name}.fn", inner)
