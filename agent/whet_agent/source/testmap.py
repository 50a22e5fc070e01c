"""Which tests exercise a kernel, read from the text of the project.

A test counts when it refers to one of the kernel's launchers, or to the kernel, through
any import, fixture, helper of the test's own or parametrisation; and also when it refers
to host code in another module that does. More distant callers are only tried when nothing
nearer is found, since a test of a whole model says little about one kernel. This is a
guess to start from: the evaluator's recorded run tells which tests really launch it.
"""

from __future__ import annotations

import configparser
import fnmatch
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from whet_agent.project import relative_to_root
from whet_agent.source.codebase import Codebase, Key, absolute
from whet_agent.source.links import closure
from whet_agent.source.module import Placed
from whet_agent.source.scopes import Definition
from whet_agent.source.units import Document

_NEAR = 2
"""Hops through other modules that always count: launcher, and what wraps it."""
_FAR = 4


def static_tests(
    root: Path, path: Path, kernel: str, *, overlay: Mapping[Path, str] | None = None
) -> tuple[str, ...]:
    """Node ids (`tests/test_x.py::TestC::test_y`, relative to `root`), nearest file first.

    Empty when there is no such kernel or nothing refers to it. `overlay` holds unsaved
    buffers by absolute path. Reads the project's files; runs and imports nothing.
    """
    path = absolute(root / path)
    return TestMap(Codebase(root, files=[path], overlay=overlay)).tests(path, kernel)


@attrs.frozen
class Collection:
    """What pytest takes for a test, as the project's settings say."""

    __test__ = False

    files: tuple[str, ...] = ("test_*.py", "*_test.py")
    functions: tuple[str, ...] = ("test",)
    classes: tuple[str, ...] = ("Test",)

    def is_test_file(self, path: Path, root: Path) -> bool:
        relative = os.path.relpath(path, root).replace(os.sep, "/")
        return any(
            fnmatch.fnmatch(relative if "/" in pattern else path.name, pattern)
            for pattern in self.files
        )

    def is_test(self, definition: Definition) -> bool:
        if definition.kind == "class":
            return False
        if definition.parent is None:
            return _named(definition.name, self.functions)
        around = definition.parent
        if around.kind != "class" or (around.parent is not None and around.parent.kind != "class"):
            return False
        unittest = any(base.endswith("TestCase") for base in around.bases)
        if unittest:
            return definition.name.startswith("test")
        return _named(around.name, self.classes) and _named(definition.name, self.functions)


def load_collection(root: Path) -> Collection:
    """pytest's own order of settings files; broken ones count as silent."""
    values = _pytest_settings(root)
    fields = {
        field: tuple(value.split() if isinstance(value, str) else map(str, value))
        for field, key in (("files", "python_files"), ("functions", "python_functions"),
                           ("classes", "python_classes"))
        if (value := values.get(key))
    }  # fmt: skip
    return Collection(**fields)


class TestMap:
    """Tests of kernels, found in one codebase; answers are kept between questions."""

    __test__ = False

    def __init__(self, codebase: Codebase) -> None:
        self.codebase = codebase
        self.collection = load_collection(codebase.root)
        self._known: dict[Key, frozenset[Key]] = {}

    def tests(self, path: Path, kernel: str) -> tuple[str, ...]:
        document = self.codebase.document(path)
        placed = document.find(kernel) if document is not None else None
        if document is None or placed is None:
            return ()
        known: set[Key] = {(path, n) for n in _users(document, placed.definition.qualname)}
        tests: dict[Key, None] = {}
        frontier = set(known)
        for hop in range(_FAR):
            if hop >= _NEAR and tests:
                break
            reached = self._spread(frontier, known)
            tests.update(dict.fromkeys(k for k in self._ordered(reached) if self._is_test(k)))
            known |= reached
            frontier = {k for k in reached if not self._is_test_side(k[0])}
            if not frontier:
                break
        return tuple(dict.fromkeys(self._node_id(key) for key in tests))

    def _spread(self, frontier: set[Key], known: set[Key]) -> set[Key]:
        """Callers of the frontier: one hop for library code, any number for test code."""
        reached: set[Key] = set()
        while frontier:
            fresh: set[Key] = set()
            for path in self.codebase.mentioning(self._names(frontier)):
                fresh |= self._callers_in(path, known | reached | frontier) - known - reached
            reached |= fresh
            frontier = {k for k in fresh if self._is_test_side(k[0])}
        return reached

    def _callers_in(self, path: Path, wanted: set[Key]) -> set[Key]:
        """Host functions of the file that lead, through each other, to the wanted ones."""
        document = self.codebase.document(path)
        if document is None:
            return set()
        module = document.module
        hosts = [
            p.definition for p in module.placed
            if p.definition.kind != "class" and not module.is_kernel(p.definition)
        ]  # fmt: skip
        found: set[Key] = set()
        before = -1
        while len(found) != before:
            before = len(found)
            for definition in hosts:
                aims = self._targets(path, definition, document)
                if not (aims.isdisjoint(wanted) and aims.isdisjoint(found)):
                    found.add((path, definition.qualname))
        return found

    def _targets(self, path: Path, definition: Definition, document: Document) -> frozenset[Key]:
        key = (path, definition.qualname)
        if key not in self._known:
            self._known[key] = self._find_targets(path, definition, document)
        return self._known[key]

    def _find_targets(
        self, path: Path, definition: Definition, document: Document
    ) -> frozenset[Key]:
        """What the definition refers to; of tests and fixtures also what they are given."""
        module = document.module
        targets = self.codebase.targets(path, definition, module)
        if not (self._is_test_side(path) or self.collection.is_test(definition)):
            return targets
        used = {
            (path, name)
            for ref in definition.decorator_refs
            for name in module.resolve(ref, definition.parent)
        }
        used |= self.codebase.follow_all(
            module.imported(definition.decorator_refs, definition.parent), path
        )
        return targets | used | self._fixtures(path, definition)

    def _fixtures(self, path: Path, definition: Definition) -> set[Key]:
        """Fixtures a test or fixture asks for by parameter, in its file or a conftest."""
        wanted = definition.scope.parameters
        places = [path, *(folder / "conftest.py" for folder in path.parents)]
        found: set[Key] = set()
        for place in places:
            known = place == path or place in self.codebase.mentioning(["fixture"])
            there = self.codebase.document(place) if known else None
            if there is not None:
                found |= {
                    (place, p.definition.qualname)
                    for p in there.module.placed
                    if p.definition.name in wanted and _is_fixture(p.definition)
                }
        return found

    def _names(self, keys: Iterable[Key]) -> set[str]:
        """Words by which other files may refer to the definitions."""
        names: set[str] = set()
        for path, qualname in keys:
            document = self.codebase.document(path)
            names.add(qualname.partition(".")[0])
            names |= document.module.aliases(qualname) if document is not None else set()
        for path in self.codebase.mentioning(names):
            document = self.codebase.document(path)
            if document is not None:
                names |= {
                    name
                    for name, imported in document.module.scope.imports.items()
                    if name != "*" and any(i.rpartition(".")[2] in names for i in imported)
                }
        return names

    def _is_test_side(self, path: Path) -> bool:
        return path.name == "conftest.py" or self.collection.is_test_file(path, self.codebase.root)

    def _is_test(self, key: Key) -> bool:
        return self.collection.is_test(self._placed(key).definition)

    def _placed(self, key: Key) -> Placed:
        document = self.codebase.document(key[0])
        assert document is not None
        return document.module.by_name[key[1]][0]

    def _ordered(self, keys: Iterable[Key]) -> list[Key]:
        return sorted(keys, key=lambda key: (key[0], self._placed(key).line))

    def _node_id(self, key: Key) -> str:
        return "::".join([relative_to_root(key[0], self.codebase.root), *key[1].split(".")])


def _users(document: Document, kernel: str) -> set[str]:
    """The kernel, the kernels it helps, and all their launchers in the file."""
    links = document.module.links
    kernels = closure([kernel], {name: found.helper_of for name, found in links.items()})
    return kernels | {launcher for name in kernels for launcher in links[name].launchers}


def _named(name: str, patterns: tuple[str, ...]) -> bool:
    return any(
        fnmatch.fnmatch(name, p) if any(c in p for c in "*?[") else name.startswith(p)
        for p in patterns
    )


def _is_fixture(definition: Definition) -> bool:
    return any("fixture" in d for d in definition.decorators)


def _pytest_settings(root: Path) -> Mapping[str, Any]:
    for name, section in (("pytest.ini", "pytest"), (".pytest.ini", "pytest"),
                          ("pyproject.toml", ""), ("tox.ini", "pytest"),
                          ("setup.cfg", "tool:pytest")):  # fmt: skip
        try:
            text = (root / name).read_text(encoding="utf-8")
            if not section:
                tool = tomllib.loads(text).get("tool", {})
                options = tool.get("pytest", {}).get("ini_options")
                if isinstance(options, dict):
                    return options
                continue
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(text)
            if parser.has_section(section):
                return dict(parser[section])
        except (OSError, ValueError, configparser.Error):
            continue
    return {}
