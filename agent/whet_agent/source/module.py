"""One file as a whole: its chunks put together and their names resolved, again and again.

What a definition's text says depends on its own bytes and on what module-level names
stand for. Both are compared with the previous reading of the file, and only definitions
touched by a difference are resolved anew: typing inside a kernel costs one definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from whet_agent.source.jit import JitNames
from whet_agent.source.links import Facts, Links, closure, link
from whet_agent.source.resolution import Resolution, named_functions, targets
from whet_agent.source.scopes import Chunk, Definition, Scope


class Placed(NamedTuple):
    """A definition where it stands in the file: offsets to add to its own."""

    definition: Definition
    offset: int
    row: int

    @property
    def span(self) -> tuple[int, int]:
        return self.definition.start + self.offset, self.definition.end + self.offset

    @property
    def line(self) -> int:
        """The `def` line, from 1."""
        return self.row + self.definition.row + 1


class Module:
    """The reading of one file. `chunks` are (byte offset, row, summary) in source order."""

    def __init__(
        self, chunks: Sequence[tuple[int, int, Chunk]], previous: Module | None = None
    ) -> None:
        self.chunks = [chunk for _, _, chunk in chunks]
        self.placed = [
            Placed(definition, offset, row)
            for offset, row, chunk in chunks
            for definition in chunk.definitions
        ]
        self.by_name: dict[str, list[Placed]] = {}
        for placed in self.placed:
            self.by_name.setdefault(placed.definition.qualname, []).append(placed)
        self.constants: dict[str, list[tuple[int, int]]] = {}
        for offset, _, chunk in chunks:
            for name, spans in chunk.scope.spans.items():
                moved = [(start + offset, end + offset) for start, end in spans]
                self.constants.setdefault(name, []).extend(moved)
        self._facts: dict[int, tuple[Facts, ...]] = {}
        self._aliases: dict[str, set[str]] | None = None
        self._bind(previous)
        self._link(previous)

    def _bind(self, previous: Module | None) -> None:
        """Module-level names, and the facts that can be kept. Empties `previous`."""
        if previous is None:
            self.scope = _merged(self.chunks)
            self.names = JitNames(self.scope)
            return
        gone, fresh = _difference(previous.chunks, self.chunks)
        changed = _changed_bindings(gone, fresh)
        if changed:
            self.scope = _merged(self.chunks)
            changed = _with_users(changed, previous.scope, self.scope, self.chunks)
        else:
            self.scope = previous.scope
            _swap(self.scope, gone, fresh)
        self.names = JitNames(self.scope)
        for chunk in self.chunks:
            known = previous.known_facts(chunk)
            if known is not None and (not changed or changed.isdisjoint(chunk.roots)):
                self._facts[id(chunk)] = known
        renewed = [c for c in self.chunks if id(c) not in self._facts]
        kept = self._facts.keys()
        stale = [c for c in previous.chunks if id(c) not in kept]
        if _decorators(previous, stale) != _decorators(self, renewed):
            self._facts = {}  # one of them began or ceased to apply triton.jit
            self.names = JitNames(self.scope)

    def _link(self, previous: Module | None) -> None:
        self.facts = [self.facts_of(chunk) for chunk in self.chunks]
        if previous is not None and self.facts == previous.facts and self._same_constants(previous):
            self.links: dict[str, Links] = previous.links
        else:
            values = {
                name: frozenset(r.partition(".")[0] for r in self.scope.assigned[name])
                & self.constants.keys()
                for name in self.constants
            }
            self.links = link((f for facts in self.facts for f in facts), values)
        self.wrapped = {t: s for facts in self.facts if facts for f in facts for t, s in f.wraps}
        self._jit = {
            id(definition)
            for chunk, facts in zip(self.chunks, self.facts, strict=True)
            if chunk.definitions
            for definition, fact in zip(chunk.definitions, facts[1:], strict=True)
            if fact.kernel
        }

    def _same_constants(self, previous: Module) -> bool:
        return self.constants.keys() == previous.constants.keys() and all(
            self.scope.assigned[n] == previous.scope.assigned.get(n) for n in self.constants
        )

    def known_facts(self, chunk: Chunk) -> tuple[Facts, ...] | None:
        return self._facts.get(id(chunk))

    def facts_of(self, chunk: Chunk) -> tuple[Facts, ...]:
        """Facts of the chunk's own level (named "") and of each of its definitions."""
        known = self._facts.get(id(chunk))
        if known is None:
            known = (
                self._fact("", chunk.scope, None),
                *(self._fact(d.qualname, d.scope, d) for d in chunk.definitions),
            )
            self._facts[id(chunk)] = known
        return known

    def _fact(self, qualname: str, scope: Scope, owner: Definition | None) -> Facts:
        wraps = tuple(
            (target, spelling)
            for path, spelling in self.names.wrapped(scope, owner)
            for target in named_functions(path, owner, self.scope)
        )
        kernel = owner is not None and self.names.marks_kernel(owner)
        outer = _outer_refs(scope)
        host = owner is not None and owner.kind != "class" and not _measures(owner)
        return Facts(
            qualname=qualname,
            kernel=kernel,
            decorates=owner is not None and not kernel and self.names.decorates(owner),
            host=host,
            edges=targets(outer, owner, self.scope) - {qualname} if owner else frozenset(),
            launches=tuple(
                (targets(callee, owner, self.scope), targets(arguments, owner, self.scope))
                for callee, arguments in scope.launches
            ),
            wraps=wraps,
            reads=frozenset(r.partition(".")[0] for r in outer) & self.constants.keys(),
        )

    def is_kernel(self, definition: Definition) -> bool:
        if id(definition) in self._jit:
            return True
        return definition.qualname in self.wrapped and definition.kind == "function"

    @property
    def kernels(self) -> list[Placed]:
        """All `@triton.jit` functions, in source order."""
        return [p for p in self.placed if self.is_kernel(p.definition)]

    def decorators(self, definition: Definition) -> tuple[str, ...]:
        """Source texts without `@`; first the callee of `triton.jit(fn)`, if so made."""
        if definition.qualname in self.wrapped and id(definition) not in self._jit:
            return (self.wrapped[definition.qualname], *definition.decorators)
        return definition.decorators

    def standing(self, qualname: str) -> Placed | None:
        """The definition of that name; of several, a kernel before its stand-in."""
        found = self.by_name.get(qualname, [])
        return next((p for p in found if self.is_kernel(p.definition)), next(iter(found), None))

    def edges(self, definition: Definition) -> frozenset[str]:
        """Functions of this file that the definition's own text refers to."""
        outer = _outer_refs(definition.scope)
        return targets(outer, definition, self.scope) - {definition.qualname}

    def resolve(self, ref: str, owner: Definition | None) -> frozenset[str]:
        """Functions of this file that `ref`, read inside `owner`, may stand for."""
        return targets([ref], owner, self.scope)

    def imported(self, refs: Iterable[str], owner: Definition | None) -> set[str]:
        """Dotted paths in other modules that `refs`, read inside `owner`, may stand for.

        Relative paths begin with dots, as in an import statement.
        """
        external: set[str] = set()
        for ref in refs:
            resolution = Resolution(self.scope)
            resolution.resolve(ref, owner)
            external |= resolution.external
        return external

    def aliases(self, qualname: str) -> set[str]:
        """Module-level names that stand for a definition: `softmax = Softmax.apply`."""
        if self._aliases is None:
            self._aliases = {}
            for name in self.scope.assigned:
                for target in self.resolve(name, None):
                    self._aliases.setdefault(target, set()).add(name)
        return self._aliases.get(qualname, set())

    def top_refs(self) -> set[str]:
        """Names that module-level code reads."""
        return {ref for chunk in self.chunks for ref in chunk.scope.refs}


def _decorators(module: Module, chunks: list[Chunk]) -> set[str]:
    """Definitions that, used as decorators, apply `triton.jit`."""
    return {f.qualname for chunk in chunks for f in module.facts_of(chunk) if f.decorates}


def _outer_refs(scope: Scope) -> set[str]:
    """References that a scope does not answer itself; its own aliases' values are among them."""
    return {
        ref
        for ref in scope.refs
        if (head := ref.partition(".")[0]) in ("self", "cls")
        or (head not in scope.assigned and head not in scope.parameters)
    }


def _measures(definition: Definition) -> bool:
    """Tests and benchmarks in the kernel's own file call launchers but are none."""
    found: Definition | None = definition
    while found is not None:
        if found.name.startswith(("test_", "bench_", "benchmark", "Test")):
            return True
        if any("perf_report" in d or "pytest" in d for d in found.decorators):
            return True
        found = found.parent
    return False


def _merged(chunks: list[Chunk]) -> Scope:
    """Module-level bindings of all chunks. Lists keep source order."""
    merged = Scope()
    for chunk in chunks:
        scope = chunk.scope
        for name, definitions in scope.definitions.items():
            merged.definitions.setdefault(name, []).extend(definitions)
        for name, refs in scope.assigned.items():
            merged.assigned.setdefault(name, set()).update(refs)
        for name, values in scope.bound.items():
            merged.bound.setdefault(name, []).extend(values)
        for name, paths in scope.imports.items():
            merged.imports.setdefault(name, []).extend(paths)
    return merged


def _difference(before: list[Chunk], after: list[Chunk]) -> tuple[list[Chunk], list[Chunk]]:
    """Chunks that are gone and chunks that are new; chunks are known by identity."""
    old, new = {id(c) for c in before}, {id(c) for c in after}
    gone = [c for c in before if id(c) not in new]
    fresh = [c for c in after if id(c) not in old]
    return gone, fresh


def _changed_bindings(gone: list[Chunk], fresh: list[Chunk]) -> set[str]:
    old, new = _bindings(gone), _bindings(fresh)
    return {n for n in old.keys() | new.keys() if old.get(n) != new.get(n)}


def _with_users(
    changed: set[str], before: Scope, after: Scope, chunks: list[Chunk]
) -> set[str]:  # fmt: skip
    """The changed names and those defined by means of them: aliases, subclasses."""
    if "*" in changed:
        return changed | {root for chunk in chunks for root in chunk.roots}
    users: dict[str, set[str]] = {}
    for scope in (before, after):
        for name, refs in scope.assigned.items():
            for ref in refs:
                users.setdefault(ref.partition(".")[0], set()).add(name)
        for name, definitions in scope.definitions.items():
            for definition in definitions:
                for base in definition.bases:
                    users.setdefault(base.partition(".")[0], set()).add(name)
                for inner in definition.scope.assigned if definition.kind == "class" else ():
                    for ref in definition.scope.assigned[inner]:
                        users.setdefault(ref.partition(".")[0], set()).add(name)
    return closure(changed, users)


def _swap(scope: Scope, gone: list[Chunk], fresh: list[Chunk]) -> None:
    """Puts new readings of definitions in the place of old ones of the same names."""
    old = {id(d) for chunk in gone for d in chunk.definitions}
    for chunk in fresh:
        for name in chunk.scope.definitions:
            scope.definitions[name] = [d for d in scope.definitions[name] if id(d) not in old]
    for chunk in fresh:
        for name, definitions in chunk.scope.definitions.items():
            scope.definitions[name].extend(definitions)


def _bindings(chunks: Iterable[Chunk]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for chunk in chunks:
        for name, binding in chunk.interface.items():
            found.setdefault(name, []).append(binding)
    return found
