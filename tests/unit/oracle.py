"""An independent finder of Triton kernels, on Python's own `ast`, to check ours against.

It shares no code with the package and works the other way round: instead of walking
scopes it collects, to a fixed point, every name of the file that may stand for
`triton.jit`, and then looks at each function's decorators. Run on any installed package:

    python tests/unit/oracle.py FOLDER...
"""

# ruff: noqa: T201 - run as a script it prints its table

from __future__ import annotations

import ast
import sys
import tokenize
import warnings
from pathlib import Path

Answer = set[tuple[str, int, int]]
"""(name, line of the `def`, last line)"""

DIALECTS = {"gluon", "experimental", "triton_dist"}


def spelled(node: ast.expr) -> str:
    """`a.b.c` for names and attributes, an empty string for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = spelled(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return ""


def tritons(path: str) -> bool:
    parts = path.strip(".").split(".")
    if parts[-1] != "jit" or set(parts) & DIALECTS or parts[-2:-1] == ["runtime"]:
        return False
    return any("triton" in p for p in parts[:-1])


class File:
    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.full: dict[str, set[str]] = {}
        self.jits: set[str] = set()
        for node in ast.walk(tree):
            self.learn_import(node)
        before = -1
        while len(self.jits) != before:
            before = len(self.jits)
            for node in ast.walk(tree):
                self.learn_alias(node)

    def learn_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for a in node.names:
                self.full.setdefault(a.asname or a.name.split(".")[0], set()).add(
                    a.name if a.asname else a.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for a in node.names:
                name = "jit" if a.name == "*" and node.module == "triton" else a.asname or a.name
                self.full.setdefault(name, set()).add(
                    f"{module}.{'jit' if a.name == '*' else a.name}"
                )

    def learn_alias(self, node: ast.AST) -> None:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [t.id for t in targets if isinstance(t, ast.Name)]
            if self.is_value(node.value):
                self.jits.update(names)
            value = node.value
            module = spelled(value)
            if isinstance(value, ast.Call) and value.args:
                loader = spelled(value.func).split(".")[-1]
                first = value.args[0]
                if loader in ("import_module", "importorskip", "__import__"):
                    module = str(first.value) if isinstance(first, ast.Constant) else ""
            if module.split(".")[-1] == "triton":
                for name in names:
                    self.full.setdefault(name, set()).add("triton")
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and self.applies(node):
            self.jits.add(node.name)

    def is_jit(self, node: ast.expr) -> bool:
        """A name that stands for `triton.jit` or for a decorator applying it."""
        path = spelled(node)
        if not path:
            return False
        if path in self.jits:
            return True
        head, dot, rest = path.partition(".")
        known = self.full.get(head)
        if not known:
            return tritons(path)
        return any(tritons(k + dot + rest) for k in known)

    def is_value(self, node: ast.expr) -> bool:
        """An expression whose value decorates: alias, partial, choice, lambda, options."""
        if isinstance(node, ast.IfExp):
            return self.is_value(node.body) or self.is_value(node.orelse)
        if isinstance(node, ast.BoolOp):
            return any(self.is_value(v) for v in node.values)
        if isinstance(node, ast.Lambda):
            return self.applied_in(node.body, {a.arg for a in node.args.args}) or self.is_value(
                node.body
            )
        if isinstance(node, ast.Call):
            if any(self.is_value(a) for a in node.args):
                return True
            takes = any(isinstance(a, (ast.Name, ast.Attribute, ast.Lambda)) for a in node.args)
            return not takes and self.is_value(node.func)
        return self.is_jit(node)

    def callee(self, call: ast.Call) -> ast.expr:
        inner = call.func
        return inner.func if isinstance(inner, ast.Call) and not inner.args else inner

    def applied_in(self, root: ast.AST, parameters: set[str]) -> bool:
        return any(
            isinstance(n, ast.Call)
            and any(isinstance(a, ast.Name) and a.id in parameters for a in n.args)
            and self.is_jit(self.callee(n))
            for n in ast.walk(root)
        )

    def applies(self, node: ast.FunctionDef | ast.ClassDef) -> bool:
        """Whether a function or class, used as a decorator, applies `triton.jit`."""
        parameters = {
            a.arg
            for n in ast.walk(node)
            if isinstance(n, (ast.FunctionDef, ast.Lambda))
            for a in (*n.args.posonlyargs, *n.args.args, *n.args.kwonlyargs)
        }
        if self.applied_in(node, parameters):
            return True
        return any(
            isinstance(n, ast.Return) and n.value is not None and self.is_value(n.value)
            for n in ast.walk(node)
        )

    def decorates(self, decorator: ast.expr) -> bool:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        return self.is_value(called) or self.is_value(decorator)

    def kernels(self) -> Answer:
        wrapped = {
            n.args[0].id
            for n in ast.walk(self.tree)
            if isinstance(n, ast.Call)
            and n.args
            and isinstance(n.args[0], ast.Name)
            and self.is_jit(self.callee(n))
        }
        return {
            (n.name, n.lineno, n.end_lineno or 0)
            for n in ast.walk(self.tree)
            if isinstance(n, ast.FunctionDef)
            and (n.name in wrapped or any(self.decorates(d) for d in n.decorator_list))
        }


def plain_kernels(tree: ast.AST) -> Answer:
    """The bluntest walk: a decorator, called or not, whose spelling ends in `triton.jit`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                inner = decorator.func if isinstance(decorator, ast.Call) else decorator
                if ast.unparse(inner) == "triton.jit":
                    found.add((node.name, node.lineno, node.end_lineno or 0))
    return found


def kernels_of(text: str) -> Answer:
    """Raises `SyntaxError` where Python does."""
    return File(ast.parse(text)).kernels()


def main(folders: list[str]) -> int:
    from whet_agent.source.units import parse_units

    warnings.simplefilter("ignore")
    total = wrong = files = 0
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            try:
                with tokenize.open(path) as file:
                    text = file.read()
                if "jit" not in text:
                    continue
                tree = ast.parse(text)
            except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
                continue
            expected = File(tree).kernels()
            missing_plain = plain_kernels(tree) - expected
            found = {(k.name, k.line, k.end_line) for k in parse_units(text, str(path))}
            files, total = files + 1, total + len(expected)
            if found != expected or missing_plain:
                wrong += len(found ^ expected) + len(missing_plain)
                print(path)
                print("   only by ast:", sorted(expected - found, key=lambda k: k[1]))
                print("   only by us: ", sorted(found - expected, key=lambda k: k[1]))
                print("   oracle misses:", sorted(missing_plain, key=lambda k: k[1]))
    print(f"{files} files, {total} kernels, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
