"""Which layers of isolation work on this host: each is tried where it would be used, in
throw-away processes, before anything relies on it.

The worker starts `main` in a process of its own, wrapped as a zygote would be.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from . import landlock, namespaces
from .isolation import Isolation
from .view import View

_TRIAL_S = 20.0
_ENTRY = "import sys;sys.path.insert(0,sys.argv[1]);from {package} import layers;layers.main()"
_APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
_MAX_NAMESPACES = "/proc/sys/user/max_user_namespaces"


def wrap(view: View, writable: str) -> list[str]:
    """bubblewrap's words before a command: its own pids, a read-only root but for
    `writable`, only the view's devices. Empty without bubblewrap.

    All it starts dies with it, and it with us.
    """
    program = shutil.which("bwrap")
    if program is None:
        return []
    devices = [word for path in view.devices for word in ("--dev-bind-try", path, path)]
    # Children get namespaces of their own with these rights, which count in this one only.
    rights = ["--cap-add", "CAP_SYS_ADMIN", "--cap-add", "CAP_NET_ADMIN"]
    return [
        program, "--unshare-user", "--unshare-pid", "--die-with-parent", *rights,
        "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", *devices,
        "--bind", writable, writable, "--",
    ]  # fmt: skip


async def working(view: View, private: str, package_root: str) -> Isolation:
    """Tries the layers with bubblewrap around, then without. `private` is the worker's folder."""
    missing = []
    prefix = wrap(view, private)
    if prefix:
        found, error = await _tried(prefix, view, private, package_root)
        if found is not None:
            return _chosen(found, wrapped=True, missing=())
        missing.append(f"bubblewrap does not work ({error})")
    else:
        missing.append("bubblewrap is not installed")
    found, error = await _tried([], view, private, package_root)
    if found is None:
        return Isolation(missing=(*missing, f"nothing could be tried ({error})"))
    return _chosen(found, wrapped=False, missing=tuple(missing))


def main() -> None:
    """Tries each layer in a child of its own and prints what went wrong with it, or ''."""
    private, view = sys.argv[2], json.loads(sys.argv[3])
    folder = tempfile.mkdtemp(dir=private)
    try:
        world = namespaces.World(
            view=view, private=private, writable=[folder], memory_bytes=1 << 20,
            disk_bytes=1 << 20,
        )  # fmt: skip
        found = {
            "namespaces": _failure(lambda: _enter(world, new_user=sys.argv[4] == "new user")),
            "landlock": _failure(lambda: landlock.confine_writes([folder])),
        }
        sys.stdout.write(json.dumps(found))
    finally:
        os.rmdir(folder)


async def _tried(
    prefix: Sequence[str], view: View, private: str, package_root: str
) -> tuple[dict[str, str] | None, str]:
    entry = _ENTRY.format(package=__package__)
    right = "inherited" if prefix else "new user"
    arguments = [package_root, private, json.dumps(asdict(view)), right]
    with tempfile.TemporaryFile(dir=private) as errors:
        # Not asyncio's own way: the worker collects every child's status itself.
        process = subprocess.Popen(  # noqa: ASYNC220 - it is waited for without blocking
            [*prefix, sys.executable, "-I", "-S", "-B", "-c", entry, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=private,
        )  # fmt: skip
        assert process.stdout is not None
        with process.stdout:
            said = await _read_to_end(process.stdout.fileno())
        if said is None:
            process.kill()
        process.wait()
        if said:
            found: dict[str, str] = json.loads(said)
            return found, ""
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
    return None, lines[-1] if lines else "it says nothing"


async def _read_to_end(descriptor: int) -> bytes | None:
    """Everything up to the end, or None if that does not come in time."""
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    ended = loop.create_future()

    def read() -> None:
        data = os.read(descriptor, 1 << 16)
        parts.append(data)
        if not data and not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, read)
    try:
        await asyncio.wait_for(ended, _TRIAL_S)
    except asyncio.TimeoutError:  # noqa: UP041 - not the built-in one before 3.11
        return None
    finally:
        loop.remove_reader(descriptor)
    return b"".join(parts)


def _chosen(found: dict[str, str], *, wrapped: bool, missing: tuple[str, ...]) -> Isolation:
    if found["namespaces"]:
        missing = (*missing, f"no namespaces of its own ({_why_none(found['namespaces'])})")
    if found["landlock"]:
        missing = (*missing, f"no Landlock ({found['landlock']})")
    return Isolation(
        wrapped=wrapped, namespaces=not found["namespaces"], landlock=not found["landlock"],
        missing=missing,
    )  # fmt: skip


def _why_none(error: str) -> str:
    if _number(_MAX_NAMESPACES) == 0:
        return f"{_MAX_NAMESPACES} is 0"
    if _number(_APPARMOR) == 1:
        return f"AppArmor keeps user namespaces from programs without a profile: {error}"
    return error


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _enter(world: namespaces.World, *, new_user: bool) -> None:
    """As a child comes to its world: by a leader, by a guardian, by itself."""
    namespaces.lead(new_user=new_user)
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    pid = namespaces.fork_leader(home)
    if pid:
        os.waitpid(pid, 0)
        os._exit(0)
    namespaces.see_own_processes()
    namespaces.enter(world)


def _failure(attempt: Callable[[], Any]) -> str:
    """What `attempt` raises in a fork of this process, or ''."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except BaseException as error:
            os.write(writer, (str(error) or type(error).__name__).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as said:
        why = said.read()
    status = os.waitpid(pid, 0)[1]
    return why or ("" if status == 0 else f"ended with status {status}")
