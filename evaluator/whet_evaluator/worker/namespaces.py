"""A child's own world: processes, mounts, network and IPC that nobody else shares.

Three steps. `lead` gives a process the right to make namespaces, in one of its own. A
process with that right forks guardians by `fork_leader`: each is process 1 of its own pid
namespace, so that whatever its child starts dies with it, daemons included. The child
itself comes by `enter` to its own mounts, network and IPC; what it mounts, and the shared
memory and queues it makes, end with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import syscalls
from .syscalls import (
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
)  # fmt: skip

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_PROC_CONTROLS = ("sys", "sysrq-trigger", "irq", "bus")
_MAX_TASKS = 4096
_FLAGS = MS_NOSUID | MS_NODEV


@dataclass(frozen=True, kw_only=True)
class World:
    """What `enter` mounts. `view` is a `view.View` as JSON gives it; `private` is the
    worker's own folder, hidden but for `writable`; sizes in bytes."""

    view: dict[str, Any]
    private: str
    writable: list[str]
    memory_bytes: int
    disk_bytes: int


def lead(*, new_user: bool) -> None:
    """Goes on as process 1 of a new pid namespace with its own /proc, in a fork: the caller
    stays behind and ends with it. `new_user`: in a user namespace too, which gives the right
    to make all others; without, a wrap around this process must have left that right.
    """
    if new_user:
        uid, gid = os.getuid(), os.getgid()
        syscalls.unshare(CLONE_NEWUSER | CLONE_NEWPID)
        for name, text in (
            ("setgroups", "deny"),  # the kernel wants this before a gid map of our own
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    else:
        syscalls.unshare(CLONE_NEWPID)
    inner = os.fork()
    if inner:
        status = os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1])
        os._exit(status if status >= 0 else 128 - status)
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
    see_own_processes()


def fork_leader(home: int) -> int:
    """As `os.fork`, but the child is process 1 of its own pid namespace. `home` is a
    descriptor of the caller's own, where its later forks belong again."""
    syscalls.unshare(CLONE_NEWPID)
    pid = -1
    try:
        pid = os.fork()
    finally:  # a fork may fail
        if pid:
            syscalls.setns(home, CLONE_NEWPID)
    return pid


def see_own_processes() -> None:
    """Mounts a /proc of this process's own pid namespace, for itself and those it forks."""
    syscalls.unshare(CLONE_NEWNS)
    syscalls.mount("none", "/", flags=MS_REC | MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc", _FLAGS | MS_NOEXEC)


def enter(world: World) -> None:
    """Makes this process see `world` and nothing more, and gives up the right to more."""
    syscalls.unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC)
    _compose(world)
    _restrict_proc()
    _raise_loopback()
    syscalls.drop_capabilities()


def _compose(world: World) -> None:
    view = world.view
    with contextlib.ExitStack() as held:
        shown = {path: _held(held, path) for path in (*view["shown"], *view["masked"])}
        writable = {path: _held(held, path) for path in world.writable}
        devices = {path: _held(held, path) for path in view["devices"]}
        for folder in view["covered"]:
            _empty(folder, world.disk_bytes)
        for path in view["shown"]:
            _bind(shown[path], path)
        for link, target in view["links"]:
            _make_link(link, target)
        for path in view["masked"]:
            _bind(devices["/dev/null"], path)
        if os.path.isdir(world.private):
            _empty(world.private, world.disk_bytes)
        for path, source in writable.items():
            _bind(source, path)
        _mount_devices(devices, world.memory_bytes)
        _make_read_only(world)


def _held(held: contextlib.ExitStack, path: str) -> int:
    """A handle on what is at `path` now, whatever comes to cover it."""
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    held.callback(os.close, handle)
    return handle


def _empty(folder: str, size: int) -> None:
    syscalls.mount("tmpfs", folder, "tmpfs", _FLAGS, f"mode=755,size={size}")


def _bind(source: int, target: str) -> None:
    if not os.path.lexists(target):
        if os.path.isdir(f"/proc/self/fd/{source}"):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    syscalls.mount(f"/proc/self/fd/{source}", target, flags=MS_BIND | MS_REC)


def _make_link(link: str, target: str) -> None:
    os.makedirs(os.path.dirname(link), exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.symlink(target, link)


def _mount_devices(devices: dict[str, int], memory_bytes: int) -> None:
    syscalls.mount("tmpfs", "/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for path, source in devices.items():
        _bind(source, path)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")
    for folder in ("/dev/shm", "/dev/pts"):
        os.mkdir(folder)
    syscalls.mount("tmpfs", "/dev/shm", "tmpfs", _FLAGS, f"mode=1777,size={memory_bytes}")
    with contextlib.suppress(OSError):  # only who asks for a terminal misses it
        options = "newinstance,ptmxmode=0666,mode=620"
        syscalls.mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, options)
        os.symlink("pts/ptmx", "/dev/ptmx")


def _make_read_only(world: World) -> None:
    """All but the scratch, devices and temporary folders. Where the kernel is too old to do
    it in one call, the wrap around the zygote and Landlock remain."""
    with contextlib.suppress(OSError):
        syscalls.set_read_only("/", read_only=True, recursive=True)
        kept = (*world.writable, *writable_folders(world.view), "/dev/shm", "/dev/pts", "/proc")
        for path in kept:  # /proc: CUDA names its threads, and does without a device if it cannot
            if os.path.ismount(path):
                syscalls.set_read_only(path, read_only=False, recursive=False)


def writable_folders(view: dict[str, Any]) -> Iterator[str]:
    """Temporary folders that are empty and the child's own: tests name them literally."""
    for folder in ("/tmp", "/var/tmp"):
        if os.path.realpath(folder) in view["covered"]:
            yield os.path.realpath(folder)


def _restrict_proc() -> None:
    # Since Linux 6.14 a pid namespace has a limit of its own.
    with contextlib.suppress(OSError), open("/proc/sys/kernel/pid_max", "r+b", 0) as file:
        file.write(str(_MAX_TASKS).encode())
    for name in _PROC_CONTROLS:
        path = f"/proc/{name}"
        if os.access(path, os.W_OK) or name == "sys":  # the superuser's, in a container
            with contextlib.suppress(OSError):
                syscalls.mount(path, path, flags=MS_BIND | MS_REC)
                flags = MS_REMOUNT | MS_BIND | MS_RDONLY | _FLAGS | MS_NOEXEC
                syscalls.mount("none", path, flags=flags)


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
