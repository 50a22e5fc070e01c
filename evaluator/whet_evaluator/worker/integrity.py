"""What a candidate does to the process that judges it, seen while it does it.

Two means, both installed before the candidate is imported and neither switched on for the
original's own text:

- An audit hook: the interpreter announces frame walking, the collector's lists, threads,
  other programs, files opened for writing, `exec`, tracing and native code. It cannot be
  removed. What counts is who asked: the nearest frame that is not the standard library's
  must be the unit's file.
- Identities of what comparisons, clocks, pytest, Triton and this package are made of,
  taken before the unit's module is executed and before a launcher is called, in the tests, in
  the generated cases and under the clock, and compared after it. A test that patches something
  itself is none of our business.

The first thing seen ends the child at once, with the trick as its only answer: nothing that
the candidate does afterwards can take it back. What the original's text does as well is
allowed. This explains and hardens; outputs are judged in another process all the same.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from . import identities

Caught = Callable[[str, str], None]
"""Takes the trick's name and what was seen; does not return."""
Check = Callable[[], None]

_STDLIB = os.path.dirname(os.path.realpath(os.__file__))
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_FRAME_ATTRIBUTES = frozenset({"tb_frame", "gi_frame", "cr_frame", "ag_frame"})

_FRAMES = "walked the interpreter's frames"
_COLLECTOR = "searched the collector's objects"
_FILES = "changed files"
_ENVIRONMENT = "changed the environment"
_PROGRAMS = "started another program"
_THREADS = "started a thread"
_HIDDEN = "ran code hidden in text"
_CODE = "exchanged a function's code"
_TRACING = "traced the interpreter"
_NATIVE = "called native code"
_NETWORK = "opened a connection"

_TRICKS = {
    "sys._getframe": _FRAMES, "sys._current_frames": _FRAMES, "sys._current_exceptions": _FRAMES,
    "object.__getattr__": _FRAMES,
    "gc.get_objects": _COLLECTOR, "gc.get_referrers": _COLLECTOR, "gc.get_referents": _COLLECTOR,
    "open": _FILES, "os.remove": _FILES, "os.rename": _FILES, "os.truncate": _FILES,
    "os.link": _FILES, "os.symlink": _FILES, "os.rmdir": _FILES, "os.mkdir": _FILES,
    "os.chmod": _FILES, "os.utime": _FILES, "shutil.rmtree": _FILES, "shutil.move": _FILES,
    "os.putenv": _ENVIRONMENT, "os.unsetenv": _ENVIRONMENT,
    "subprocess.Popen": _PROGRAMS, "os.system": _PROGRAMS, "os.fork": _PROGRAMS,
    "os.forkpty": _PROGRAMS, "os.exec": _PROGRAMS, "os.posix_spawn": _PROGRAMS,
    "os.spawn": _PROGRAMS, "os.kill": _PROGRAMS, "os.killpg": _PROGRAMS,
    "_thread.start_new_thread": _THREADS, "_thread.start_joinable_thread": _THREADS,
    "exec": _HIDDEN, "compile": _HIDDEN, "code.__new__": _HIDDEN, "marshal.loads": _HIDDEN,
    "object.__setattr__": _CODE,
    "sys.settrace": _TRACING, "sys.setprofile": _TRACING,
    "sys.monitoring.register_callback": _TRACING, "sys.addaudithook": _TRACING,
    "ctypes.dlopen": _NATIVE, "ctypes.dlsym": _NATIVE, "ctypes.string_at": _NATIVE,
    "ctypes.cdata": _NATIVE, "ctypes.cdata/buffer": _NATIVE, "ctypes.call_function": _NATIVE,
    "ctypes.PyObj_FromPtr": _NATIVE, "mmap.__new__": _NATIVE,
    "socket.connect": _NETWORK, "socket.bind": _NETWORK, "socket.sendto": _NETWORK,
}  # fmt: skip
_THROUGH_LIBRARY = frozenset({_FILES, _ENVIRONMENT, _PROGRAMS, _THREADS, _NATIVE, _NETWORK})
"""The others count only when the unit asks itself, or through `inspect`: `dataclass` and
`namedtuple` use frames and `exec`, and are honest."""
_ALLOWED_BY = {
    _FRAMES: r"_getframe|inspect|tb_frame|__code__|traceback",
    _COLLECTOR: r"\bgc\b",
    _FILES: r"\bopen\(|write_text|write_bytes|makedirs|mkdir|tempfile|shutil",
    _ENVIRONMENT: r"environ|putenv",
    _PROGRAMS: r"subprocess|os\.system|popen|fork",
    _THREADS: r"thread|Thread|concurrent|multiprocessing",
    _HIDDEN: r"\bexec\(|\beval\(|\bcompile\(",
    _CODE: r"__code__|__defaults__|__kwdefaults__",
    _TRACING: r"settrace|setprofile|sys\.monitoring",
    _NATIVE: r"ctypes|cffi|load_inline|cpp_extension|mmap",
    _NETWORK: r"socket|urllib|requests|http",
}
"""What the original's text must name so that a candidate may do it too."""


class Watch:
    """One per child that runs a candidate. `caught` ends the process."""

    installed: Watch | None = None
    """Of the class itself, where an exchange is seen as that of its methods is."""

    def __init__(self, unit_file: str, original: str, caught: Caught) -> None:
        self._unit_file = os.path.realpath(unit_file)
        self._original = original
        self._caught = caught
        self._tricks = {
            event: trick
            for event, trick in _TRICKS.items()
            if not re.search(_ALLOWED_BY[trick], original)
        }
        self._busy = False
        self._sealed_package = _package_seals()

    def install(self) -> None:
        """From now on until the process ends."""
        if sys.version_info < (3, 12):
            _announce_threads()
        sys.addaudithook(self._heard)

    def is_unit(self, path: str) -> bool:
        return os.path.realpath(path) == self._unit_file

    def seal(self, doing: str, *, version: types.ModuleType | None = None) -> Check:
        """A function that ends the process if what is watched has been exchanged by then: this
        package, the world, and the version that was given.

        `doing` is the sentence's end: `while add ran`. All that the function needs is bound now:
        a candidate that reaches this module comes too late.
        """
        is_ours, own, state = self._sealed_package(), vars(self), dict(vars(self))
        is_world = identities.sealed(identities.world(), torch_may_wrap=True)
        is_version = _sealed_version(version)
        implemented = identities.reimplemented()
        caught, is_excused, trick = self._caught, self._does_so_too, "replaced a part of its judge"
        rebinds, prefix = self._rebinds, f"{version.__name__}." if version is not None else ""

        def check() -> None:
            for name in is_ours():
                caught(trick, f"{name} was exchanged {doing}")
            for name in {*state, *own}:
                if name not in state or own.get(name) is not state[name]:
                    caught(trick, f"{name} of the watch was exchanged {doing}")
            for name in [*is_world(), *implemented()]:
                if not is_excused(name):
                    caught(trick, f"{name} was exchanged {doing}")
            for name in is_version():
                if not rebinds(name.removeprefix(prefix)):
                    caught(trick, f"{name} was exchanged {doing}")

        return check

    def _does_so_too(self, name: str) -> bool:
        """Whether the original's text assigns to that attribute itself."""
        last = re.escape(name.rpartition(".")[2])
        return bool(re.search(rf"\b{last}\s*=[^=]|['\"]{last}['\"]", self._original))

    def _rebinds(self, name: str) -> bool:
        """Whether a function of the original's text may bind that name of its module anew, or that
        attribute of one of its classes."""
        outer, _, last = name.rpartition(".")
        last = re.escape(last)
        binds = rf"\.{last}\s*=[^=]" if outer else rf"\bglobal\b[^\n]*\b{last}\b"
        by_name = r"\bglobals\(|\bsetattr\(|\bsys\.modules\b"
        return bool(re.search(rf"{binds}|{by_name}", self._original))

    def _heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        trick = self._tricks.get(event)
        if trick is None or self._busy or not _matters(event, arguments):
            return
        self._busy = True
        try:
            line = self._line_of_unit(through_library=trick in _THROUGH_LIBRARY)
        finally:
            self._busy = False
        if line is not None:
            shown = ", ".join(a for a in arguments if isinstance(a, str))[:100]
            file = os.path.basename(self._unit_file)
            self._caught(trick, f"{file}:{line} caused {event}" + (f" ({shown})" if shown else ""))

    def _line_of_unit(self, *, through_library: bool) -> int | None:
        """The unit's line that asked for the event, None when somebody else did."""
        frame: Any = sys._getframe(2)
        while frame is not None:
            file = frame.f_code.co_filename
            if file == self._unit_file or os.path.realpath(file) == self._unit_file:
                return int(frame.f_lineno)
            if not _is_transparent(file, through_library=through_library):
                return None
            frame = frame.f_back
        return None


def _is_transparent(file: str, *, through_library: bool) -> bool:
    """Whether code of that file acts on behalf of its caller. An import does not: what a
    module does while it is imported is its own."""
    if "importlib" in file:
        return False
    if file == _OWN_FILE:
        return True
    if not through_library:
        return file.startswith(_STDLIB) and os.path.basename(file) in {"inspect.py", "traceback.py"}
    if file.startswith("<frozen "):
        return True
    return file.startswith(_STDLIB) and "site-packages" not in file


def _announce_threads() -> None:
    """Python before 3.12 starts threads without an audit event."""
    start = _thread.start_new_thread

    def announced(*args: Any, **kwargs: Any) -> int:
        sys.audit("_thread.start_new_thread", *args[:1])
        return start(*args, **kwargs)

    _thread.start_new_thread = announced
    threading._start_new_thread = announced  # type: ignore[attr-defined]


_OWN_FILE = _announce_threads.__code__.co_filename


def _matters(event: str, arguments: tuple[Any, ...]) -> bool:
    if event == "open":
        mode, flags = arguments[1], arguments[2]
        if isinstance(mode, str):
            return any(letter in mode for letter in "wax+")
        return bool(isinstance(flags, int) and flags & _WRITING)
    if event == "object.__getattr__":
        return arguments[1] in _FRAME_ATTRIBUTES
    if event == "object.__setattr__":
        return arguments[1] in {"__code__", "__defaults__", "__kwdefaults__"}
    return True


def install(job: dict[str, Any], caught: Caught) -> None:
    """Watches this process if `job` runs a candidate; harmless otherwise.

    Call in the child, once, before anything of the user is imported.
    """
    if not job.get("unit_file") or not job.get("original"):
        return
    original, candidate = _text(job["original"]), _text(job["unit_file"])
    if original is None or candidate is None or original == candidate:
        return
    watch = Watch(job["unit_file"], original, caught)
    watch.install()
    Watch.installed = watch


@contextlib.contextmanager
def around_import(path: str) -> Iterator[None]:
    """While the file at `path` is executed as a module."""
    is_unit = Watch.installed is not None and Watch.installed.is_unit(path)
    check = sealed("while the unit was imported") if is_unit else unwatched
    try:
        yield
    finally:
        check()


@contextlib.contextmanager
def around_call(launcher: str) -> Iterator[None]:
    """While the outermost call of a launcher runs."""
    check = sealed(f"while {launcher} ran")
    try:
        yield
    finally:
        check()


def sealed(doing: str, *, version: types.ModuleType | None = None) -> Check:
    """See `Watch.seal`. Does nothing where no candidate is watched."""
    watch = Watch.installed
    return unwatched if watch is None else watch.seal(doing, version=version)


def _package_seals() -> Callable[[], Callable[[], list[str]]]:
    """Makes seals of this package, anew only when something was imported: it is some thousand
    names. Kept where only a closure leads to: in an attribute one could lay another."""
    n_modules = -1
    latest: Callable[[], list[str]]

    def seal() -> Callable[[], list[str]]:
        nonlocal n_modules, latest
        if n_modules != len(sys.modules):
            n_modules = len(sys.modules)
            changed = identities.sealed(identities.package(), torch_may_wrap=False)
            added = identities.closed(identities.namespaces())
            latest = _both(changed, added)
        return latest

    return seal


def _sealed_version(module: types.ModuleType | None) -> Callable[[], list[str]]:
    if module is None:
        return list
    changed = identities.sealed(identities.version(module), torch_may_wrap=False)
    return _both(changed, identities.hidden_builtins(module))


def _both(one: Callable[[], list[str]], other: Callable[[], list[str]]) -> Callable[[], list[str]]:
    return lambda: [*one(), *other()]


def unwatched() -> None:
    """The check of a process that runs no candidate."""


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
