"""Landlock: a process gives up writing, and signalling, outside what it names. Unprivileged.

The kernel also keeps a confined process from tracing one that is not: its memory and its
environment cannot be read.
"""

from __future__ import annotations

import ctypes
import os
import struct

from .syscalls import PR_SET_NO_NEW_PRIVS, checked, prctl, syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # on every architecture
_WRITE_FILE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_CHANGE_TREE = sum(1 << bit for bit in range(4, 13))  # remove, make dir, file, link, node...
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNAL = 1 << 0, 1 << 1


def confine_writes(writable: list[str]) -> None:
    """Leaves this process `writable`, shared memory and device nodes to write to, for good.

    Single-threaded callers only. Raises `OSError` where the kernel has no Landlock.
    """
    abi = syscall(_CREATE, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        raise OSError("this kernel has no Landlock")
    handled = _WRITE_FILE | _CHANGE_TREE | (_REFER if abi >= 2 else 0)
    handled |= _TRUNCATE if abi >= 3 else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNAL if abi >= 6 else 0
    attributes = struct.pack("QQQ", handled, 0, scoped)
    known = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = checked(
        syscall(_CREATE, attributes[:known], ctypes.c_size_t(known), 0), "landlock_create_ruleset"
    )
    try:
        for path in (*writable, "/dev/shm"):
            _allow(ruleset, path, handled)
        for path in ("/dev", f"/proc/{os.getpid()}"):  # device nodes; CUDA names its threads
            _allow(ruleset, path, handled & (_WRITE_FILE | _TRUNCATE))
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        checked(syscall(_RESTRICT, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, beneath))
        checked(syscall(_ADD, ruleset, 1, rule, 0), f"landlock {path}")
    finally:
        os.close(beneath)
