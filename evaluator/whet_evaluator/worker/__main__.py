"""The worker: takes descriptors 0 and 1 for its protocol, survives everything, leaves nothing.

One event loop, no threads, no torch. Every request is a task; stages run in children
(`runner`). The end of input, or twenty seconds without a word from the host, ends
everything: children first, then this process's folder, then itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import platform
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from typing import Any

from . import environment, folders, isolation, supervise
from .bench import Bench
from .protocol import (
    SENTINEL,
    SILENCE_LIMIT_S,
    VERSION,
    Blobs,
    Cancel,
    Close,
    Collect,
    Compile,
    Done,
    Down,
    Evaluate,
    Failure,
    FrameReader,
    Hello,
    Need,
    Open,
    Ping,
    Pong,
    ProtocolError,
    Record,
    RunTests,
    Stage,
    Up,
    encode_frame,
)  # fmt: skip
from .requests import Work
from .workspace import BlobCache, Project, WorkspaceError, remove_tree

_PROGRESS_S = 0.1
_PARTING_S = 1.5
"""So long, a second of grace for a child and some air, its requests may take to end when the host
is gone; then all that is left below the worker is killed."""


def main() -> None:
    """Runs until the host goes. The entry of the shipped package."""
    incoming, outgoing = _take_descriptors()
    package_root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    isolation.become_subreaper()
    home = folders.make_home(package_root)
    try:
        asyncio.run(_Worker(home, package_root).serve(incoming, outgoing))
    finally:
        supervise.end_descendants()
        remove_tree(home)
        if folders.is_ours(package_root):
            remove_tree(package_root)
        folders.remove_stale()


class _Worker:
    def __init__(self, home: str, package_root: str) -> None:
        self._bench = Bench(home, package_root, environment.allowed(os.environ))
        self._cache = BlobCache(folders.cache_folder())
        self._home = home
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._blobs: dict[int, asyncio.Queue[Blobs]] = {}
        self._calls: dict[str, list[Any]] = {}
        self._writer: asyncio.WriteTransport | None = None
        self._heard_at = time.monotonic()
        self._over = asyncio.Event()
        self._opening = asyncio.Lock()

    async def serve(self, incoming: int, outgoing: int) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        loop.add_signal_handler(signal.SIGCHLD, self._reap_strays)
        self._writer, _ = await loop.connect_write_pipe(
            asyncio.BaseProtocol, os.fdopen(outgoing, "wb", 0)
        )
        self._writer.write(SENTINEL)
        self._send(
            Hello(
                version=VERSION,
                python=platform.python_version(),
                pid=os.getpid(),
                host=socket.gethostname(),
            )
        )
        await loop.connect_read_pipe(lambda: _Input(self), os.fdopen(incoming, "rb", 0))
        silence = asyncio.ensure_future(self._watch_silence())
        await self._over.wait()
        silence.cancel()
        asked = list(self._tasks.values())
        for task in asked:
            task.cancel()
        if asked:  # a zygote that is loading may not even have forked yet
            await asyncio.wait(asked, timeout=_PARTING_S)
        self._bench.stop_zygotes()
        self._cache.trim()

    def end(self) -> None:
        self._over.set()

    def heard(self) -> None:
        self._heard_at = time.monotonic()

    def receive(self, message: Down | Up) -> None:
        """Starts, feeds or ends a request. Never raises."""
        if isinstance(message, Ping):
            self._send(Pong(id=message.id))
        elif isinstance(message, Close):
            self.end()
        elif isinstance(message, Cancel):
            task = self._tasks.get(message.target)
            if task is not None:
                task.cancel()
        elif isinstance(message, Blobs):
            queue = self._blobs.get(message.id)
            if queue is not None:
                queue.put_nowait(message)
        elif isinstance(message, (Open, Collect, Record, Evaluate, RunTests, Compile)):
            task = self._tasks[message.id] = asyncio.ensure_future(self._answer(message))
            task.add_done_callback(lambda _: self._tasks.pop(message.id, None))

    # ---- requests ---------------------------------------------------------------------

    async def _answer(self, request: Any) -> None:
        try:
            self._send(await self._done(request))
        except asyncio.CancelledError:
            self._send(Failure(id=request.id, failure="cancelled", message="cancelled"))
        except WorkspaceError as error:
            self._send(Failure(id=request.id, failure=error.failure, message=str(error)))
        except OSError as error:
            self._send(_os_failure(request.id, error))
        except Exception:
            self._send(Failure(id=request.id, failure="internal", message=traceback.format_exc()))

    async def _done(self, request: Any) -> Done:
        if isinstance(request, Open):
            async with self._opening:
                return Done(id=request.id, result=await self._open(request))
        async with self._opening:
            pass  # a request sent ahead waits for the `Open` before it
        stages = _Stages(self, request.id)
        work = Work(self._bench, self._calls, stages.say)
        return Done(id=request.id, result=await work.do(request), stage_s=work.stage_s)

    async def _open(self, request: Open) -> Any:
        project = Project(
            root=request.root, files=request.files, in_place=request.in_place, home=self._home,
            cache=self._cache,
        )  # fmt: skip
        facts = asyncio.ensure_future(self._bench.learn(request))
        try:
            await self._fetch(request.id, project)
            await facts
        finally:
            facts.cancel()
        return self._bench.adopt(request, project)

    async def _fetch(self, request_id: int, project: Project) -> None:
        """Asks the host for what this host lacks."""
        wanted = set(await project.missing())
        if not wanted:
            return
        if project.in_place and project.differing:
            names = ", ".join(project.differing[:5])
            self._send(
                Stage(
                    id=request_id,
                    stage="open",
                    detail=f"{len(project.differing)} files differ at root and are sent: {names}",
                )
            )
        queue = self._blobs[request_id] = asyncio.Queue()
        try:
            self._send(Need(id=request_id, digests=tuple(sorted(wanted))))
            while wanted:
                message = await queue.get()
                for digest, blob in zip(message.digests, message.blobs, strict=True):
                    project.add(digest, blob)
                    wanted.discard(digest)
        finally:
            del self._blobs[request_id]

    # ---- the link ---------------------------------------------------------------------

    def _send(self, message: Up) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode_frame(message))

    def say_stage(self, message: Stage) -> None:
        self._send(message)

    async def _watch_silence(self) -> None:
        looked_at = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            if (
                now - looked_at > 5.0
            ):  # we ourselves were stopped or suspended: not the host's silence
                self._heard_at = now
            looked_at = now
            if now - self._heard_at > SILENCE_LIMIT_S:
                self.end()

    def _reap_strays(self) -> None:
        """Orphans adopted as subreaper: collected when dead. Zygotes are collected by `stop`,
        which tolerates that they were collected here."""
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


class _Input(asyncio.Protocol):
    def __init__(self, worker: _Worker) -> None:
        self._worker = worker
        self._frames = FrameReader()

    def data_received(self, data: bytes) -> None:
        self._worker.heard()
        try:
            messages = self._frames.feed(data)
        except ProtocolError as error:
            sys.stderr.write(f"whet: {error}\n")
            self._worker.end()
            return
        for message in messages:
            self._worker.receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._worker.end()


class _Stages:
    """Sends `Stage` messages of one request: at once when the stage changes, else throttled."""

    def __init__(self, worker: _Worker, request_id: int) -> None:
        self._worker = worker
        self._id = request_id
        self._last = ("", 0.0)

    def say(self, stage: str, detail: str, done: int, total: int) -> None:
        name, at = self._last
        now = time.monotonic()
        if name == stage and now - at < _PROGRESS_S:
            return
        self._last = (stage, now if detail else 0.0)  # the first detail is never dropped
        self._worker.say_stage(
            Stage(id=self._id, stage=stage, detail=detail, done=done, total=total)
        )


def _take_descriptors() -> tuple[int, int]:
    """The protocol's own copies of 0 and 1; what prints by accident lands on stderr."""
    incoming, outgoing = (fcntl.fcntl(n, fcntl.F_DUPFD_CLOEXEC, 10) for n in (0, 1))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.close(null)
    return incoming, outgoing


def _os_failure(request_id: int, error: OSError) -> Failure:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        folder = tempfile.gettempdir()
        free = shutil.disk_usage(folder).free >> 20
        return Failure(
            id=request_id,
            failure="no space",
            message=f"the disk below {folder} is full ({free} MiB free); free some, or point TMPDIR elsewhere in the target's setup",
        )
    return Failure(id=request_id, failure="internal", message=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
