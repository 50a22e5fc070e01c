"""What a name read somewhere in a file stands for, found as Python's scoping would find it.

Through enclosing functions, classes by `self`, `cls` or the class's name, module-level
aliases and tables, and out of the file through imports.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from whet_agent.source.scopes import Definition, Scope

_USES_OF_A_KERNEL = frozenset({"run", "warmup", "__getitem__", "fn"})
_RUN_BY_APPLY = ("forward", "backward", "setup_context", "jvp")
_RUN_BY_CALL = ("__init__", "__call__", "forward")


class Resolution:
    """One question. Remembers what it asked, since aliases may go round in a circle.

    `external` collects dotted paths in other modules; relative ones begin with dots.
    """

    def __init__(self, module: Scope) -> None:
        self.module = module
        self.asked: set[tuple[str, int]] = set()
        self.external: set[str] = set()

    def resolve(self, ref: str, owner: Definition | None) -> list[Definition]:
        """Functions of the file that `ref`, read inside `owner`, may stand for."""
        if (ref, id(owner)) in self.asked:
            return []
        self.asked.add((ref, id(owner)))
        head, _, rest = ref.partition(".")
        if head in ("self", "cls") and owner is not None:
            around = owner.enclosing_class
            if around is not None:
                return self._member(around, rest.partition(".")[0])
        for scope, place in scopes(owner, self.module):
            for path in scope.imports.get(head, ()):
                self.external.add(f"{path}.{rest}" if rest else path)
            if head in scope.definitions:
                return [t for d in scope.definitions[head] for t in self._used(d, rest)]
            if head in scope.assigned:
                return [t for r in scope.assigned[head] for t in self.resolve(r, place)]
            if head in scope.parameters or head in scope.imports:
                return []
        for star in self.module.imports.get("*", ()):
            self.external.add(f"{star}{ref}" if star.endswith(".") else f"{star}.{ref}")
        return []

    def _used(self, definition: Definition, rest: str) -> list[Definition]:
        """What runs when `definition.rest` is called, or `definition` when rest is empty."""
        attribute = rest.partition(".")[0]
        if definition.kind == "class":
            names = (attribute,) if attribute else _RUN_BY_CALL
            return [t for name in names for t in self._member(definition, name)]
        return [definition] if not attribute or attribute in _USES_OF_A_KERNEL else []

    def _member(self, around: Definition, name: str) -> list[Definition]:
        key = (f"{around.qualname}.{name}", id(around))
        if key in self.asked:
            return []
        self.asked.add(key)
        scope = around.scope
        if name in scope.definitions:
            return [t for d in scope.definitions[name] for t in self._used(d, "")]
        if name in scope.assigned:
            return [t for r in scope.assigned[name] for t in self.resolve(r, around)]
        if name == "apply":
            return [t for n in _RUN_BY_APPLY for t in self._member(around, n)]
        bases = [b for base in around.bases for b in self.module.definitions.get(base, ())]
        return [t for b in bases if b.kind == "class" for t in self._member(b, name)]


def targets(refs: Iterable[str], owner: Definition | None, module: Scope) -> frozenset[str]:
    """Qualified names of the file's functions that the refs may stand for."""
    return frozenset(d.qualname for ref in refs for d in Resolution(module).resolve(ref, owner))


def named_functions(name: str, owner: Definition | None, module: Scope) -> tuple[str, ...]:
    """Functions defined under exactly this name, no alias followed."""
    for scope, _ in scopes(owner, module):
        if name in scope.definitions:
            found = {d.qualname for d in scope.definitions[name] if d.kind == "function"}
            return tuple(sorted(found))
        if name in scope.assigned or name in scope.parameters or name in scope.imports:
            break
    return ()


def scopes(owner: Definition | None, module: Scope) -> Iterator[tuple[Scope, Definition | None]]:
    """Scopes a name is looked up in, innermost first; methods do not see class names."""
    inner = owner
    while owner is not None:
        if owner.kind != "class" or owner is inner:
            yield owner.scope, owner
        owner = owner.parent
    yield module, None
