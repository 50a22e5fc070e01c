"""Stand-ins for a device's streams and events: nothing is asynchronous here, but who waits for
whom is kept, so that work on a stream that nobody waits for is seen without a device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import limits


class Stream:
    """A stream on which everything has already happened."""

    cuda_stream = 0
    stream_id = 0
    priority = 0

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = device

    def synchronize(self) -> None:
        _unwaited.discard(self)

    def wait_stream(self, stream: Any) -> None:
        _unwaited.discard(stream)

    def wait_event(self, event: Any) -> None:
        event.synchronize()

    def query(self) -> bool:
        return True

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def __enter__(self) -> Stream:  # noqa: PYI034 - typing.Self is 3.11's
        _entered.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _entered.pop()


class Event:
    """Recorded and over at once. Times read from it say nothing about a device."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self._at = time.perf_counter()
        self._stream: Any = None

    def record(self, stream: Any = None) -> None:
        self._at = time.perf_counter()
        self._stream = stream or (_entered[-1] if _entered else None)

    def synchronize(self) -> None:
        _unwaited.discard(self._stream)

    def wait(self, stream: Any = None) -> None:
        del stream
        self.synchronize()

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: Event) -> float:
        limits.touch("a device clock")
        return (other._at - self._at) * 1e3


_entered: list[Stream] = []
_unwaited: set[Any] = set()
_callers: list[int] = [0]
"""How many streams the caller of the call that is watched had entered."""


@contextmanager
def on(stream: Any = None) -> Iterator[None]:
    """`torch.cuda.stream(...)`; None changes nothing, as torch has it."""
    if stream is None:
        yield
        return
    _entered.append(stream)
    try:
        yield
    finally:
        _entered.pop()


def current(device: Any) -> Stream:
    return _entered[-1] if _entered else Stream(device)


def begin() -> None:
    """Before a call that is watched. On the stream its caller had chosen nobody need wait."""
    _unwaited.clear()
    _callers[0] = len(_entered)


def note_launch() -> None:
    """A kernel is launched on the current stream."""
    if len(_entered) > _callers[0]:
        _unwaited.add(_entered[-1])


def synchronize(*_: Any) -> None:
    _unwaited.clear()


def is_work_left() -> bool:
    """Whether some launch since `begin` lies on a stream that nobody has waited for."""
    return bool(_unwaited)
