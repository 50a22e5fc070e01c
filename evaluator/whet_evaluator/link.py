"""One running worker: its process, its stream of frames, and what was asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from whet_evaluator import diagnosis, targets
from whet_evaluator.errors import EvaluatorError
from whet_evaluator.evaluation import OnProgress, Progress, Target
from whet_evaluator.files import Manifest
from whet_evaluator.worker import environment, protocol
from whet_evaluator.worker.protocol import HEARTBEAT_S, SENTINEL, FrameReader

_NOISE_LIMIT = 64 << 10
_CLOSE_S = 8.0
_STDERR_KEPT = 8 << 10
_BLOB_BATCH = 4 << 20
_READ = 256 << 10


@dataclass
class _Pending:
    answer: asyncio.Future[protocol.Done]
    on_progress: OnProgress
    manifest: Manifest | None


@dataclass
class Link:
    """One running worker and what is asked of it."""

    target: Target
    process: asyncio.subprocess.Process
    lost: bool = False
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _pending: dict[int, _Pending] = field(default_factory=dict)
    _stderr: bytearray = field(default_factory=bytearray)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _shipping: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    async def start(cls, target: Target, start_s: float) -> Link:
        """Starts the worker and waits for its hello. Raises `EvaluatorError`."""
        command = targets.command_line(target)
        keep = environment.allowed if targets.is_local(target) else environment.without_secrets
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=keep(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise diagnosis.explain_spawn(target, error) from error
        link = cls(target, process)
        try:
            link._tasks.append(asyncio.create_task(link._keep_stderr()))
            frames, first = await asyncio.wait_for(link._greet(), start_s)
        except TimeoutError as error:
            await link.close()
            raise EvaluatorError(
                "target",
                f"{target.name} did not answer within {start_s:.0f} s; check that "
                f"`{' '.join(target.via) or target.python}` works by hand",
                retryable=True,
            ) from error
        except BaseException:
            await link.close()
            raise
        link._tasks.append(asyncio.create_task(link._receive(frames, first)))
        link._tasks.append(asyncio.create_task(link._beat()))
        return link

    async def request(
        self,
        make: Callable[[int], protocol.Down],
        on_progress: OnProgress,
        manifest: Manifest | None,
    ) -> protocol.Done:
        """Sends one request and waits for its answer. Cancelling it cancels the work."""
        id_ = next(self._ids)
        if self.lost:
            raise self._lost_error()
        future: asyncio.Future[protocol.Done] = asyncio.get_running_loop().create_future()
        self._pending[id_] = _Pending(future, on_progress, manifest)
        self._send(make(id_))
        try:
            return await future
        except asyncio.CancelledError:
            self._send(protocol.Cancel(id=next(self._ids), target=id_))
            raise
        finally:
            self._pending.pop(id_, None)

    async def close(self) -> None:
        """Asks the worker to end, waits, then ends its process group. Never raises."""
        with contextlib.suppress(Exception):
            self._send(protocol.Close(id=next(self._ids)))
        with contextlib.suppress(Exception):
            assert self.process.stdin is not None
            self.process.stdin.close()  # the end of input is the surest word
        with contextlib.suppress(Exception):
            await self._wait_or_kill()
        for task in (*self._tasks, *self._shipping):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._shipping, return_exceptions=True)
        self._fail_all()

    async def _wait_or_kill(self) -> None:
        for number, patience_s in ((None, _CLOSE_S), (signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            if number is not None:
                _signal_group(self.process, number)
            try:
                await asyncio.wait_for(self.process.wait(), patience_s)
            except TimeoutError:
                continue
            return

    # ---- the stream -------------------------------------------------------------------

    async def _greet(self) -> tuple[FrameReader, list[Any]]:
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):  # its exit says more than our broken pipe
            # Not waited for: what talks before it listens would wait for us to read.
            self.process.stdin.write(targets.greeting())
        seen = bytearray()
        while SENTINEL not in seen:
            data = await self._read()
            if not data:
                status = await self.process.wait()
                await self._tasks[0]
                raise diagnosis.explain_exit(self.target, status, self._last_words())
            seen += data
            if len(seen) > _NOISE_LIMIT + len(SENTINEL):
                raise EvaluatorError(
                    "target",
                    f"{self.target.name} printed over 64 KiB before the worker's hello; silence "
                    "its login scripts for sessions without a terminal",
                )
        frames = FrameReader()
        messages = frames.feed(bytes(seen).partition(SENTINEL)[2])
        while not messages:
            data = await self._read()
            if not data:
                await self._tasks[0]
                raise self._lost_error()
            messages = frames.feed(data)
        hello = messages[0]
        if not isinstance(hello, protocol.Hello) or hello.version != protocol.VERSION:
            raise EvaluatorError("worker", f"{self.target.name} answered with {hello!r}")
        return frames, list(messages[1:])

    async def _receive(self, frames: FrameReader, messages: list[Any]) -> None:
        try:
            while True:
                for message in messages:
                    self._take(message)
                data = await self._read()
                if not data:
                    return
                messages = list(frames.feed(data))
        except (protocol.ProtocolError, ConnectionError):
            return
        finally:
            self.lost = True
            with contextlib.suppress(Exception):
                await asyncio.wait_for(asyncio.shield(self._tasks[0]), 1.0)
            self._fail_all()

    def _take(self, message: protocol.Up) -> None:
        pending = self._pending.get(getattr(message, "id", 0))
        if pending is None:
            return
        if isinstance(message, protocol.Stage):
            pending.on_progress(
                Progress(message.stage, message.detail, message.done, message.total)
            )
        elif isinstance(message, protocol.Need) and pending.manifest is not None:
            task = asyncio.create_task(self._ship(message, pending))
            self._shipping.add(task)
            task.add_done_callback(self._shipping.discard)
        elif pending.answer.done():
            return
        elif isinstance(message, protocol.Done):
            pending.answer.set_result(message)
        elif isinstance(message, protocol.Failure):
            pending.answer.set_exception(diagnosis.explain_failure(message))

    async def _ship(self, need: protocol.Need, pending: _Pending) -> None:
        """Sends what was asked for, in batches, so that heartbeats pass between them."""
        manifest = pending.manifest
        assert manifest is not None
        digests: list[str] = []
        blobs: list[bytes] = []
        try:
            for digest in need.digests:
                digests.append(digest)
                blobs.append(await asyncio.to_thread(_compressed, manifest, digest))
                if sum(map(len, blobs)) > _BLOB_BATCH:
                    await self._send_blobs(need.id, digests, blobs)
                    digests, blobs = [], []
            if digests:
                await self._send_blobs(need.id, digests, blobs)
        except EvaluatorError as error:
            self._send(protocol.Cancel(id=next(self._ids), target=need.id))
            if not pending.answer.done():
                pending.answer.set_exception(error)

    async def _send_blobs(self, id_: int, digests: list[str], blobs: list[bytes]) -> None:
        self._send(protocol.Blobs(id=id_, digests=tuple(digests), blobs=tuple(blobs)))
        assert self.process.stdin is not None
        with contextlib.suppress(ConnectionError):
            await self.process.stdin.drain()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._send(protocol.Ping(id=next(self._ids)))

    async def _keep_stderr(self) -> None:
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(_READ):
            self._stderr += data
            del self._stderr[:-_STDERR_KEPT]

    async def _read(self) -> bytes:
        assert self.process.stdout is not None
        return await self.process.stdout.read(_READ)

    def _send(self, message: protocol.Down) -> None:
        assert self.process.stdin is not None
        if not self.process.stdin.is_closing():
            self.process.stdin.write(protocol.encode_frame(message))

    def _fail_all(self) -> None:
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(self._lost_error())

    def _lost_error(self) -> EvaluatorError:
        return diagnosis.connection_lost(self.target, self._last_words())

    def _last_words(self) -> str:
        return self._stderr.decode(errors="replace")


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    """Signals the prefix and what it started; on Windows, where there are no groups, ends it."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)


def _compressed(manifest: Manifest, digest: str) -> bytes:
    return zlib.compress(manifest.content(digest), 6)
