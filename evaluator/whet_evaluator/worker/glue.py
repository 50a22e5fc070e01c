"""What Triton compiled without a candidate, given to every candidate's cache.

Triton compiles a small C module that loads kernels (and, in older versions, one per
signature that launches them) the first time a process uses a device, and keeps it in its
cache folder; beside it, the kernels themselves. Every candidate has a cache of its own, so
each would wait again for the C compiler, and again for the original's kernels where it is
timed beside them. What children without candidate code built is kept here by digest and
copied into each new cache: the candidate gets its own copy and cannot touch ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re

GLUE = re.compile(r"(cuda_utils|hip_utils|__triton_launcher)\b.*\.so")
KERNELS = re.compile(r"[\w.-]+\.(json|source|ttir|ttgir|llir|ptx|cubin|amdgcn|hsaco)")
_MAX_BYTES = 4 << 20
_MAX_FILES = 512
_GROUP, _ROOT = "__grp__", b"@cache@"
"""Triton's lists of what belongs to a kernel, which name files by their whole path."""


class Kept:
    """Files of a Triton cache that match `wanted`. Lives in the worker, which alone writes
    below `folder`."""

    def __init__(self, folder: str, wanted: re.Pattern[str]) -> None:
        self._folder = folder
        self._wanted = wanted
        self._digests: dict[str, str] = {}

    def harvest(self, cache: str) -> None:
        """Keeps what is found in the Triton cache of a child that ran no candidate."""
        for directory, _, names in os.walk(cache):
            for name in names:
                path = os.path.join(os.path.relpath(directory, cache), name)
                new = path not in self._digests and len(self._digests) < _MAX_FILES
                if new and self._wanted.fullmatch(name):
                    with contextlib.suppress(OSError):  # without it a child builds its own
                        data = _read(os.path.join(cache, path))
                        if name.startswith(_GROUP):
                            data = data.replace(os.fsencode(cache), _ROOT)
                        self._keep(path, data)

    def seed(self, cache: str) -> None:
        """Copies what is kept into a new Triton cache, unless it was changed."""
        for path, digest in self._digests.items():
            with contextlib.suppress(OSError):
                data = _read(os.path.join(self._folder, path))
                if hashlib.sha256(data).hexdigest() == digest:
                    if os.path.basename(path).startswith(_GROUP):
                        data = data.replace(_ROOT, os.fsencode(cache))
                    _write(os.path.join(cache, path), data)

    def _keep(self, path: str, data: bytes) -> None:
        _write(os.path.join(self._folder, path), data)
        self._digests[path] = hashlib.sha256(data).hexdigest()


def _read(path: str) -> bytes:
    """Raises `OSError`, also for a file that is too large to be kept."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise OSError(f"{path} has more than {_MAX_BYTES} bytes")
    return data


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "xb") as file:
        file.write(data)
    os.chmod(path, 0o500)
