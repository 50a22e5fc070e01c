"""`whet kernels`: every kernel below some paths, with what launches it and what tests it.

The launchers of the kernel's own file come by name, those of other modules of the project
as `path.py::name`. The result is plain data, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from whet_agent.project import project_root, relative_to_root
from whet_agent.source.codebase import Codebase, absolute, load_text, python_files
from whet_agent.source.testmap import TestMap
from whet_agent.source.units import Kernel


def kernels_json(
    paths: Sequence[Path], cwd: Path, *, on_skip: Callable[[Path, str], None] | None = None
) -> list[dict[str, Any]]:
    """One dict per kernel: `file name qualname line end_line launchers direct helpers
    helper_of tests digest decorators`, by file and line.

    `file` is relative to `cwd` where it lies below it, else absolute; `tests` are relative
    to the project's root. Files that cannot be read or decoded are reported to `on_skip`
    with the reason and left out.
    """
    files = list(python_files([absolute(cwd / p) for p in paths]))
    listing = _Listing(absolute(cwd), files, on_skip)
    for path in dict.fromkeys(files):
        listing.add(path)
    return listing.rows


class _Listing:
    def __init__(
        self, cwd: Path, files: list[Path], on_skip: Callable[[Path, str], None] | None
    ) -> None:
        self.cwd = cwd
        self.files = files
        self.on_skip = on_skip
        self.rows: list[dict[str, Any]] = []
        self._maps: dict[Path, TestMap] = {}
        self._roots: dict[Path, Path] = {}

    def add(self, path: Path) -> None:
        try:
            if b"jit" not in path.read_bytes():
                return
            load_text(path)
        except (OSError, ValueError) as error:
            if self.on_skip is not None:
                self.on_skip(path, str(error))
            return
        tests = self._map(path)
        document = tests.codebase.document(path)
        if document is not None:
            self.rows += [self._row(path, kernel, tests) for kernel in document.kernels]

    def _map(self, path: Path) -> TestMap:
        root = self._root(path)
        if root not in self._maps:
            files = [f for f in self.files if self._root(f) == root]
            self._maps[root] = TestMap(Codebase(root, files=files))
        return self._maps[root]

    def _root(self, path: Path) -> Path:
        if path.parent not in self._roots:
            self._roots[path.parent] = project_root(path, self.cwd)
        return self._roots[path.parent]

    def _row(self, path: Path, kernel: Kernel, tests: TestMap) -> dict[str, Any]:
        return {
            "file": relative_to_root(path, self.cwd),
            "name": kernel.name,
            "qualname": kernel.qualname,
            "line": kernel.line,
            "end_line": kernel.end_line,
            "launchers": [*kernel.launchers, *outside_launchers(tests, path, kernel.qualname)],
            "direct": list(kernel.direct),
            "helpers": list(kernel.helpers),
            "helper_of": list(kernel.helper_of),
            "tests": list(tests.tests(path, kernel.qualname)),
            "digest": kernel.digest,
            "decorators": list(kernel.decorators),
        }


def outside_launchers(tests: TestMap, path: Path, kernel: str) -> tuple[str, ...]:
    """Host functions of other modules that refer to the kernel itself: `path.py::name`."""
    codebase = tests.codebase
    document = codebase.document(path)
    placed = document.find(kernel) if document is not None else None
    if placed is None:
        return ()
    wanted = (path, placed.definition.qualname)
    names: list[str] = []
    for other in sorted(codebase.mentioning([placed.definition.name])):
        there = codebase.document(other)
        if other == path or there is None:
            continue
        for definition in (p.definition for p in there.module.placed):
            skipped = definition.kind == "class" or there.module.is_kernel(definition)
            if skipped or tests.collection.is_test(definition):
                continue
            if wanted in codebase.targets(other, definition, there.module):
                names.append(f"{relative_to_root(other, codebase.root)}::{definition.qualname}")
    return tuple(dict.fromkeys(names))
