"""Triton's compiled glue to the driver, built once and given to every candidate's cache.

Triton compiles a small C module that loads kernels (and, in older versions, one per
signature that launches them) the first time a process uses a device, and keeps it in its
cache folder. Every candidate has a cache of its own, so each would wait for the C
compiler again. What a child without candidate code built is kept here by digest and
copied into each new cache: the candidate gets its own copy and cannot touch ours.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re

_GLUE = re.compile(r"(cuda_utils|hip_utils|__triton_launcher)\b.*\.so")
_MAX_BYTES = 4 << 20
_MAX_FILES = 64


class DriverGlue:
    """Lives in the worker, which alone writes below `folder`."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._digests: dict[str, str] = {}

    def harvest(self, cache: str) -> None:
        """Keeps the glue found in the Triton cache of a child that ran no candidate."""
        for directory, _, names in os.walk(cache):
            for name in names:
                path = os.path.join(os.path.relpath(directory, cache), name)
                new = path not in self._digests and len(self._digests) < _MAX_FILES
                if new and _GLUE.fullmatch(name):
                    with contextlib.suppress(OSError):  # without it a child builds its own
                        self._keep(path, _read(os.path.join(cache, path)))

    def seed(self, cache: str) -> None:
        """Copies what is kept into an empty Triton cache, unless it was changed."""
        for path, digest in self._digests.items():
            with contextlib.suppress(OSError):
                data = _read(os.path.join(self._folder, path))
                if hashlib.sha256(data).hexdigest() == digest:
                    _write(os.path.join(cache, path), data)

    def _keep(self, path: str, data: bytes) -> None:
        _write(os.path.join(self._folder, path), data)
        self._digests[path] = hashlib.sha256(data).hexdigest()


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        return file.read(_MAX_BYTES)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "xb") as file:
        file.write(data)
    os.chmod(path, 0o500)
