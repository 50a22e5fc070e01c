"""The Python files of a project, and which definition an import leads to.

Files are read on demand and kept; a cheap look at the words of a file decides whether it
is worth parsing. Imports are followed through packages, re-exports, relative and star
imports, without ever importing anything: the user's modules are text here.
"""

from __future__ import annotations

import io
import os
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from whet_agent.source.module import Module
from whet_agent.source.scopes import Definition
from whet_agent.source.units import Document

Key = tuple[Path, str]
"""A definition of the project: its file and its qualified name."""

_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "venv"})
_BUILT = frozenset({"build", "dist"})
"""Build output, but only beside a packaging file: packages may be called so, too."""
_WORD = re.compile(rb"[^\W\d]\w*")
_MAX_HOPS = 12


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Python files named or found below, sorted; hidden folders and build caches are skipped.

    A path that is named outright is taken whatever it is called.
    """
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, inner, names in os.walk(path):
            skipped = _SKIPPED
            if "pyproject.toml" in names or "setup.py" in names:
                skipped = _SKIPPED | _BUILT
            inner[:] = sorted(d for d in inner if not _is_cache(folder, d, skipped))
            yield from (Path(folder, n) for n in sorted(names) if n.endswith(".py"))


def _is_cache(parent: str, name: str, skipped: frozenset[str]) -> bool:
    if name in skipped or name.startswith(".") or name.endswith(".egg-info"):
        return True
    return Path(parent, name, "pyvenv.cfg").is_file()


def absolute(path: Path) -> Path:
    """Without `..`, but links stay as the user wrote them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def load_text(path: Path) -> str:
    """The file's text with its line endings, decoded as Python would (PEP 263, BOM).

    Raises `OSError` when unreadable and `ValueError` when it is not text.
    """
    return decode(path.read_bytes())


def decode(raw: bytes) -> str:
    """Raises `ValueError` for bytes that are not in the encoding they declare."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
        return raw.decode(encoding)
    except (SyntaxError, LookupError) as error:
        raise ValueError(str(error)) from error


class Codebase:
    """A project as text. `overlay` holds unsaved buffers, by absolute path."""

    def __init__(
        self, root: Path, *, files: Iterable[Path] = (), overlay: Mapping[Path, str] | None = None
    ) -> None:
        self.root = absolute(root)
        self.overlay = dict(overlay or {})
        found = [*python_files([self.root]), *files, *self.overlay]
        self.files = list(dict.fromkeys(absolute(f) for f in found))
        self._documents: dict[Path, Document | None] = {}
        self._words: dict[Path, frozenset[bytes]] = {}
        self._interned: dict[bytes, bytes] = {}
        self._mentions: dict[str, list[Path]] = {}
        self._modules: dict[str, list[Path]] | None = None
        self._followed: dict[tuple[str, Path], set[Key]] = {}
        self._targets: dict[Key, frozenset[Key]] = {}

    def _raw(self, path: Path) -> bytes:
        if path in self.overlay:
            return self.overlay[path].encode("utf-8", "surrogatepass")
        try:
            return path.read_bytes()
        except OSError:
            return b""

    def document(self, path: Path) -> Document | None:
        """The reading of a file, or None when it is not text."""
        if path not in self._documents:
            try:
                text = self.overlay[path] if path in self.overlay else load_text(path)
                self._documents[path] = Document(text)
            except (OSError, ValueError):
                self._documents[path] = None
        return self._documents[path]

    def words(self, path: Path) -> frozenset[bytes]:
        if path not in self._words:
            intern = self._interned
            found = set(_WORD.findall(self._raw(path)))
            self._words[path] = frozenset(intern.setdefault(w, w) for w in found)
        return self._words[path]

    def mentioning(self, names: Iterable[str]) -> set[Path]:
        """Files in which one of the names occurs as a word."""
        found: set[Path] = set()
        for name in names:
            if name not in self._mentions:
                word = name.encode("utf-8", "surrogatepass")
                self._mentions[name] = [f for f in self.files if word in self.words(f)]
            found.update(self._mentions[name])
        return found

    def targets(self, path: Path, definition: Definition, module: Module) -> frozenset[Key]:
        """Definitions, of this file or others, that the definition's own text refers to."""
        key = (path, definition.qualname)
        if key not in self._targets:
            own = definition.scope
            refs = {r for r in own.refs if r.partition(".")[0] not in own.parameters}
            found = {(path, name) for name in module.edges(definition)}
            found |= self.follow_all(module.imported(refs, definition), path)
            self._targets[key] = frozenset(found)
        return self._targets[key]

    def follow_all(self, imported: Iterable[str], path: Path) -> set[Key]:
        return {key for dotted in imported for key in self.follow(dotted, path)}

    def follow(self, dotted: str, origin: Path, hops: int = 0) -> set[Key]:
        """The functions that a dotted import path, read in file `origin`, leads to."""
        key = (dotted, origin)
        if key not in self._followed:
            self._followed[key] = set()  # a circle of re-exports ends here
            self._followed[key] = self._follow(dotted, origin, hops)
        return self._followed[key]

    def _follow(self, dotted: str, origin: Path, hops: int) -> set[Key]:
        if hops > _MAX_HOPS:
            return set()
        located = self.locate(dotted, origin)
        if located is None or not located[1]:
            return set()
        path, rest = located
        document = self.document(path)
        if document is None:
            return set()
        module = document.module
        found = {(path, name) for name in module.resolve(rest, None)}
        for further in module.imported([rest], None):
            if further != dotted:
                found |= self.follow(further, path, hops + 1)
        return found

    def locate(self, dotted: str, origin: Path) -> tuple[Path, str] | None:
        """The file of the longest module prefix, and the names that remain."""
        bare = dotted.lstrip(".")
        parts = bare.split(".") if bare else []
        level = len(dotted) - len(bare)
        for length in range(len(parts), -1 if level else 0, -1):
            found = (
                self._relative(origin, level, parts[:length])
                if level
                else self._absolute(".".join(parts[:length]), origin)
            )
            if found is not None:
                return found, ".".join(parts[length:])
        return None

    def _relative(self, origin: Path, level: int, parts: list[str]) -> Path | None:
        folder = origin.parent
        for _ in range(level - 1):
            folder = folder.parent
        base = folder.joinpath(*parts)
        for path in (
            base.with_suffix(".py") if parts else base / "__init__.py",
            base / "__init__.py",
        ):
            if path in self._known():
                return path
        return None

    def _known(self) -> frozenset[Path]:
        if self._modules is None:
            self._index()
        return self._known_files

    def _absolute(self, dotted: str, origin: Path) -> Path | None:
        if self._modules is None:
            self._index()
        assert self._modules is not None
        found = self._modules.get(dotted)
        if not found:
            return None
        return min(found, key=lambda p: (origin.parent not in p.parents, len(p.parts), p))

    def _index(self) -> None:
        """Every dotted name by which a file could be imported from a folder on the path."""
        self._modules = {}
        self._known_files = frozenset(self.files)
        packages = {f.parent for f in self.files if f.name == "__init__.py"}
        for path in self.files:
            names = [] if path.name == "__init__.py" else [path.stem]
            folder = path.parent
            while True:
                if names and folder not in packages:
                    self._modules.setdefault(".".join(names), []).append(path)
                if folder in (self.root, folder.parent):
                    break
                names.insert(0, folder.name)
                folder = folder.parent
