"""Processes with torch, triton and pytest loaded that fork a guarded child per stage.

A root imports what knows nothing of triton, torch above all, once. Zygotes split off it: one
has triton as interpreter, one as compiler, which triton decides for good when it is imported.
All stay single-threaded, run no tensor operation and ask no question about devices: a child of
a process that did either hangs or cannot use the GPU. None imports a module of the user's
project. Requests are datagrams: to a root `SPLIT_INTERPRET` or `SPLIT_COMPILE` with the new
zygote's channel attached; to a zygote `FORK` with the five descriptors of
`supervise.Descriptors` attached, or `IMPORT_LATE`.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import importlib.metadata
import importlib.util
import json
import os
import signal
import socket
import sys
import sysconfig
import warnings
from collections.abc import Callable
from typing import Any

from . import isolation, namespaces, rehearsal, stage, supervise

_BEFORE_TRITON = (
    "torch", "torch.testing", "torch.autograd", "pytest", "_pytest.config", "numpy", "inspect",
    "unittest.mock", "doctest",
    "torch.distributed.tensor",  # the first `assert_close` of a process imports it
)  # fmt: skip
_WITH_TRITON = (
    "triton", "triton.language", "triton.runtime.interpreter", "triton.compiler",
    "triton.compiler.code_generator", "triton.language.extra.libdevice",
)  # fmt: skip
FORK, IMPORT_LATE = b"fork", b"import late"
SPLIT_INTERPRET, SPLIT_COMPILE = b"split interpret", b"split compile"
_OUR_STAGES = ("overlay", "tests", "interpret", "record", "compile", "timing", "devices")


def serve(expected_parent: int, world: int, socket_fd: int) -> None:
    """Preloads, reports, and splits until the socket ends. The entry of a root process."""
    isolation.die_with_parent(expected_parent)
    fork = _guardian_fork(isolation.WORLDS[world])
    _hide_own_path()
    channel = socket.socket(fileno=socket_fd)
    channel.set_inheritable(False)
    missing = _import_all((*_BEFORE_TRITON, *_pytest_modules()))
    _say_ready(channel, missing, knows_triton="triton" in sys.modules)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    me = os.getpid()
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 64, 1)
        if not request:
            return
        if os.fork() == 0:
            isolation.die_with_parent(me)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            channel.close()
            _serve_children(
                socket.socket(fileno=descriptors[0]), fork, interpret=request == SPLIT_INTERPRET
            )
            os._exit(0)
        os.close(descriptors[0])


def _serve_children(channel: socket.socket, fork: Callable[[], int], *, interpret: bool) -> None:
    """Goes on as a zygote: takes triton as one thing or the other, and forks until told."""
    _choose_triton(interpret=interpret)
    _say_ready(channel, preload())
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guardians are reaped by the kernel
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, 64, 5)
        if not request:
            return
        if request == IMPORT_LATE:
            _import_late()
            continue
        if fork() == 0:
            _become_guardian(channel, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _choose_triton(*, interpret: bool) -> None:
    os.environ.pop("TRITON_INTERPRET", None)
    if not interpret:
        return
    os.environ["TRITON_INTERPRET"] = "1"
    if "OMP_NUM_THREADS" not in os.environ and "torch" in sys.modules:
        # The lanes are the parallelism (`orders.Stand.process_env`).
        sys.modules["torch"].set_num_threads(1)


def _say_ready(channel: socket.socket, missing: list[str], **more: Any) -> None:
    threads = len(os.listdir("/proc/self/task"))
    channel.send(json.dumps({"missing": missing, "threads": threads, **more}).encode())
    gc.collect()
    gc.freeze()  # a child's collector must not touch, and so copy, our pages


def serve_one(expected_parent: int, world: int, *descriptors: int) -> None:
    """The same for one stage in this fresh process, with nothing preloaded."""
    del expected_parent  # the control socket's end tells: being killed would spare daemons
    if isolation.WORLDS[world] != "shared":
        namespaces.lead(new_user=isolation.WORLDS[world] == "new")
    _hide_own_path()
    supervise.guard(supervise.Descriptors(*descriptors), stage.run_child)


def _import_late() -> None:
    for name in stage.LATE:
        with warnings.catch_warnings(), contextlib.suppress(BaseException):
            warnings.simplefilter("ignore")
            importlib.import_module(name)
    _remember_places()
    gc.collect()
    gc.freeze()


def _guardian_fork(world: isolation.World) -> Callable[[], int]:
    if world == "shared":
        return os.fork
    if world == "new":
        namespaces.lead(new_user=True)
    return functools.partial(
        namespaces.fork_leader, os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    )


def preload() -> list[str]:
    """Imports what nearly every stage needs; returns the names that do not import."""
    missing = _import_all((*_WITH_TRITON, *_plugin_modules()))
    for name in _OUR_STAGES:
        with contextlib.suppress(ImportError):
            importlib.import_module(f".{name}", __package__)
    if "pytest" in sys.modules:
        rehearsal.import_late_modules()
    if "triton" in sys.modules:
        rehearsal.compile_one_kernel()
    _remember_places()
    return missing


def _import_all(names: tuple[str, ...]) -> list[str]:
    missing = []
    for name in names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                importlib.import_module(name)
            except BaseException as error:  # a broken plugin is the user's, and says so itself
                missing.append(f"{name}: {type(error).__name__}: {error}")
    return missing


def _remember_places() -> None:
    """Where the modules loaded so far really lie: every child asks, of every one of them."""
    with contextlib.suppress(ImportError):
        overlay: Any = importlib.import_module(".overlay", __package__)
        overlay.remember_places()


def _become_guardian(channel: socket.socket, descriptors: list[int]) -> None:
    try:
        channel.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        supervise.guard(supervise.Descriptors(*descriptors), stage.run_child)
    finally:
        os._exit(70)


def _pytest_modules() -> tuple[str, ...]:
    """pytest's own plugins, most of which it imports only when a session starts."""
    with contextlib.suppress(Exception):
        config: Any = importlib.import_module("_pytest.config")
        return tuple(f"_pytest.{name}" for name in config.default_plugins)
    return ()


def _plugin_modules() -> tuple[str, ...]:
    """Installed third-party plugins, but none that lives outside site-packages: an
    editable project's own plugin is the user's code and may be the candidate."""
    if os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        return ()
    roots = tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    names = []
    for entry in importlib.metadata.entry_points(group="pytest11"):
        with contextlib.suppress(Exception):
            spec = importlib.util.find_spec(entry.module.partition(".")[0])
            if spec and spec.origin and spec.origin.startswith(roots):
                names.append(entry.module)
    return tuple(names)


def _hide_own_path() -> None:
    """Our package was found through the first entry, which must not serve user imports;
    nor may the neutral working directory."""
    package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:] = [entry for entry in sys.path if entry not in ("", package_root)]
