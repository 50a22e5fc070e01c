"""Makes a candidate's file the one that Python imports, however the project is installed.

The candidate's tree (`scratch`) mirrors the user's (`root`). Two things lead imports
there. Import roots of the scratch come first on `sys.path`, which covers flat and src
layouts, `.pth` files and installed copies. And a finder in front of all others asks
them where a module is: whatever lies below `root` - by an editable install's own finder,
by an absolute `sys.path` entry of a test - is taken from the scratch instead, keyed on
the file's real path, not on the module's name.

Files the scratch does not have (`_version.py`, built extensions: often ignored by git)
are still found in the user's tree, since a redirected package searches both.
The candidate's text is always compiled from source: bytecode is trusted by time in
seconds plus size, and nineteen of twenty same-size candidates ran their predecessor's.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType
from typing import Any

from . import integrity


def install(job: dict[str, Any]) -> None:
    """Call in a child before anything of the user is imported; again is harmless.

    Changes directory, `sys.path`, `sys.meta_path` and `PYTHONPATH`; writes nothing but
    in the scratch.
    """
    if any(isinstance(finder, _ScratchFinder) for finder in sys.meta_path):
        return
    places = _Places(job)
    os.chdir(places.scratch)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    _drop_bytecode(places)
    _forget_user_modules(places)
    roots, guess = _import_roots(places)
    sys.path[:] = roots + [entry for entry in sys.path if entry not in roots]
    inherited = os.environ.get("PYTHONPATH", "")
    told = [root for root in roots if root != guess or not _holds_standard_names(root)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*told, *([inherited] if inherited else [])])
    # Elsewhere than in tests nobody but us imports the unit, by what name it may have.
    sys.meta_path.insert(0, _ScratchFinder(places, guess if job.get("stage") == "tests" else None))
    importlib.invalidate_caches()


def check(job: dict[str, Any]) -> str | None:
    """After the tests: one sentence if the unit's module did not come from the scratch.

    Returns None when it did, or when the job has no unit.
    """
    if not job.get("unit_file"):
        return None
    wanted, original = _real(job["unit_file"]), _real(job["unit_source"])
    loaded = {_place(file): name for name, file in _module_files()}
    if original in loaded and original != wanted:
        return (
            f"The tests imported {job['unit_source']} itself (as {loaded[original]}) instead of "
            "the candidate's copy; import it by its package name rather than by an absolute path."
        )
    if wanted not in loaded:
        return (
            f"The tests never imported {job['unit_source']}, so they say nothing about it; "
            "name a test that imports it."
        )
    return None


class _Places:
    """Real paths of the two trees and how a path of one translates to the other."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.root = _real(job["root"])
        self.scratch = _real(job["scratch"])
        self.unit_file = _real(job["unit_file"]) if job.get("unit_file") else None
        self.unit_source = _real(job["unit_source"]) if job.get("unit_source") else None

    def in_scratch(self, path: str) -> str | None:
        """The scratch's counterpart of a file or folder of the user's tree, if it exists."""
        real = _real(path)
        if real == self.unit_source:
            return self.unit_file
        if _below(real, self.scratch):
            return real
        if _below(real, self.root):
            counterpart = os.path.join(self.scratch, os.path.relpath(real, self.root))
            if os.path.exists(counterpart):
                return os.path.normpath(counterpart)
        return None

    def in_root(self, path: str) -> str | None:
        """The user's own folder for a folder of the scratch, if it exists."""
        if not _below(path, self.scratch):
            return None
        original = os.path.normpath(os.path.join(self.root, os.path.relpath(path, self.scratch)))
        return original if os.path.isdir(original) and original != path else None


_listeners: list[Callable[[ModuleType], None]] = []


def after_unit_import(listener: Callable[[ModuleType], None]) -> None:
    """Calls `listener(module)` each time the unit's file has been imported, from now on.

    A unit inside a test file or a `conftest.py` is imported by pytest's own loader, and
    the listener never hears of it.
    """
    _listeners.append(listener)


_any_listeners: list[Callable[[ModuleType], None]] = []


def after_import(listener: Callable[[ModuleType], None]) -> None:
    """Calls `listener(module)` after each import of a module of the project, from now on."""
    _any_listeners.append(listener)


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles from source every time; neither reads nor writes bytecode."""

    is_unit = False

    def exec_module(self, module: ModuleType) -> None:
        with integrity.around_import(self.get_filename(module.__name__)):
            super().exec_module(module)
        for listener in (*(_listeners if self.is_unit else ()), *_any_listeners):
            listener(module)

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class _ScratchFinder:
    """Asks the other finders, then moves what they found below `root` to the scratch.

    What Python's own library has is not looked for at `guess`, where only we look: a package
    `code` of the user's, imported by another name, is not the `code` that pdb wants.
    """

    def __init__(self, places: _Places, guess: str | None) -> None:
        self._places = places
        self._guess = guess

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in list(sys.meta_path):
            if isinstance(finder, _ScratchFinder) or not hasattr(finder, "find_spec"):
                continue
            if type(finder).__name__ == "AssertionRewritingHook":
                continue  # pytest's: it had its turn before us, and would rewrite twice
            is_own = path is None and finder is importlib.machinery.PathFinder
            within = self._own_path(name) if is_own else path
            spec = finder.find_spec(name, within, target)
            if spec is not None:
                return self._moved(name, spec)
        return None

    def _own_path(self, name: str) -> Sequence[str] | None:
        if self._guess is None or name not in sys.stdlib_module_names:
            return None
        return [entry for entry in sys.path if entry != self._guess]

    def _moved(
        self, name: str, spec: importlib.machinery.ModuleSpec
    ) -> importlib.machinery.ModuleSpec:
        if spec.submodule_search_locations is not None and spec.origin is None:
            return self._moved_namespace(name, spec)
        if spec.origin is None or not spec.has_location or not spec.origin.endswith(".py"):
            return spec
        file = self._places.in_scratch(spec.origin)
        if file is None:
            return spec
        folders = None
        if spec.submodule_search_locations is not None:
            folders = self._both(list(spec.submodule_search_locations))
        loader = _FreshLoader(name, file)
        loader.is_unit = _real(file) == self._places.unit_file
        moved = importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=folders
        )
        assert moved is not None
        return moved

    def _moved_namespace(
        self, name: str, spec: importlib.machinery.ModuleSpec
    ) -> importlib.machinery.ModuleSpec:
        found = list(spec.submodule_search_locations or ())
        folders = self._both(found)
        if folders == found:
            return spec
        moved = importlib.machinery.ModuleSpec(name, None, is_package=True)
        moved.submodule_search_locations = folders
        return moved

    def _both(self, folders: list[str]) -> list[str]:
        """Scratch counterparts first, then the folders as they were, without repetition."""
        moved = [self._places.in_scratch(folder) for folder in folders]
        first = [folder for folder in moved if folder is not None]
        originals = [self._places.in_root(folder) for folder in first]
        rest = [folder for folder in (*folders, *originals) if folder is not None]
        return list(dict.fromkeys([*first, *rest]))


def _import_roots(places: _Places) -> tuple[list[str], str | None]:
    """Folders of the scratch to import from: those of `sys.path`, the one above the unit's
    outermost package, `src`, the top. And the one that only the unit speaks for."""
    known = []
    for entry in sys.path:
        if _below(_real(entry or os.getcwd()), places.root):
            counterpart = places.in_scratch(entry)
            if counterpart is not None and os.path.isdir(counterpart):
                known.append(counterpart)
    usual = [places.scratch]
    source = os.path.join(places.scratch, "src")
    if os.path.isdir(source) and not os.path.exists(os.path.join(source, "__init__.py")):
        usual.insert(0, source)
    above = _above_unit(places)
    guess = next((folder for folder in above if folder not in (*known, *usual)), None)
    if guess is not None:
        # Spelled as nobody else spells it: who names that folder himself has an entry of his own.
        guess = os.path.join(guess, "")
        above = [guess]
    return list(dict.fromkeys([*known, *above, *usual])), guess


def _holds_standard_names(folder: str) -> bool:
    return any(os.path.splitext(name)[0] in sys.stdlib_module_names for name in os.listdir(folder))


def _above_unit(places: _Places) -> list[str]:
    """The folder above the unit's outermost package, if it is in one and both are in the scratch."""
    unit = places.unit_file
    if unit is None or not os.path.exists(os.path.join(os.path.dirname(unit), "__init__.py")):
        return []
    above = _above_package(os.path.dirname(unit))
    return [above] if _below(above, places.scratch) else []


def _above_package(folder: str) -> str:
    while os.path.exists(os.path.join(folder, "__init__.py")):
        folder = os.path.dirname(folder)
    return folder


def _drop_bytecode(places: _Places) -> None:
    """pytest's import hook reads cached bytecode by path on its own: leave it none."""
    if places.unit_file is None:
        return
    folder = os.path.join(os.path.dirname(places.unit_file), "__pycache__")
    if not _below(_real(folder), places.scratch) or not os.path.isdir(folder):
        return
    stem = os.path.splitext(os.path.basename(places.unit_file))[0] + "."
    for name in os.listdir(folder):
        if name.startswith(stem):
            os.unlink(os.path.join(folder, name))


_known_places: dict[str, str] = {}


def remember_places() -> None:
    """Resolves the files of all modules loaded so far, for this process and its forks:
    two thousand of them take a tenth of a second."""
    _known_places.update((file, _real(file)) for _, file in _module_files())


def _place(file: str) -> str:
    return _known_places.get(file) or _real(file)


def _forget_user_modules(places: _Places) -> None:
    """A pytest plugin of the project itself may have been imported ahead of us."""
    prefix = _real(sys.prefix)
    for name, file in _module_files():
        real = _place(file)
        if real == places.unit_source or (
            _below(real, places.root)
            and not _below(real, places.scratch)
            and not _below(real, prefix)
        ):
            del sys.modules[name]


def _module_files() -> list[tuple[str, str]]:
    files = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            files.append((name, file))
    return files


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _real(path: str) -> str:
    return os.path.realpath(path)
