"""Shares independent pieces of work among forks of this process, answers by JSON.

For work that holds the interpreter lock for long, such as compiling: a stage's child may
use the cores that no other stage needs. A fork that dies takes its parent with it in the
same way, so that a crash of the compiler stays what it is: the end of the stage. What may hang or crash
without meaning anything is asked by `told`.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from . import isolation

MAX_FORKS = 4


def mapped(
    work: Callable[[Any], Any], items: Sequence[Any], on_done: Callable[[int], None]
) -> list[Any]:
    """`[work(item) for item in items]`, in that order, each answer as JSON would have it.
    `on_done` hears how many are ready. `work` must not raise."""
    if items:
        on_done(0)
    n_forks = min(MAX_FORKS, len(items), len(os.sched_getaffinity(0)))
    if n_forks < 2 or len(os.listdir("/proc/self/task")) > 1:  # a fork with threads may hang
        answers = []
        for item in items:
            answers.append(work(item))
            on_done(len(answers))
        return answers
    return _gathered([_Fork(work, items, first, n_forks) for first in range(n_forks)], on_done)


class _Fork:
    """Does every `step`th item from `first` on, and writes each answer as a line."""

    def __init__(
        self, work: Callable[[Any], Any], items: Sequence[Any], first: int, step: int
    ) -> None:
        self.read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                for number in range(first, len(items), step):
                    _write(write_end, json.dumps([number, work(items[number])]).encode() + b"\n")
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        self.pending = b""

    def lines(self) -> list[Any] | None:
        """What has arrived, or None once the fork has closed its end."""
        data = os.read(self.read_end, 1 << 16)
        if not data:
            return None
        *lines, self.pending = (self.pending + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """Collects the fork; dies as it died."""
        os.close(self.read_end)
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status < 0:
            os.kill(os.getpid(), -status)
        if status != 0:
            os._exit(70)


def _gathered(forks: list[_Fork], on_done: Callable[[int], None]) -> list[Any]:
    answers: dict[int, Any] = {}
    running = {fork.read_end: fork for fork in forks}
    while running:
        for descriptor in select.select(list(running), [], [])[0]:
            lines = running[descriptor].lines()
            if lines is None:
                running.pop(descriptor).end()
                continue
            answers.update((number, answer) for number, answer in lines)
            on_done(len(answers))
    return [answers[number] for number in range(len(answers))]


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def told(tell: Callable[[], Any], patience_s: float) -> Any:
    """What `tell` returns in a fork, as JSON would have it; None where the fork hangs for so many
    seconds in all, crashes or raises, which is nothing to this process."""
    read_end, write_end = os.pipe()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            isolation.die_with_parent(me)
            os.close(read_end)
            _write(write_end, json.dumps(tell()).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    try:
        return json.loads(_all_of(read_end, time.monotonic() + patience_s))
    except ValueError:
        return None
    finally:
        os.close(read_end)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _all_of(descriptor: int, ends_at: float) -> bytes:
    """What comes until the other side closes; nothing where that takes too long."""
    data = b""
    while select.select([descriptor], [], [], max(0.0, ends_at - time.monotonic()))[0]:
        part = os.read(descriptor, 1 << 16)
        if not part:
            return data
        data += part
    return b""
