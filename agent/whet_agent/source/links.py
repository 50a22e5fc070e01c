"""Who launches and who helps whom, once every name of a file is resolved.

A function *launches* a kernel when it refers to it, and reaches it when it refers to one
that does. A jit function that another one calls, or that is handed to a launch, is a
*helper*. This is a reading of the text, not a run: the evaluator's recording confirms it.
Definitions are known by qualified name; two of one name (in both arms of an `if`) share
their links.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs


@attrs.frozen
class Facts:
    """What one definition's text says, names resolved. Sets hold qualified names."""

    qualname: str
    kernel: bool
    """One of its decorators is, or applies, `triton.jit`."""
    decorates: bool
    """Used as a decorator it would apply `triton.jit`."""
    host: bool
    """A function that is no test or benchmark, so that it may be a launcher."""
    edges: frozenset[str]
    launches: tuple[tuple[frozenset[str], frozenset[str]], ...]
    """Per launch: what is launched, what is named in its arguments."""
    wraps: tuple[tuple[str, str], ...]
    """Functions it gives to `triton.jit(fn)`, with the callee's spelling."""
    reads: frozenset[str]
    """Module-level constants it names."""


@attrs.frozen
class Links:
    """Around one kernel; each tuple in source order."""

    direct: tuple[str, ...]
    launchers: tuple[str, ...]
    helpers: tuple[str, ...]
    helper_of: tuple[str, ...]
    members: tuple[str, ...]
    """The unit: the kernel, its helpers and launchers."""
    constants: tuple[str, ...]


def link(facts: Iterable[Facts], constants: Mapping[str, frozenset[str]]) -> dict[str, Links]:
    """Links of every kernel. `facts` are in source order, module-level code among them
    under the name ""; `constants` maps each constant to the names in its value."""
    return _Linking(list(facts), constants).all()


class _Linking:
    def __init__(self, facts: list[Facts], constants: Mapping[str, frozenset[str]]) -> None:
        self.facts = facts
        self.constants = constants
        self.order = {f.qualname: i for i, f in enumerate(facts)}
        self.jit = {f.qualname for f in facts if f.kernel}
        self.jit |= {target for f in facts for target, _ in f.wraps}
        self.reads: dict[str, set[str]] = {}
        self.callers: dict[str, set[str]] = {}
        self.helpers: dict[str, set[str]] = {}
        self.helper_of: dict[str, set[str]] = {}
        self.providers: set[str] = set()

    def all(self) -> dict[str, Links]:
        for facts in self.facts:
            self.reads.setdefault(facts.qualname, set()).update(facts.reads)
            self.add_launches(facts)
            if facts.qualname in self.jit:
                self.help(facts.qualname, facts.edges & self.jit)
            elif facts.host:
                for target in facts.edges - self.only_passed(facts):
                    self.callers.setdefault(target, set()).add(facts.qualname)
        for kernel, used in self.helpers.items():
            for helper in used:
                self.helper_of.setdefault(helper, set()).add(kernel)
        return {name: self.links(name) for name in self.jit if name in self.order}

    def add_launches(self, facts: Facts) -> None:
        for launched, passed in facts.launches:
            self.providers |= launched - self.jit
            for kernel in launched & self.jit:
                self.help(kernel, passed & self.jit)

    def help(self, kernel: str, helpers: Iterable[str]) -> None:
        self.helpers.setdefault(kernel, set()).update(h for h in helpers if h != kernel)

    def only_passed(self, facts: Facts) -> set[str]:
        """Kernels that are handed to a launch and not launched themselves."""
        passed = {k for launched, p in facts.launches if launched & self.jit for k in p & self.jit}
        return passed - {k for launched, _ in facts.launches for k in launched}

    def links(self, kernel: str) -> Links:
        near = self.callers.get(kernel, set())
        launchers = closure(near, self.callers)
        helpers = closure(self.helpers.get(kernel, ()), self.helpers) - {kernel}
        members = {kernel} | launchers | helpers
        return Links(
            direct=self.sorted((near - self.providers) or near),
            launchers=self.sorted(launchers),
            helpers=self.sorted(helpers),
            helper_of=self.sorted(self.helper_of.get(kernel, set()) - {kernel}),
            members=self.sorted(members),
            constants=self.constants_of(members),
        )

    def constants_of(self, members: set[str]) -> tuple[str, ...]:
        pending = {name for member in members for name in self.reads.get(member, ())}
        return tuple(sorted(closure(pending, self.constants)))

    def sorted(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(names, key=self.order.__getitem__))


def closure(start: Iterable[str], edges: Mapping[str, Iterable[str]]) -> set[str]:
    """All that can be reached from `start`, itself included."""
    found = set(start)
    pending = list(found)
    while pending:
        for following in edges.get(pending.pop(), ()):
            if following not in found:
                found.add(following)
                pending.append(following)
    return found
