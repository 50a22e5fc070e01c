"""Which of the user's files a target needs, by name and digest, and their contents on demand.

The set is git's own (tracked, and untracked but not ignored) where git knows the folder,
else what gitignore rules leave. `include` adds ignored files back, `exclude` takes away;
keys and `.env` files are never part of it, whoever asks. What is left out for its size is
named, so that a test that misses a file is no riddle.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pathspec import GitIgnoreSpec

from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import Shipped, Workspace
from whet_evaluator.worker.protocol import FileEntry
from whet_evaluator.worker.workspace import encode_source

_NEVER_SHIPPED = re.compile(
    r"^(\.env.*|.*\.(pem|key|p12|pfx|jks|kdbx|keystore|ppk)|id_[^.]*(\.pub)?|\.netrc|\.npmrc|\.pypirc"
    r"|\.git-credentials|credentials(\.json)?|\.htpasswd)$",
    re.IGNORECASE,
)
_NEVER_FOLDERS = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        ".ssh",
        ".gnupg",
        ".aws",
        "node_modules",
        ".venv",
        "venv",
    }
)
_PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_GIT_TIMEOUT_S = 20.0
_SUBMODULE_DEPTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`entries` in path order; `left_out` names files too large, linked out or unreadable."""

    root: Path
    entries: tuple[FileEntry, ...]
    left_out: tuple[str, ...]
    texts: Mapping[str, bytes]
    """Contents that are not on disk: unsaved buffers, by digest."""
    paths: Mapping[str, Path]
    """Where to read a digest's content."""

    def content(self, digest: str) -> bytes:
        """The content with that digest. Raises `EvaluatorError` if the file changed since."""
        if digest in self.texts:
            return self.texts[digest]
        path = self.paths[digest]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _changed(path) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise _changed(path)
        return data


def load_manifest(workspace: Workspace) -> Manifest:
    """Lists and hashes the project. Reads every file once; raises `EvaluatorError`."""
    root = workspace.root.resolve()
    if not root.is_dir():
        raise EvaluatorError("workspace", f"{root} is not a folder; open the project's folder")
    overlay = {checked_path(p): encode_source(t) for p, t in workspace.overlay.items()}
    entries: list[FileEntry] = []
    left_out: list[str] = []
    texts: dict[str, bytes] = {}
    paths: dict[str, Path] = {}
    total = 0
    for path, data in overlay.items():
        digest = hashlib.sha256(data).hexdigest()
        mode = _mode(root / path)
        entries.append(FileEntry(path=path, sha256=digest, mode=mode, size=len(data)))
        texts[digest] = data
        total += len(data)
    for path in _by_importance(_selected(root, workspace), root):
        if path in overlay:
            continue
        data_or_reason = _read(root, path, workspace.max_file_bytes)
        if isinstance(data_or_reason, str):
            left_out.append(f"{path} ({data_or_reason})")
            continue
        total += len(data_or_reason)
        if total > workspace.max_total_bytes:
            total -= len(data_or_reason)
            left_out.append(
                f"{path} (the project is over {_mib(workspace.max_total_bytes)} in all)"
            )
            continue
        digest = hashlib.sha256(data_or_reason).hexdigest()
        entries.append(
            FileEntry(path=path, sha256=digest, mode=_mode(root / path), size=len(data_or_reason))
        )
        paths[digest] = root / path
    entries.sort(key=lambda entry: entry.path)
    return Manifest(
        root=root, entries=tuple(entries), left_out=tuple(left_out), texts=texts, paths=paths
    )


def shipped(manifest: Manifest, *, in_place: bool = False) -> Shipped:
    """The manifest by content alone: sources one by one, data as one digest. `in_place`: the target
    reads the project's own folder, so nothing is left out there."""
    sources = {one.path: one.sha256 for one in manifest.entries if _is_source(one.path)}
    data = [f"{one.path}\0{one.sha256}" for one in manifest.entries if one.path not in sources]
    digest = hashlib.sha256("\n".join(data).encode("utf-8", "surrogateescape")).hexdigest()
    return Shipped(
        sources=sources, data_digest=digest, n_data=len(data),
        left_out=() if in_place else manifest.left_out,
    )  # fmt: skip


def shipped_digest(found: Shipped) -> str:
    """One sha256 over all files by path and content."""
    rows = [f"{path}\0{sha}" for path, sha in sorted(found.sources.items())]
    joined = "\n".join([*rows, found.data_digest])
    return hashlib.sha256(joined.encode("utf-8", "surrogateescape")).hexdigest()


def text_digest(text: str) -> str:
    """sha256 of a source text as the file on the target holds it."""
    return hashlib.sha256(encode_source(text)).hexdigest()


def _is_source(path: str) -> bool:
    return path.endswith((".py", ".pyi", ".toml", ".ini", ".cfg"))


def checked_path(path: str) -> str:
    """`path` if it is relative, with `/`, and stays inside. Raises `EvaluatorError`."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or "\0" in path:
        raise EvaluatorError("workspace", f"the path {path!r} leaves the project")
    return str(pure)


def _selected(root: Path, workspace: Workspace) -> list[str]:
    listed = set(_git_files(root, _SUBMODULE_DEPTH) or _walked_files(root))
    if workspace.include:
        included = GitIgnoreSpec.from_lines(workspace.include)
        listed |= {path for path in _walk(root) if included.match_file(path)}
    excluded = GitIgnoreSpec.from_lines(workspace.exclude)
    return [p for p in listed if not _forbidden(p) and not excluded.match_file(p)]


def _forbidden(path: str) -> bool:
    *folders, name = path.split("/")
    return (
        bool(_NEVER_FOLDERS.intersection(folders))
        or _NEVER_SHIPPED.match(name) is not None
        or name.endswith((".pyc", ".pyo"))
    )


def _git_files(root: Path, depth: int) -> list[str] | None:
    """git's view of the folder, with its submodules' files. None where git does not know it."""
    # A repository's own configuration may name a program as fsmonitor: never run it.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(root), "ls-files", "-z",
               "--cached", "--others", "--exclude-standard"]  # fmt: skip
    try:
        listed = subprocess.run(
            command, capture_output=True, timeout=_GIT_TIMEOUT_S, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    if listed.returncode != 0:
        return None
    files: list[str] = []
    for raw in listed.stdout.split(b"\0"):
        path = os.fsdecode(raw).rstrip("/")
        if not path or not os.path.lexists(root / path):  # deleted, and git not told yet
            continue
        if (root / path).is_dir() and not (root / path).is_symlink():
            below = (_git_files(root / path, depth - 1) or []) if depth else []
            files += [f"{path}/{name}" for name in below]
        else:
            files.append(path)
    return files


def _walked_files(root: Path) -> list[str]:
    """All files but those that the `.gitignore` files on their way rule out."""
    rules: dict[str, GitIgnoreSpec] = {}

    def ignored(path: str) -> bool:
        parts = path.split("/")
        for depth in range(len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in rules:
                rules[folder] = _ignore_rules(root / folder)
            if rules[folder].match_file("/".join(parts[depth:])):
                return True
        return False

    return [path for path in _walk(root) if not ignored(path)]


def _ignore_rules(folder: Path) -> GitIgnoreSpec:
    try:
        lines = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    return GitIgnoreSpec.from_lines(lines)


def _walk(root: Path) -> Iterator[str]:
    for directory, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in _NEVER_FOLDERS)
        below = Path(directory).relative_to(root)
        for name in sorted(names):
            yield (below / name).as_posix()


def _by_importance(paths: Iterable[str], root: Path) -> list[str]:
    """Sources first, then small files, so that a size limit cuts data, not code."""

    def key(path: str) -> tuple[bool, int, str]:
        source = path.endswith((".py", ".pyi", ".toml", ".ini", ".cfg", ".txt"))
        try:
            size = (root / path).stat().st_size
        except OSError:
            size = 0
        return (not source, 0 if source else size, path)

    return sorted(paths, key=key)


def _read(root: Path, path: str, max_bytes: int) -> bytes | str:
    """The content, or the reason why it stays behind."""
    try:
        real = (root / path).resolve(strict=True)
        reason = _reason_against(real, root, max_bytes)
        data = real.read_bytes() if reason is None else b""
    except (OSError, RuntimeError):
        return "unreadable"
    if reason is not None:
        return reason
    return "it holds a private key" if _PRIVATE_KEY.search(data[:4096]) else data


def _reason_against(real: Path, root: Path, max_bytes: int) -> str | None:
    if not real.is_relative_to(root):
        return "a link that leaves the project"
    if _forbidden(real.relative_to(root).as_posix()):
        return "a link to a file that is never sent"
    if not real.is_file():
        return "not a regular file"
    size = real.stat().st_size
    return f"{_mib(size)}, over {_mib(max_bytes)}" if size > max_bytes else None


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o644


def _mib(n_bytes: int) -> str:
    return f"{n_bytes / (1 << 20):.1f} MiB"


def _changed(path: Path) -> EvaluatorError:
    return EvaluatorError(
        "workspace", f"{path} changed while it was being sent; run again", retryable=True
    )
