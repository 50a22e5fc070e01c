"""The project's files on this host: what is here already, what is asked for, and the
fresh tree each candidate gets. Nothing is ever written below the user's root.

`<home>/store/<sha256>` holds every file of the session once; a scratch tree is copied
from it, so the user may go on editing meanwhile. Shipped contents also go to one capped
cache folder, the only thing that outlives the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import zlib
from dataclasses import dataclass
from typing import Any

from .protocol import FileEntry

CACHE_LIMIT_BYTES = 512 << 20
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


class WorkspaceError(Exception):
    """The manifest, the root or a blob cannot be used; `failure` is the protocol's word."""

    def __init__(self, failure: Any, sentence: str) -> None:
        super().__init__(sentence)
        self.failure = failure


@dataclass(frozen=True)
class Scratch:
    """One candidate's own folders. `project` mirrors the user's root."""

    folder: str
    project: str

    def place(self, path: str) -> str:
        """Where a unit's file lies here: absolute paths get a tree of their own beside."""
        if os.path.isabs(path):
            return os.path.join(self.folder, "outside", path.lstrip("/"))
        return os.path.join(self.project, path)

    @property
    def original(self) -> str:
        """Where the original text of the unit's file is kept."""
        return os.path.join(self.folder, "original", "original.py")

    @property
    def output(self) -> str:
        return os.path.join(self.folder, "output")

    @property
    def triton_cache(self) -> str:
        return self.environment()["TRITON_CACHE_DIR"]

    def environment(self) -> dict[str, str]:
        """Every cache and home that code may write to, inside this scratch."""
        caches = {
            "HOME": "home", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "PYTHONPYCACHEPREFIX": "pyc",
            "TRITON_CACHE_DIR": "triton", "TRITON_HOME": "home", "TORCHINDUCTOR_CACHE_DIR": "inductor",
            "TORCH_EXTENSIONS_DIR": "extensions", "CUDA_CACHE_PATH": "cuda", "NUMBA_CACHE_DIR": "numba",
            "MPLCONFIGDIR": "home", "XDG_CONFIG_HOME": "home",
        }  # fmt: skip
        folders = {name: os.path.join(self.folder, sub) for name, sub in caches.items()}
        return {**folders, "PYTHONDONTWRITEBYTECODE": "1"}


class BlobCache:
    """Contents by digest in one capped folder, least recently used out first."""

    def __init__(self, folder: str, limit_bytes: int = CACHE_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes

    def get(self, digest: str) -> bytes | None:
        """The content, verified, or None."""
        path = os.path.join(self._folder, digest)
        try:
            with open(path, "rb") as file:
                data = file.read()
            os.utime(path)
        except OSError:
            return None
        if sha256(data) == digest:
            return data
        with contextlib.suppress(OSError):
            os.unlink(path)
        return None

    def put(self, digest: str, data: bytes) -> None:
        """Best effort: a full or read-only disk costs a re-send, not the run."""
        with contextlib.suppress(OSError):
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            _write_atomically(os.path.join(self._folder, digest), data)

    def trim(self) -> None:
        """Removes the oldest until the folder fits. Other workers may do the same meanwhile."""
        with contextlib.suppress(OSError):
            entries = []
            for entry in os.scandir(self._folder):
                with contextlib.suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    entries.append((stat.st_mtime, stat.st_size, entry.path))
            total = sum(size for _, size, _ in entries)
            for _, size, path in sorted(entries):
                if total <= self._limit_bytes:
                    return
                with contextlib.suppress(OSError):
                    os.unlink(path)
                total -= size


class Project:
    """The files of one `Open`. `missing()` first, `add` for each blob, then `build`."""

    def __init__(
        self, *, root: str, files: tuple[FileEntry, ...], in_place: bool, home: str,
        cache: BlobCache,
    ) -> None:  # fmt: skip
        _check_manifest(files)
        if in_place and not os.path.isdir(root):
            raise WorkspaceError(
                "not a directory",
                f"{root} is not a directory on this host; set the target's root to where the project lies, or leave it out to send the files",
            )
        self.root = root
        self.files = files
        self.in_place = in_place
        self.differing: list[str] = []
        self._store = os.path.join(home, "store")
        self._home = home
        self.cache = cache
        os.makedirs(self._store, exist_ok=True)

    async def missing(self) -> tuple[str, ...]:
        """Digests that are neither stored, nor at root with that content, nor in the cache."""
        wanted: dict[str, None] = {}
        for index, entry in enumerate(self.files):
            if index % 16 == 0:
                await asyncio.sleep(0)  # the heartbeat goes on
            if self._has(entry.sha256):
                continue
            data = self._read_in_place(entry) if self.in_place else self.cache.get(entry.sha256)
            if data is None:
                wanted[entry.sha256] = None
                self.differing.append(entry.path)
            else:
                self._keep(entry.sha256, data)
        return tuple(wanted)

    def add(self, digest: str, compressed: bytes) -> None:
        """Takes one blob off the wire. Raises `WorkspaceError` if it is not what it says."""
        largest = max((e.size for e in self.files if e.sha256 == digest), default=0)
        data = zlib.decompressobj().decompress(compressed, largest + 1)
        if sha256(data) != digest:
            raise WorkspaceError("bad request", "a file arrived damaged; run again")
        self._keep(digest, data)
        if not self.in_place:
            self.cache.put(digest, data)

    async def build(self, texts: dict[str, str], original: str | None) -> Scratch:
        """A fresh tree with `texts` (unit paths to whole contents) in place of the files'.
        `original` is kept beside it for the timing stage."""
        scratch = new_scratch(self._home)
        try:
            if original is not None:
                _write(scratch.original, encode_source(original))
            for index, entry in enumerate(self.files):
                if index % 16 == 0:
                    await asyncio.sleep(0)
                if entry.path not in texts:
                    self._copy(entry, os.path.join(scratch.project, entry.path))
            for path, text in texts.items():
                _write(scratch.place(path), encode_source(text))
        except BaseException:
            remove_tree(scratch.folder)
            raise
        return scratch

    def _has(self, digest: str) -> bool:
        return os.path.exists(os.path.join(self._store, digest))

    def _keep(self, digest: str, data: bytes) -> None:
        _write_atomically(os.path.join(self._store, digest), data)

    def _read_in_place(self, entry: FileEntry) -> bytes | None:
        try:
            with open(os.path.join(self.root, entry.path), "rb") as file:
                data = file.read()
        except OSError:
            return None
        return data if sha256(data) == entry.sha256 else None

    def _copy(self, entry: FileEntry, target: str) -> None:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(os.path.join(self._store, entry.sha256), target)
        os.chmod(target, (entry.mode & 0o777) | 0o600)


def new_scratch(home: str) -> Scratch:
    """An empty project with its private caches, below the worker's folder."""
    parent = os.path.join(home, "scratch")
    os.makedirs(parent, exist_ok=True)
    folder = tempfile.mkdtemp(dir=parent)
    scratch = Scratch(folder, os.path.join(folder, "project"))
    os.mkdir(scratch.project)
    os.mkdir(scratch.output)
    for path in set(scratch.environment().values()) - {"1"}:
        os.makedirs(path, mode=0o700, exist_ok=True)
    return scratch


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def encode_source(text: str) -> bytes:
    """The bytes of a source text in the encoding its own cookie names, else UTF-8."""
    data = text.encode("utf-8", "surrogateescape")
    for line in data.split(b"\n", 2)[:2]:
        match = _COOKIE.match(line)
        if match:
            with contextlib.suppress(LookupError, UnicodeError):
                return text.encode(match[1].decode())
    return data


def remove_tree(folder: str) -> None:
    """Removes a tree, or a file, whatever modes user code left in it. Follows no link."""
    for directory, below, _ in os.walk(folder):
        for path in (os.path.join(directory, name) for name in below):
            with contextlib.suppress(OSError):
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.unlink(folder)


def _check_manifest(files: tuple[FileEntry, ...]) -> None:
    for entry in files:
        parts = entry.path.split("/")
        if (
            not entry.path
            or entry.path.startswith("/")
            or {"", ".", ".."} & set(parts)
            or "\0" in entry.path
        ):
            raise WorkspaceError("bad request", f"the path {entry.path!r} leaves the project")
        if not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
            raise WorkspaceError("bad request", f"{entry.path!r} comes with a malformed digest")


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def _write_atomically(path: str, data: bytes) -> None:
    handle, partial = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
