"""Integer arguments that equal one, on Triton's interpreter: constants, as the compiler makes them.

A launch on a device specialises such an argument: it reaches the kernel as a constexpr does, and
`stride.to(tl.int64)` fails to compile wherever a stride is 1. The interpreter makes a tensor of
every integer, where all of it works. A constant is a Python number there, so operations between
constants fold as in the compiler; what the kernel assigns becomes a tensor again in both, which
the interpreter forgets for `+=` and for tuples.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any


class _One(int):
    """Marks an argument that becomes a constant, until the interpreter would convert it."""


def install(interpreter: Any) -> None:
    """Wraps launches, the conversion of their arguments and the rewriting of assignments."""
    function, transformer = interpreter.InterpretedFunction, interpreter.ASTTransformer
    function.run = _specialising(function.run)
    interpreter._implicit_cvt = _unconverted(interpreter._implicit_cvt)
    transformer.visit_AugAssign = _visit_augmented
    transformer.visit_Assign = _each_of_a_tuple(transformer.visit_Assign)


def _specialising(run: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(run)
    def specialised(self: Any, *args: Any, **kwargs: Any) -> Any:
        parameters = _specialised_parameters(self)
        marked = [
            _marked(value) if name in parameters else value
            for name, value in zip(self.arg_names, args)
        ]
        marked += args[len(marked) :]
        given = set(self.arg_names[: len(args)])
        defaults = {n: d for n, d in parameters.items() if n not in given and _is_one(d)}
        named = {n: _marked(v) if n in parameters else v for n, v in kwargs.items()}
        return run(self, *marked, **{n: _marked(d) for n, d in defaults.items()} | named)

    return specialised


@functools.cache
def _specialised_parameters(function: Any) -> dict[str, Any]:
    """The default of each parameter that Triton's `JITFunction` would specialise on its value."""
    from triton.runtime.jit import KernelParam

    kept = function.kwargs.get("do_not_specialize") or ()
    found: dict[str, Any] = {}
    for number, parameter in enumerate(inspect.signature(function.fn).parameters.values()):
        is_kept = number in kept or parameter.name in kept
        known = KernelParam(number, parameter, is_kept, False)
        if not (is_kept or known.is_constexpr or known.annotation_type):
            found[parameter.name] = parameter.default
    return found


def _is_one(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value == 1


def _marked(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_marked, value))
    return _One(1) if _is_one(value) else value


def _unconverted(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(convert)
    def converted(argument: Any) -> Any:
        return 1 if type(argument) is _One else convert(argument)

    return converted


def _visit_augmented(self: Any, node: ast.AugAssign) -> Any:
    """`a += b` as the compiler reads it: `a = a + b`, whose result is a tensor."""
    if not isinstance(node.target, ast.Name):
        return self.generic_visit(node)
    before = ast.copy_location(ast.Name(id=node.target.id, ctx=ast.Load()), node.target)
    value = ast.copy_location(ast.BinOp(left=before, op=node.op, right=node.value), node)
    assigned = ast.Assign(targets=[node.target], value=value)
    return self.visit(ast.copy_location(assigned, node))


def _each_of_a_tuple(visit: Callable[..., Any]) -> Callable[..., Any]:
    """Has `a, b = c, d` make a tensor of each, which Triton's `visit_Assign` makes of one value."""

    @functools.wraps(visit)
    def visit_assign(self: Any, node: ast.Assign) -> Any:
        made = visit(self, node)
        call, target = made.value, made.targets[0]
        values = call.args[0] if isinstance(call, ast.Call) and call.args else None
        if isinstance(target, ast.Tuple) and isinstance(values, ast.Tuple):
            values.elts = [_converted(call, value) for value in values.elts]
        return made

    return visit_assign


def _converted(call: ast.Call, value: ast.expr) -> ast.expr:
    """`value` in place of what `call` makes a tensor of."""
    if isinstance(value, ast.Starred):
        return value
    rest = [copy.deepcopy(argument) for argument in call.args[1:]]
    return ast.Call(func=copy.deepcopy(call.func), args=[value, *rest], keywords=[])
