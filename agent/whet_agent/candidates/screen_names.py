"""Which names and modules a candidate may not start to use, and how that is seen.

Only what is *new* counts: an original that imports `os` may go on doing so. The list holds
what lets code leave its process, look into its caller, or change a module that others use.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections import Counter
from collections.abc import Iterator

ALLOWED_MODULES = frozenset({"torch", "triton", "math", "typing", "functools", "__future__"})
FORBIDDEN_SUBMODULES = (
    "torch.multiprocessing", "torch.utils.cpp_extension", "torch.distributed", "torch.hub",
    "torch.package", "triton.testing", "triton.runtime.driver",
)  # fmt: skip
FORBIDDEN_CALLS = frozenset(
    {
        "exec", "eval", "compile", "__import__", "globals", "vars", "setattr", "delattr",
        "breakpoint", "input", "open", "memoryview", "exit", "quit", "print",
    }
)  # fmt: skip
FORBIDDEN_ATTRIBUTES = frozenset(
    {
        "__code__", "__globals__", "__builtins__", "__subclasses__", "__closure__", "__dict__",
        "__class__", "__getattribute__", "_getframe", "_exit", "f_back", "f_locals", "f_globals",
        "gi_frame", "tb_frame", "cr_frame", "inspect", "subprocess", "threading", "ctypes",
        "multiprocessing", "cpp_extension", "load_inline", "device_print",
        "is_current_stream_capturing", "initial_seed", "get_rng_state",
        "set_flush_denormal", "set_autocast_enabled", "set_detect_anomaly", "set_default_dtype",
        "set_default_device", "inference_mode", "saved_tensors_hooks", "register_hook",
        "pre_run_hooks", "add_pre_run_hook", "from_numpy", "frombuffer", "numpy", "tolist",
        "__wrapped__",
        "sys", "os", "builtins", "importlib", "gc", "atexit", "signal", "weakref", "traceback",
    }
)  # fmt: skip
"""The lines before the last: what stays switched in the caller's process, hangs on its tensors, or
computes where no launch is seen. The last line: modules that `torch` and `triton` have in hand, such as `torch.sys`. From
`sys.modules` on, everything that judges a candidate is within its reach. The line of
`is_current_stream_capturing`: what tells a timed call from another."""
KEEPERS = frozenset({"self", "cls", "ctx"})
"""What a method may keep things on: an object of its own, or autograd's context."""
_TUNED_ATTRIBUTE = "block_shape"
"""Set on a tensor descriptor before each configuration is tried, as Triton's tutorials do."""
FORBIDDEN_NAMES = frozenset(
    {"JITFunction", "InterpretedFunction", "KernelInterface", "knobs", "interpreter_builder"}
)
"""By these a program could tell a device from Triton's interpreter, and do there what nobody tests."""
_INTERPRETED = "TRITON_INTERPRET"

_DEVICE = re.compile(r"(cuda|hip|xpu):\d+")


def forbidden_use(original: str, candidate: str) -> str | None:
    """The first forbidden thing the candidate does that the original did not, as a sentence."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before = Counter(sentence for _, sentence in _uses(ast.parse(original)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        before = Counter()
    allowed = ALLOWED_MODULES | _modules(original)
    uses = sorted(_uses(ast.parse(candidate)), key=lambda use: use[0])
    for line, sentence in _imports(ast.parse(candidate), allowed, _imported(original)):
        uses.append((line, sentence))
    for _, sentence in sorted(uses, key=lambda use: use[0]):
        if before[sentence] > 0:
            before[sentence] -= 1
        else:
            return sentence
    return None


def _uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from _questions(tree)
    yield from _reaches(tree)
    own = _variables(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in FORBIDDEN_CALLS and isinstance(node.ctx, ast.Load):
                if id(node) in own:
                    continue
                yield node.lineno, f"`{name}` may not be used in a candidate."
            case ast.Attribute(attr=name) if name in FORBIDDEN_ATTRIBUTES:
                yield node.lineno, f"`.{name}` may not be used in a candidate."
            case ast.Try() | ast.TryStar():
                yield node.lineno, "`try` may not be added: what fails must be seen to fail."
            case ast.Constant(value=str(text)) if _DEVICE.fullmatch(text):
                yield node.lineno, f"The device `{text}` may not be named: use the inputs' own."
            case ast.Global(names=names):
                yield node.lineno, f"`global {', '.join(names)}` may not be used: keep no state."


def _reaches(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What touches objects that are not the candidate's own."""
    modules = _bound_at_top(tree)
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(ctx=ast.Store() | ast.Del()):
                yield from _kept(node, modules)
            case ast.Attribute(attr=name) if _is_private(name) and _root(node) in modules:
                yield node.lineno, f"`.{name}` is private to `{_root(node)}`: use what is public."
            case ast.Call(func=ast.Name(id="getattr" | "hasattr" as asks), args=[_, name, *_]):
                yield from _asked(node.lineno, asks, name)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _asked(line: int, asks: str, name: ast.expr) -> Iterator[tuple[int, str]]:
    """An attribute by a name: as if it were written, or one that nobody can read."""
    match name:
        case ast.Constant(value=str(text)) if text in FORBIDDEN_ATTRIBUTES:
            yield line, f"`.{text}` may not be used in a candidate."
        case ast.Constant():
            return
        case _:
            yield line, f"`{asks}` may not be given a computed name: write the attribute."


def _kept(node: ast.Attribute, modules: frozenset[str]) -> Iterator[tuple[int, str]]:
    """What is left on somebody else's object outlives the call."""
    root = _root(node)
    if root in modules:
        yield node.lineno, f"`{root}.{node.attr}` may not be assigned to."
    elif root not in KEEPERS and node.attr != _TUNED_ATTRIBUTE:
        yield (
            node.lineno,
            f"`{root}.{node.attr}` may not be assigned to: keep nothing on an object.",
        )


def _questions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What asks whether this is Triton's interpreter."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.alias(name=name) if (
                name.rpartition(".")[2] in FORBIDDEN_NAMES
            ):
                yield node.lineno, f"`{name}` may not be used in a candidate."
            case ast.Constant(value=str(text)) if _INTERPRETED in text:
                yield node.lineno, f"`{_INTERPRETED}` may not be asked for in a candidate."


def _variables(tree: ast.Module) -> set[int]:
    """Ids of the names that stand for a variable or parameter of their own function, such as
    one that is called `input`."""
    found: set[int] = set()
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        names = [node for inner in function.body for node in ast.walk(inner)
                 if isinstance(node, ast.Name)]  # fmt: skip
        a = function.args
        bound = {one.arg for one in (*a.posonlyargs, *a.args, *a.kwonlyargs)}
        bound |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
        found |= {id(node) for node in names if node.id in bound}
    return found


def _imports(
    tree: ast.Module, allowed: frozenset[str], original: set[str]
) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for path in _paths(node):
            if path in original:
                continue
            root = path.partition(".")[0]
            if path.startswith(".") or root not in allowed:
                yield node.lineno, f"`{path}` may not be imported: {_may(allowed)}."
            elif _is_forbidden(path):
                yield node.lineno, f"`{path}` may not be imported in a candidate."


def _is_forbidden(path: str) -> bool:
    inside = any(f"{path}.".startswith(f"{bad}.") for bad in FORBIDDEN_SUBMODULES)
    return inside or not FORBIDDEN_ATTRIBUTES.isdisjoint(path.split(".")[1:])


def _may(allowed: frozenset[str]) -> str:
    return "only " + ", ".join(sorted(allowed - {"__future__"})) + " may be"


def _paths(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names]
    module = "." * node.level + (node.module or "")
    joint = "" if module.endswith(".") else "."
    return [f"{module}{joint}{a.name}" for a in node.names]


def _imported(text: str) -> set[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {
        path
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for path in _paths(node)
    }


def _modules(text: str) -> frozenset[str]:
    """Top-level packages the original imports; relative imports count by full path only."""
    return frozenset(p.partition(".")[0] for p in _imported(text) if not p.startswith("."))


def _bound_at_top(tree: ast.Module) -> frozenset[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).partition(".")[0] for a in node.names)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
    return frozenset(names)


def _root(node: ast.expr) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
