"""What a child may not do: write outside its scratch, reach the network, signal others.

Two layers of the kernel's own, both unprivileged and each probed before it is claimed:
*Landlock* confines writes (a denied write is `EACCES`), *unshare* gives new user, network
and IPC namespaces with only loopback up. `partial` means that at least Landlock holds.
`strong` also needs a pid namespace around the zygote, and is never claimed here: with
the same user and pids in view, a candidate may still read what this user may read.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
from dataclasses import dataclass
from typing import Literal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = 0x08000000, 0x10000000, 0x40000000
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every architecture
_WRITE_FILE, _TRUNCATE, _REFER = 1 << 1, 1 << 14, 1 << 13
_CHANGE_TREE = sum(1 << bit for bit in range(4, 13))  # remove, make dir, file, link, node...
_SCOPE_SIGNAL = 1 << 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


@dataclass(frozen=True)
class Isolation:
    """What the probe found to work here."""

    landlock: bool
    network: bool

    @property
    def level(self) -> Literal["strong", "partial", "none"]:
        return "partial" if self.landlock else "none"

    @property
    def detail(self) -> str:
        """One sentence for the evidence."""
        writes = (
            "writes are confined to the scratch by Landlock"
            if self.landlock
            else "writes are not confined: this kernel has no Landlock"
        )
        network = "no network but loopback" if self.network else "the network is reachable"
        return f"{writes}; {network}; files this user may read can be read"


def probe(scratch: str) -> Isolation:
    """Tries each layer in throw-away children, so that the caller stays as it is."""
    return Isolation(
        landlock=_works_in_child(lambda: _landlock_holds(scratch)),
        network=_works_in_child(_unshare_network),
    )


def enter(isolation: Isolation, writable: list[str]) -> None:
    """Confines this process and all it starts, for good. Single-threaded callers only."""
    if isolation.network:
        _unshare_network()
    if isolation.landlock:
        _confine_writes(writable)


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
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != expected_parent:
        os._exit(1)


def become_subreaper() -> None:
    """Orphans among our descendants become our children instead of init's, where the
    kernel can do that."""
    with contextlib.suppress(OSError):
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _works_in_child(attempt: object) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            attempt()  # type: ignore[operator]
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


def _unshare_network() -> None:
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc().unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC), "unshare")
    for name, text in (
        ("setgroups", "deny"),  # the kernel wants this before a gid map of our own
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def _landlock_holds(scratch: str) -> None:
    _confine_writes([scratch])
    inside, outside = os.path.join(scratch, ".probe"), os.path.join(scratch, "..", ".probe")
    os.close(os.open(inside, os.O_CREAT | os.O_WRONLY, 0o600))
    os.unlink(inside)
    try:
        os.close(os.open(outside, os.O_CREAT | os.O_WRONLY, 0o600))
    except PermissionError:
        return
    os.unlink(outside)
    raise OSError("Landlock did not deny a write outside the scratch")


def _confine_writes(writable: list[str]) -> None:
    abi = _libc().syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        raise OSError("no Landlock")
    handled = _WRITE_FILE | _CHANGE_TREE | (_REFER if abi >= 2 else 0)
    handled |= _TRUNCATE if abi >= 3 else 0
    attributes = struct.pack("QQQ", handled, 0, _SCOPE_SIGNAL if abi >= 6 else 0)
    known = 24 if abi >= 6 else 16 if abi >= 4 else 8
    ruleset = _checked(_libc().syscall(_LANDLOCK_CREATE, attributes[:known], known, 0), "landlock")
    try:
        for path in (*writable, "/dev/shm"):
            _allow(ruleset, path, handled)
        for path in ("/dev", f"/proc/{os.getpid()}"):  # device nodes; CUDA names its threads
            _allow(ruleset, path, handled & (_WRITE_FILE | _TRUNCATE))
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _checked(_libc().syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", access, beneath))
        _checked(_libc().syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock {path}")
    finally:
        os.close(beneath)


def _prctl(option: int, value: int) -> None:
    _checked(_libc().prctl(option, value, 0, 0, 0), "prctl")


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise OSError("the worker runs on Linux")
    return ctypes.CDLL(None, use_errno=True)
