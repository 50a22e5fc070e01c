"""One file as a whole: its chunks put together, its kernels, who launches and who helps whom.

Names are resolved lexically, as Python would: through enclosing functions, classes by
`self`, `cls` or the class's name, module-level aliases and tables of kernels. A function
*launches* a kernel when it refers to it, and reaches it when it refers to one that does.
This is a reading of the text, not a run: the evaluator's recording is what confirms it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from whet_agent.jit import JitNames
from whet_agent.syntax import Chunk, Definition, Scope

_USES_OF_A_KERNEL = frozenset({"run", "warmup", "__getitem__", "fn"})
_RUN_BY_APPLY = ("forward", "backward", "setup_context", "jvp")
_RUN_BY_CALL = ("__init__", "__call__", "forward")


@attrs.frozen(eq=False)
class Placed:
    """A definition where it stands in the file: offsets to add to its own."""

    definition: Definition
    offset: int
    row: int

    @property
    def span(self) -> tuple[int, int]:
        return self.definition.start + self.offset, self.definition.end + self.offset


@attrs.frozen(eq=False)
class Found:
    """A kernel with the definitions around it, each group in source order."""

    kernel: Placed
    decorators: tuple[str, ...]
    direct: tuple[Placed, ...]
    launchers: tuple[Placed, ...]
    """The direct ones and those that call them, tests and benchmarks left out."""
    helpers: tuple[Placed, ...]
    helper_of: tuple[Placed, ...]

    @property
    def members(self) -> tuple[Placed, ...]:
        """The unit: what a candidate may change, in source order."""
        unique = {id(p): p for p in (self.kernel, *self.helpers, *self.launchers)}
        return tuple(sorted(unique.values(), key=lambda p: p.span))


class Module:
    """The reading of one file. `chunks` are (byte offset, row, summary) in source order."""

    def __init__(self, chunks: Iterable[tuple[int, int, Chunk]]) -> None:
        self.scope = Scope()
        self.placed: list[Placed] = []
        self.constants: dict[str, list[tuple[int, int]]] = {}
        self._by_definition: dict[int, list[Placed]] = {}
        for offset, row, chunk in chunks:
            self._add(offset, row, chunk)
        self.names = JitNames(self.scope)
        self.kernels = self._find_kernels()
        self._jit = {id(p.definition) for p, _ in self.kernels}
        self._edges: dict[int, frozenset[int]] = {}
        self._aliases: dict[int, set[str]] | None = None
        self._definitions = {id(p.definition): p.definition for p in self.placed}

    def _add(self, offset: int, row: int, chunk: Chunk) -> None:
        for definition in chunk.definitions:
            placed = Placed(definition, offset, row)
            self.placed.append(placed)
            self._by_definition.setdefault(id(definition), []).append(placed)
        mine, new = self.scope, chunk.scope
        for name, definitions in new.definitions.items():
            mine.definitions.setdefault(name, []).extend(definitions)
        for name, refs in new.assigned.items():
            mine.assigned.setdefault(name, set()).update(refs)
        for name, values in new.bound.items():
            mine.bound.setdefault(name, []).extend(values)
        for name, paths in new.imports.items():
            mine.imports.setdefault(name, []).extend(paths)
        for name, spans in new.spans.items():
            moved = [(start + offset, end + offset) for start, end in spans]
            self.constants.setdefault(name, []).extend(moved)
        mine.refs.update(new.refs)
        mine.launches.extend(new.launches)
        mine.applied.extend(new.applied)

    def _find_kernels(self) -> list[tuple[Placed, tuple[str, ...]]]:
        wrapped: dict[int, str] = {}
        owners: list[Definition | None] = [None, *(p.definition for p in self.placed)]
        for owner in owners:
            scope = self.scope if owner is None else owner.scope
            for path, spelling in self.names.wrapped(scope, owner):
                for target in self.resolve(path, owner):
                    if target.kind == "function":
                        wrapped[id(target)] = spelling
        found = []
        for placed in self.placed:
            definition = placed.definition
            if self.names.marks_kernel(definition):
                found.append((placed, definition.decorators))
            elif id(definition) in wrapped:
                found.append((placed, (wrapped[id(definition)], *definition.decorators)))
        return found

    def is_kernel(self, definition: Definition) -> bool:
        return id(definition) in self._jit

    def find_all(self) -> tuple[Found, ...]:
        """Every kernel of the file with its launchers and helpers, in source order."""
        callers = self._callers()
        helpers = self._helpers()
        helper_of: dict[int, set[int]] = {}
        for kernel, used in helpers.items():
            for helper in used:
                helper_of.setdefault(helper, set()).add(kernel)
        providers = self._providers()
        return tuple(
            self._found(placed, decorators, callers, helpers, helper_of, providers)
            for placed, decorators in self.kernels
        )

    def _found(
        self, placed: Placed, decorators: tuple[str, ...], callers: dict[int, set[int]],
        helpers: dict[int, set[int]], helper_of: dict[int, set[int]], providers: set[int],
    ) -> Found:  # fmt: skip
        key = id(placed.definition)
        near = {c for c in callers.get(key, ()) if not self._is_measurement(c)}
        reached = {c for c in _closure(near, callers) if not self._is_measurement(c)}
        return Found(
            kernel=placed,
            decorators=decorators,
            direct=self._places(near - providers or near),
            launchers=self._places(reached),
            helpers=self._places(_closure(helpers.get(key, set()), helpers) - {key}),
            helper_of=self._places(helper_of.get(key, set()) - {key}),
        )

    def _places(self, keys: Iterable[int]) -> tuple[Placed, ...]:
        places = [p for key in keys for p in self._by_definition[key]]
        return tuple(sorted(places, key=lambda p: p.span))

    def _is_measurement(self, key: int) -> bool:
        """Tests and benchmarks in the kernel's own file call launchers but are none."""
        found: Definition | None = self._definitions[key]
        while found is not None:
            if found.name.startswith(("test_", "bench_", "Test")):
                return True
            if any("perf_report" in d or "pytest" in d for d in found.decorators):
                return True
            found = found.parent
        return False

    def _callers(self) -> dict[int, set[int]]:
        """From a definition to the host functions that refer to it."""
        callers: dict[int, set[int]] = {}
        for placed in self.placed:
            definition = placed.definition
            if definition.kind == "class" or self.is_kernel(definition):
                continue
            launched, passed = self._launch_sites(definition)
            for target in self.edges(definition) - (passed - launched):
                callers.setdefault(target, set()).add(id(definition))
        return callers

    def _launch_sites(self, definition: Definition) -> tuple[set[int], set[int]]:
        """Kernels launched in `definition`, and kernels only handed to a launch."""
        launched: set[int] = set()
        passed: set[int] = set()
        for callee, arguments in definition.scope.launches:
            here = {i for i in self._targets(callee, definition) if i in self._jit}
            launched |= here
            if here:
                passed |= {i for i in self._targets(arguments, definition) if i in self._jit}
        return launched, passed

    def _helpers(self) -> dict[int, set[int]]:
        """From a kernel to the jit functions it calls or is handed at launch."""
        helpers: dict[int, set[int]] = {}
        for placed, _ in self.kernels:
            key = id(placed.definition)
            used = {i for i in self.edges(placed.definition) if i in self._jit and i != key}
            helpers.setdefault(key, set()).update(used)
        for placed in self.placed:
            for callee, arguments in placed.definition.scope.launches:
                targets = self._targets(callee, placed.definition) & self._jit
                if not targets:
                    continue
                passed = self._targets(arguments, placed.definition) & self._jit
                for kernel in targets:
                    helpers.setdefault(kernel, set()).update(passed - {kernel})
        return helpers

    def _providers(self) -> set[int]:
        """Host functions whose result is launched: `get_kernel(dtype)[grid](...)`."""
        return {
            target
            for placed in self.placed
            for callee, _ in placed.definition.scope.launches
            for target in self._targets(callee, placed.definition)
            if target not in self._jit
        }

    def edges(self, definition: Definition) -> frozenset[int]:
        """Definitions of this file that `definition`'s own text refers to."""
        key = id(definition)
        if key not in self._edges:
            own = definition.scope
            outer = {
                ref
                for ref in own.refs
                if (head := ref.partition(".")[0]) not in own.assigned
                and head not in own.parameters
                or head in ("self", "cls")
            }
            self._edges[key] = frozenset(self._targets(outer, definition) - {key})
        return self._edges[key]

    def _targets(self, refs: Iterable[str], owner: Definition | None) -> set[int]:
        return {id(d) for ref in refs for d in self.resolve(ref, owner)}

    def resolve(self, ref: str, owner: Definition | None) -> list[Definition]:
        """Functions of this file that `ref`, read inside `owner`, may stand for."""
        return _Resolution(self.scope).resolve(ref, owner)

    def imported(self, refs: Iterable[str], owner: Definition | None) -> set[str]:
        """Dotted paths in other modules that `refs`, read inside `owner`, may stand for.

        Relative paths begin with dots, as in an import statement.
        """
        external: set[str] = set()
        for ref in refs:
            resolution = _Resolution(self.scope)
            resolution.resolve(ref, owner)
            external |= resolution.external
        return external

    def definition(self, identity: int) -> Definition:
        return self._definitions[identity]

    def line(self, identity: int) -> int:
        """The `def` line, from 1."""
        placed = self._by_definition[identity][0]
        return placed.row + placed.definition.row + 1

    def aliases(self, identity: int) -> set[str]:
        """Module-level names that stand for a definition: `softmax = Softmax.apply`."""
        if self._aliases is None:
            self._aliases = {}
            for name in self.scope.assigned:
                for target in self.resolve(name, None):
                    self._aliases.setdefault(id(target), set()).add(name)
        return self._aliases.get(identity, set())

    def constants_read(self, definitions: Iterable[Definition]) -> set[tuple[int, int]]:
        """Spans of the module-level assignments that the definitions read, transitively."""
        pending = {r.partition(".")[0] for d in definitions for r in _all_refs(d)}
        seen: set[str] = set()
        while pending := pending & self.constants.keys() - seen:
            seen |= pending
            pending = {r.partition(".")[0] for n in pending for r in self.scope.assigned[n]}
        return {span for name in seen for span in self.constants[name]}


class _Resolution:
    """One question. Remembers what it asked, since aliases may go round in a circle."""

    def __init__(self, module: Scope) -> None:
        self.module = module
        self.asked: set[tuple[str, int]] = set()
        self.external: set[str] = set()

    def resolve(self, ref: str, owner: Definition | None) -> list[Definition]:
        if (ref, id(owner)) in self.asked:
            return []
        self.asked.add((ref, id(owner)))
        head, _, rest = ref.partition(".")
        if head in ("self", "cls") and owner is not None:
            around = owner.enclosing_class
            if around is not None:
                return self.member(around, rest.partition(".")[0])
        for scope, place in _scopes(owner, self.module):
            for path in scope.imports.get(head, ()):
                self.external.add(f"{path}.{rest}" if rest else path)
            if head in scope.definitions:
                return [t for d in scope.definitions[head] for t in self.used(d, rest)]
            if head in scope.assigned:
                return [t for r in scope.assigned[head] for t in self.resolve(r, place)]
            if head in scope.parameters or head in scope.imports:
                return []
        for star in self.module.imports.get("*", ()):
            self.external.add(f"{star}{ref}" if star.endswith(".") else f"{star}.{ref}")
        return []

    def used(self, definition: Definition, rest: str) -> list[Definition]:
        """What runs when `definition.rest` is called, or `definition` when rest is empty."""
        attribute = rest.partition(".")[0]
        if definition.kind == "class":
            names = (attribute,) if attribute else _RUN_BY_CALL
            return [t for name in names for t in self.member(definition, name)]
        return [definition] if not attribute or attribute in _USES_OF_A_KERNEL else []

    def member(self, around: Definition, name: str) -> list[Definition]:
        scope = around.scope
        if name in scope.definitions:
            return [t for d in scope.definitions[name] for t in self.used(d, "")]
        if name in scope.assigned:
            return [t for r in scope.assigned[name] for t in self.resolve(r, around)]
        if name == "apply":
            return [t for n in _RUN_BY_APPLY for t in self.member(around, n)]
        bases = [b for base in around.bases for b in self.module.definitions.get(base, ())]
        key = (f"{around.qualname}.{name}", id(around))
        if key in self.asked:
            return []
        self.asked.add(key)
        return [t for b in bases if b.kind == "class" for t in self.member(b, name)]


def _scopes(owner: Definition | None, module: Scope) -> Iterator[tuple[Scope, Definition | None]]:
    inner = owner
    while owner is not None:
        if owner.kind != "class" or owner is inner:
            yield owner.scope, owner
        owner = owner.parent
    yield module, None


def _all_refs(definition: Definition) -> set[str]:
    refs = set(definition.scope.refs)
    for inner in definition.scope.definitions.values():
        for nested in inner:
            refs |= _all_refs(nested)
    return refs


def _closure(start: Iterable[int], edges: dict[int, set[int]]) -> set[int]:
    found = set(start)
    pending = list(found)
    while pending:
        for following in edges.get(pending.pop(), ()):
            if following not in found:
                found.add(following)
                pending.append(following)
    return found
