"""The server's end of the pipe: a private copy of standard output, written by a thread.

A write to a pipe that nobody reads blocks; on the event loop that would freeze cancel,
the parent watch and every run. And a stray `print` anywhere must not corrupt the
protocol, so descriptor 1 becomes standard error.
"""

from __future__ import annotations

import os
import queue
import sys
import threading


class Output:
    """Queues messages and writes them in order. What is queued is lost if the reader is gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._drain, name="output", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> None:
        self._queue.put(data)

    def close(self) -> None:
        """Called by the protocol on `exit`; `flush` is what waits."""

    def flush(self, timeout_s: float) -> None:
        """Waits until everything queued is written, at most so long."""
        self._queue.put(None)
        self._thread.join(timeout_s)

    def _drain(self) -> None:
        while (data := self._queue.get()) is not None:
            view = memoryview(data)
            try:
                while view:
                    view = view[os.write(self._descriptor, view) :]
            except OSError:
                return


def claim_stdout() -> Output:
    """Takes descriptor 1 for the protocol alone."""
    sys.stdout.flush()
    private = os.dup(1)
    os.dup2(2, 1)
    return Output(private)
