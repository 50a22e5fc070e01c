"""What keeps a candidate from what is not its own, and how much of that works here.

Three layers, each unprivileged: *bubblewrap* once around the zygote (`wrap`), *namespaces*
around each child (`namespaces`), *Landlock* inside it (`landlock`). `Isolation` says which
of them are used; whether they hold is found out by trying to break them from a child
(`attest`), and only what did not break is claimed.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from dataclasses import dataclass
from typing import Any, Literal

from . import landlock, namespaces, syscalls

Level = Literal["strong", "partial", "none"]
LEVELS: tuple[Level, ...] = ("none", "partial", "strong")
"""Weakest first."""


World = Literal["shared", "new", "inherited"]
"""Where a process finds the right to give children namespaces: nowhere, in a user namespace
that it makes for itself, or in the one that a wrap made around it."""
WORLDS: tuple[World, ...] = ("shared", "new", "inherited")


@dataclass(frozen=True)
class Wrap:
    """How a process that runs children is started: words before its command, and its world."""

    words: tuple[str, ...]
    world: World


NO_WRAP = Wrap((), "shared")


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """The layers in use, `wrapped` for bubblewrap. `missing` says of each that is not, in a
    clause, why."""

    wrapped: bool = False
    namespaces: bool = False
    landlock: bool = False
    missing: tuple[str, ...] = ()


def enter(order: dict[str, Any]) -> None:
    """Confines this child and all it starts, for good. Single-threaded callers only."""
    layers = order["isolation"]
    writable = list(order["writable"])
    if layers["namespaces"]:
        world = namespaces.World(
            view=order["view"], private=order["private"], writable=writable,
            memory_bytes=order["limits"]["memory_bytes"],
            disk_bytes=order["limits"]["disk_bytes"],
        )  # fmt: skip
        namespaces.enter(world)
        # Of processes it holds only this child's, whose threads CUDA names; those it starts too.
        writable += (*namespaces.writable_folders(order["view"]), "/proc")
    if layers["landlock"]:
        landlock.confine_writes(writable)
    with contextlib.suppress(OSError):
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)


def limit_resources(*, file_bytes: int) -> None:
    """No core dumps; no file longer than `file_bytes`; first to go when memory ends."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    bound = file_bytes if hard == resource.RLIM_INFINITY else min(file_bytes, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bound, hard))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass  # some containers mount /proc read-only; the memory watch remains


def die_with_parent(expected_parent: int) -> None:
    """SIGKILL when the parent dies; exits at once if it is dead already."""
    with contextlib.suppress(OSError):  # a sandboxed kernel may lack it
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected_parent:
        os._exit(1)


def become_subreaper() -> None:
    """Orphans among our descendants become our children instead of init's, where the
    kernel can do that."""
    with contextlib.suppress(OSError):
        syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
