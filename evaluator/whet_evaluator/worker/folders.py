"""This worker's own folder: made and locked at the start, removed at the end, and with it
those of workers that died. Only the capped blob cache outlives a worker.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time

from .workspace import remove_tree

PREFIX = "whet-worker-"
"""Of every worker's folders, and of nothing else: what is named so may be removed."""

_STALE_S = 600.0


def make_home(package_root: str) -> str:
    """A new folder, locked while this process lives, after which it counts as stale."""
    base = tempfile.gettempdir()
    home = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base)
    for folder in {home, package_root} if is_ours(package_root) else {home}:
        lock = os.open(os.path.join(folder, "alive"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until this process ends
    for name in ("scratch", "logs"):
        os.mkdir(os.path.join(home, name))
    remove_stale()
    return home


def remove_stale() -> None:
    """Removes the folders of this user's workers that died without doing so."""
    base = tempfile.gettempdir()
    for name in os.listdir(base):
        folder = os.path.join(base, name)
        if name.startswith(PREFIX) and _is_stale(folder):
            _sweep(folder)


def is_ours(folder: str) -> bool:
    """Whether `BOOT` or `make_home` made this folder."""
    return os.path.basename(folder).startswith(PREFIX)


def _sweep(folder: str) -> None:
    """The lock file goes last: a child that is still dying may be writing here, and what it
    leaves must be recognised as stale the next time."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name != "alive":
                remove_tree(os.path.join(folder, name))
        if os.listdir(folder) in ([], ["alive"]):
            remove_tree(folder)


def _is_stale(folder: str) -> bool:
    """Whether a worker of ours made this folder and is gone: nobody holds its lock. The pid
    says nothing, since containers that share /tmp count their own."""
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    try:
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            return False
        lock = os.open(os.path.join(folder, "alive"), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return time.time() - status.st_mtime > _STALE_S  # died before it could lock
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def cache_folder() -> str:
    """Where shipped contents are kept between runs."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "whet", "blobs")
