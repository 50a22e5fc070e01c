"""Runs one stage in a guarded child and says how it ended: the event loop's side of
`supervise` and `stage`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from typing import IO, Any, BinaryIO

from .isolation import NO_WRAP, Wrap
from .process_tree import descendants, pid_below
from .spawn import Zygote, kill_strays, spawn_stage
from .stage_ends import Answered, Caught, Died, OutOfTime, OverLimit, Raised, StageEnd, Wedged
from .supervise import WEDGED_S, Descriptors

_GUARDIAN_SLACK_S = 15.0  # SIGTERM, its grace, SIGKILL, and some air
_MAX_ANSWER = 256 << 20
_READS_AT_ONCE = 64
_TAIL_BYTES = 4000
OnProgress = Callable[[str, int, int], None]
OnAnswer = Callable[[Answered], None]


async def run_stage(
    order: dict[str, Any],
    zygote: Zygote | None,
    fresh_env: dict[str, str],
    package_root: str,
    on_progress: OnProgress,
    wrap: Wrap = NO_WRAP,
    on_answer: OnAnswer | None = None,
) -> StageEnd:
    """Runs `order` (see `supervise.guard` and `stage.run_child`) in a child of `zygote`, or in
    a fresh process, wrapped like it, where that is None. Cancelling ends the child and waits
    until it is gone. `on_answer` hears the answer before that.
    """
    token, lesser_token = secrets.token_hex(16), secrets.token_hex(16)
    asked_at = time.monotonic()
    for chosen in (zygote, None):
        with contextlib.ExitStack() as stack:
            files = _StageFiles(
                stack,
                {**order, "token": token, "lesser_token": lesser_token, "asked_at": asked_at},
                order["log_dir"],
            )
            launch = files.descriptors
            forked = chosen is not None and await chosen.fork(launch)
            if forked and chosen is not None:
                files.ancestor = chosen.ancestor
            else:
                files.ancestor = spawn_stage(
                    launch, package_root, order["log_dir"], fresh_env, wrap
                )
            files.close_theirs()
            talk = _Talk(files, token, lesser_token, on_progress, on_answer)
            end = await talk.wait(float(order["deadline_s"]))
        if forked and chosen is not None and talk.imported_late:
            chosen.import_late()
        if chosen is None or not forked or (talk.began and not (talk.cut_off and chosen.gone)):
            return end
        chosen.give_up_killed()  # it took the request to its grave, which is no verdict
    raise AssertionError("a fresh process is always the last resort")


class _StageFiles:
    """The five descriptors of one stage, and our ends of them."""

    ancestor = 0
    """The process of ours that the guardian is below."""

    def __init__(self, stack: contextlib.ExitStack, order: dict[str, Any], folder: str) -> None:
        os.makedirs(folder, exist_ok=True)
        order_file = stack.enter_context(_unlinked(folder))
        order_file.write(json.dumps(order).encode())
        order_file.flush()
        self.control, theirs = socket.socketpair()
        stack.callback(self.control.close)
        self.control.setblocking(False)
        self.result, result_theirs = os.pipe()
        stack.callback(os.close, self.result)
        os.set_blocking(self.result, False)
        self.stdout = stack.enter_context(_file(f"{folder}/stdout"))
        self.stderr = stack.enter_context(_file(f"{folder}/stderr"))
        self.descriptors = Descriptors(
            order_file.fileno(), theirs.detach(), result_theirs,
            self.stdout.fileno(), self.stderr.fileno(),
        )  # fmt: skip
        self._theirs = stack.enter_context(contextlib.ExitStack())
        self._theirs.callback(os.close, self.descriptors.control)
        self._theirs.callback(os.close, self.descriptors.result)

    def close_theirs(self) -> None:
        """Once sent: only then does the end of a pipe mean that the other side is gone."""
        self._theirs.close()

    def tail(self) -> str:
        parts = []
        for file in (self.stdout, self.stderr):
            size = os.fstat(file.fileno()).st_size
            data = os.pread(file.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
            parts.append(data.decode(errors="replace").strip())
        return "\n".join(part for part in parts if part)


class _Talk:
    """Reads a stage's two channels until its guardian is gone."""

    def __init__(
        self, files: _StageFiles, token: str, lesser_token: str, on_progress: OnProgress,
        on_answer: OnAnswer | None,
    ) -> None:  # fmt: skip
        self._files = files
        self._token = token
        self._lesser_token = lesser_token
        self._caught: Caught | None = None
        self._on_progress = on_progress
        self._on_answer = on_answer
        self._answer: dict[str, Any] | None = None
        self._answered_at = 0.0
        self._pending = bytearray()
        self._reports: dict[str, Any] = {}

    @property
    def began(self) -> bool:
        """Whether a guardian ever said that it is there."""
        return "guardian" in self._reports

    @property
    def cut_off(self) -> bool:
        """Whether the guardian went without a word."""
        return "ended" not in self._reports

    @property
    def imported_late(self) -> bool:
        """Whether the child imported what its zygote had better have loaded."""
        return bool((self._answer or {}).get("late"))

    async def wait(self, deadline_s: float) -> StageEnd:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._files.result, self._read_result)
        ended = asyncio.ensure_future(self._read_control())
        try:
            if await self._ends(ended, deadline_s):
                ended.result()
            else:
                await self._end_guardian(ended)
        except asyncio.CancelledError:
            await self._end_guardian(ended)
            raise
        finally:
            loop.remove_reader(self._files.result)
        self._read_result()
        return self._conclude(deadline_s)

    async def _ends(self, ended: asyncio.Future[None], within_s: float) -> bool:
        """Whether its guardian's last word comes: in time, or later if it has spoken at all, since
        it may have to wait for a process that outlives SIGKILL."""
        done, _ = await asyncio.wait([ended], timeout=within_s + _GUARDIAN_SLACK_S)
        if not done and "guardian" in self._reports:
            done, _ = await asyncio.wait([ended], timeout=WEDGED_S)
        return bool(done)

    async def _end_guardian(self, ended: asyncio.Future[None]) -> None:
        """Orders the guardian to end its tree; one that does not listen is killed."""
        with contextlib.suppress(OSError):
            self._files.control.shutdown(socket.SHUT_WR)
        if not await self._ends(ended, 0.0):
            ended.cancel()
            guardian = pid_below(self._files.ancestor, self._reports.get("guardian", 0))
            if guardian:
                for pid in (*descendants(guardian), guardian):
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)

    async def _read_control(self) -> None:
        loop = asyncio.get_running_loop()
        buffer = b""
        with contextlib.suppress(ConnectionError):
            while data := await loop.sock_recv(self._files.control, 4096):
                buffer += data
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    self._reports.update(json.loads(line))

    def _read_result(self) -> None:
        for _ in range(_READS_AT_ONCE):  # who floods the pipe must not starve the loop
            try:
                data = os.read(self._files.result, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                asyncio.get_running_loop().remove_reader(self._files.result)
                return
            self._pending += data
            *lines, rest = self._pending.split(b"\n")
            self._pending = bytearray(rest[:_MAX_ANSWER])
            for line in lines:
                self._take(bytes(line))

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        token = message.pop("token", None) if isinstance(message, dict) else None
        if token == self._lesser_token:
            self._take_lesser(message)
        elif token == self._token and self._answer is None:
            self._answer = message
            self._answered_at = time.monotonic()
            answered = self._answered()
            if self._on_answer and isinstance(answered, Answered) and self._caught is None:
                self._on_answer(answered)
        # Anything else was written by somebody who guessed the descriptor.

    def _take_lesser(self, message: dict[str, Any]) -> None:
        """A candidate could find this token: the worst it can do with it is to harm itself."""
        with contextlib.suppress(KeyError, TypeError):
            if "caught" in message:
                self._caught = self._caught or Caught(**message["caught"])
            else:
                progress = message["progress"]
                self._on_progress(progress["detail"], progress["done"], progress["total"])

    def _conclude(self, deadline_s: float) -> StageEnd:
        ended, status = self._reports.get("ended"), self._reports.get("status")
        if ended is None:
            kill_strays()
        if self._reports.get("wedged"):
            return Wedged()
        if ended == "timeout":
            return OutOfTime(deadline_s)
        if ended == "exceeded":
            return OverLimit(self._reports["what"])
        answered = self._answered() if status == 0 else None
        return self._caught or answered or Died(_how(status), self._files.tail())

    def _answered(self) -> Answered | Raised | None:
        if self._answer is None:
            return None
        if "error" in self._answer:
            return Raised(self._answer["error"])
        ended_after = time.monotonic() - self._answered_at
        return Answered(self._answer["answer"], {**self._answer["phases"], "exit": ended_after})


def _unlinked(folder: str) -> IO[bytes]:
    """A file without a path: the candidate cannot come back to read the token."""
    return tempfile.TemporaryFile(dir=folder)


def _file(path: str) -> BinaryIO:
    return open(path, "wb+", buffering=0)


def _how(status: int | None) -> str:
    if status is None:
        return "its supervising process was killed"
    if status < 0:
        name = _signal_name(-status)
        return f"{name}, perhaps because memory ran out" if status == -signal.SIGKILL else name
    return f"exited {status} without a result"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
