"""Which functions of a file are `@triton.jit` functions, under every spelling real code uses.

A decorator is followed through imports, aliases, `functools.partial`, local decorators
that apply `triton.jit` to their argument, and `kernel = triton.jit(fn)`. What cannot be
followed is taken at its word: a name that ends in `triton.jit` is Triton's.

Other dialects that compile a Python function have rules of their own and are not listed:
`triton.experimental.gluon.jit`, `triton_dist.jit`, `tilelang.jit`, `numba.jit`, `jax.jit`.
"""

from __future__ import annotations

from collections.abc import Iterator

from whet_agent.source.expressions import Call, Choice, Expr, Lambda, Name
from whet_agent.source.resolution import scopes
from whet_agent.source.scopes import Definition, Scope

_MAX_STEPS = 16
_MODULE_LOADERS = ("import_module", "importorskip", "__import__", "LazyLoader")
_OTHER_DIALECTS = frozenset({"gluon", "experimental", "triton_dist"})


def is_triton_jit(path: str) -> bool:
    """Whether a full dotted path names Triton's `jit`.

    Projects import `triton` through modules of their own (`vllm.triton_utils.triton.jit`,
    `torch._inductor.runtime.triton_compat.jit`), so the ending decides.
    """
    parts = path.lstrip(".").split(".")
    if parts[-1] != "jit" or len(parts) < 2 or _OTHER_DIALECTS.intersection(parts):
        return False
    if parts[-2] == "runtime":  # the module `triton.runtime.jit`
        return False
    return parts[-2] == "triton" or any("triton" in part for part in parts[:-1])


class JitNames:
    """Answers, for one file, whether an expression stands for `triton.jit`."""

    def __init__(self, module: Scope) -> None:
        self.module = module
        self._names: dict[tuple[str, int], bool] = {}
        self._definitions: dict[int, bool] = {}

    def marks_kernel(self, definition: Definition) -> bool:
        """Whether one of the function's decorators is, or applies, `triton.jit`."""
        if definition.kind != "function":
            return False
        for value in definition.decorator_values:
            called = value.function if isinstance(value, Call) else value
            if self.is_jit(called, definition.parent) or self.is_jit(value, definition.parent):
                return True
        return False

    def decorates(self, definition: Definition) -> bool:
        """Whether the function or class, used as a decorator, applies `triton.jit`."""
        return self._definition(definition, 0)

    def wrapped(self, scope: Scope, owner: Definition | None) -> Iterator[tuple[str, str]]:
        """Function names given to `triton.jit(fn)` in this scope, each with the callee's text."""
        for value in scope.applied:
            first = value.positional[0] if value.positional else None
            if isinstance(first, Name) and self.is_jit(_callee(value), owner):
                yield first.path, _spelling(value.function)

    def is_jit(  # noqa: PLR0911 - one case per shape
        self, value: Expr, owner: Definition | None, steps: int = 0
    ) -> bool:
        """Whether `value`, read inside `owner`, is `triton.jit` or a decorator applying it."""
        if steps > _MAX_STEPS:
            return False
        match value:
            case Name(path):
                return self._name(path, owner, steps)
            case Call(function, positional):
                if any(self.is_jit(p, owner, steps + 1) for p in positional):
                    return True  # functools.partial(triton.jit, ...), wrapper(triton.jit)
                applied = any(isinstance(p, (Name, Lambda)) for p in positional)
                return not applied and self.is_jit(function, owner, steps + 1)
            case Choice(values):
                return any(self.is_jit(v, owner, steps + 1) for v in values)
            case Lambda(parameters, body):
                return self._applies(body, frozenset(parameters), owner, steps)
        return False

    def _name(self, path: str, owner: Definition | None, steps: int) -> bool:
        key = (path, id(owner))
        if key not in self._names:
            self._names[key] = False  # a name bound to itself ends here
            self._names[key] = self._look_up(path, owner, steps)
        return self._names[key]

    def _look_up(self, path: str, owner: Definition | None, steps: int) -> bool:
        head, _, rest = path.partition(".")
        for scope, place in scopes(owner, self.module):
            answer = self._bound(scope, place, head, rest, steps)
            if answer is not None:
                stand_in = head == "triton" and head not in scope.imports
                return answer or (stand_in and is_triton_jit(path))  # triton = None
        if "*" in self.module.imports and any(
            is_triton_jit(f"{star}.{path}") for star in self.module.imports["*"]
        ):
            return True
        return is_triton_jit(path)

    def _bound(
        self, scope: Scope, place: Definition | None, head: str, rest: str, steps: int
    ) -> bool | None:
        """None when the scope does not bind `head`."""
        tail = f".{rest}" if rest else ""
        known = head in scope.parameters or head in scope.assigned
        for imported in scope.imports.get(head, ()):
            known = True
            if is_triton_jit(imported + tail):
                return True
        for value in scope.bound.get(head, ()):
            if self._value(value, rest, place, steps + 1):
                return True
        for definition in scope.definitions.get(head, ()):
            known = True
            if not rest and self._definition(definition, steps + 1):
                return True
        return False if known else None

    def _value(self, value: Expr, rest: str, place: Definition | None, steps: int) -> bool:
        if not rest:
            return self.is_jit(value, place, steps)
        if isinstance(value, Name):
            return steps <= _MAX_STEPS and self._name(f"{value.path}.{rest}", place, steps)
        if isinstance(value, Call) and value.literal and isinstance(value.function, Name):
            loads = value.function.path.rpartition(".")[2] in _MODULE_LOADERS
            return loads and is_triton_jit(f"{value.literal}.{rest}")
        return False

    def _definition(self, definition: Definition, steps: int) -> bool:
        """Whether a function or class is a decorator that applies `triton.jit`."""
        key = id(definition)
        if key not in self._definitions and steps <= _MAX_STEPS:
            self._definitions[key] = False
            inside = list(_nested(definition))
            parameters = frozenset[str]().union(*(d.scope.parameters for d in inside))
            self._definitions[key] = any(
                any(self._on_parameter(call, parameters, d, steps) for call in d.scope.applied)
                or any(self._applies(value, parameters, d, steps) for value in d.scope.returned)
                for d in inside
            )
        return self._definitions.get(key, False)

    def _applies(
        self, value: Expr, parameters: frozenset[str], owner: Definition | None, steps: int
    ) -> bool:
        """Whether `value` is `triton.jit` itself or its call on one of the parameters."""
        if isinstance(value, Call) and self._on_parameter(value, parameters, owner, steps):
            return True
        return self.is_jit(value, owner, steps + 1)

    def _on_parameter(
        self, call: Call, parameters: frozenset[str], owner: Definition | None, steps: int
    ) -> bool:
        for argument in call.positional:
            given = isinstance(argument, Name) and argument.path in parameters
            if given and self.is_jit(_callee(call), owner, steps + 1):
                return True
            if isinstance(argument, Call) and self._on_parameter(
                argument, parameters, owner, steps
            ):
                return True  # triton.autotune(...)(triton.jit(fn))
        return False


def _callee(call: Call) -> Expr:
    """`triton.jit` of both `triton.jit(fn)` and `triton.jit(**options)(fn)`."""
    inner = call.function
    return inner.function if isinstance(inner, Call) and not inner.positional else inner


def _spelling(value: Expr) -> str:
    while isinstance(value, Call):
        value = value.function
    return value.path if isinstance(value, Name) else "triton.jit"


def _nested(definition: Definition) -> Iterator[Definition]:
    stack = [definition]
    while stack:
        found = stack.pop()
        yield found
        for inner in found.scope.definitions.values():
            stack.extend(inner)
