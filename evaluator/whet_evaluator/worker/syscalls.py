"""The few system calls that Python's standard library of 3.10 does not wrap.

Every function raises `OSError` with the call's name and what it was about.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from functools import lru_cache
from typing import Any

CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000  # the number of every architecture
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63


def unshare(flags: int) -> None:
    checked(_libc().unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    checked(_libc().setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    result = _libc().mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags),
        options.encode(),
    )  # fmt: skip
    checked(result, f"mount {kind or source} on {target}")


def set_read_only(path: str, *, read_only: bool, recursive: bool) -> None:
    """Linux 5.12 and later."""
    attributes = struct.pack("QQQQ", *((1, 0) if read_only else (0, 1)), 0, 0)
    result = syscall(
        _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE if recursive else 0,
        attributes, ctypes.c_size_t(len(attributes)),
    )  # fmt: skip
    checked(result, f"mount_setattr {path}")


def prctl(option: int, value: int) -> None:
    arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
    checked(_libc().prctl(option, *arguments), "prctl")


def drop_capabilities() -> None:
    """All of them, for this process and whatever it executes."""
    for number in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, number)
        except OSError:
            break  # no such capability, or none to drop any with
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    checked(_libc().capset(header, bytes(24)), "capset")


def syscall(number: int, *arguments: Any) -> int:
    """As the C library's: -1 and `errno` on failure."""
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    return result


def checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("the worker runs on Linux")
    return ctypes.CDLL(None, use_errno=True)
