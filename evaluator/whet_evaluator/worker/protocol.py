"""Messages between host and worker, and their framing. No I/O happens here.

A frame is two big-endian 32-bit lengths, a JSON head of the first length, then one
binary body of the second. The head holds the message's `kind`, its fields, and under
`blobs` how the body divides. Both lengths are bounded, so a broken or hostile peer
costs at most `MAX_BODY` bytes.

The host speaks first (a zip of the worker, by `BOOT`); the worker answers with
`SENTINEL` and frames from there on. Whatever a login shell prints before the
sentinel is noise and is skipped. Each request carries an `id`; `Stage`, `Done` and
`Failure` refer to it; the host may send ahead.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import struct
import typing
from dataclasses import dataclass, field
from typing import Literal, Union

from . import records
from .codec import from_json, to_json
from .launch_records import Launch
from .records import Result
from .unit_ref import UnitRef

VERSION = 1
SENTINEL = b"\x00whet-worker-1\x00\n"
MAX_HEAD = 32 << 20
MAX_BODY = 512 << 20
HEARTBEAT_S = 5.0
SILENCE_LIMIT_S = 20.0
DIFFERENTIAL_S = {"device": 20.0, "interpret": 15.0}
_LENGTHS = struct.Struct(">II")


# ---- down: host to worker -------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """`path` is relative with `/`; `sha256` hex; `mode` the permission bits."""

    path: str
    sha256: str
    mode: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on one stage's process group. Seconds and bytes."""

    stage_s: float = 300.0
    tests_budget_s: float = 120.0
    """On the interpreter: nodes not started within it are named as too slow."""
    differential_s: float | None = None
    """For the generated cases of a confirmation; None means `DIFFERENTIAL_S` of the mode. In a
    search each candidate gets a tenth or less; the first few run whatever the clock says."""
    differential_cases: int = 400
    """At most that many generated cases, the most telling first; 0 turns them off."""
    memory_bytes: int = 8 << 30
    disk_bytes: int = 2 << 30
    output_bytes: int = 4 << 20
    processes: int = 1024
    isolation: Literal["strong", "partial", "none"] = "none"
    """The weakest that will do. The best there is is taken in any case."""
    visible: str = ""
    """Paths, joined by `:`, that tests may read though they lie in a home or in `/tmp`."""


@dataclass(frozen=True, kw_only=True)
class Open:
    """Names the project. `in_place`: the files lie at `root` on the worker's host
    already, only entries whose hash differs there are asked for by `Need`."""

    id: int
    root: str
    files: tuple[FileEntry, ...]
    in_place: bool
    device: str
    """`auto`, `none`, or a device UUID."""
    arch: str | None
    """Architecture to compile for when it is not the device's own."""
    env: dict[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """Contents for digests the worker asked for, zlib-compressed, in the same order."""

    id: int
    digests: tuple[str, ...]
    blobs: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Collect:
    id: int
    tests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Record:
    id: int
    unit: UnitRef
    tests: tuple[str, ...]
    benchmark: str | None = None
    """A function without arguments, `file.py::function`, whose calls are those to be timed."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Judge `text` as the whole new content of `unit.path`. `nodes` are those the
    baseline passed, none to ask the generated cases alone; `launches` its recorded
    specialisations, compiled in stage load."""

    id: int
    unit: UnitRef
    text: str
    nodes: tuple[str, ...]
    launches: tuple[Launch, ...]
    seed: int
    fresh: bool = False
    """Confirmation: children that no candidate can have prepared, empty caches, a new seed."""
    timed: bool = True
    rounds: int = 20
    pairs: int = 10
    differences: records.Differences = "contract"
    references: dict[str, str] = field(default_factory=dict)
    """What the user trusts instead of the original: launcher to `file.py::function`."""
    benchmark: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunTests:
    """Run nodes as they are; with `unit`, its text (an unsaved buffer) replaces the file."""

    id: int
    tests: tuple[str, ...]
    unit: UnitRef | None = None


@dataclass(frozen=True, kw_only=True)
class Compile:
    id: int
    unit: UnitRef
    text: str
    launches: tuple[Launch, ...]
    arch: str


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Ends the request `target`; it answers `Failure(kind="cancelled")`."""

    id: int
    target: int


@dataclass(frozen=True, kw_only=True)
class Ping:
    id: int


@dataclass(frozen=True, kw_only=True)
class Close:
    id: int


# ---- up: worker to host ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Hello:
    version: int
    python: str
    pid: int
    host: str


@dataclass(frozen=True, kw_only=True)
class Need:
    id: int
    digests: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Progress of request `id`. `done` of `total` where both are known, else zeros."""

    id: int
    stage: str
    detail: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class Done:
    id: int
    result: Result
    stage_s: dict[str, float] = field(default_factory=dict)


FailureKind = Literal[
    "cancelled", "no torch", "no triton", "no pytest", "bad request", "no space",
    "device wedged", "device busy", "not a directory", "changed underneath", "tests", "internal",
    "isolation",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The world's fault, not the candidate's. `message` is one sentence with the cure."""

    id: int
    failure: FailureKind
    message: str


@dataclass(frozen=True, kw_only=True)
class Pong:
    id: int


Down = Union[Open, Blobs, Collect, Record, Evaluate, RunTests, Compile, Cancel, Ping, Close]
Up = Union[Hello, Need, Stage, Done, Failure, Pong]


class ProtocolError(ValueError):
    """The peer sent something that is not a frame of this protocol."""


def encode_frame(message: Down | Up) -> bytes:
    """Returns the whole frame. Blobs, where a message has them, form the body."""
    blobs = getattr(message, "blobs", ())
    head = to_json(message)
    if blobs:
        head["blobs"] = [len(blob) for blob in blobs]
    encoded = json.dumps(head, separators=(",", ":")).encode()
    body = b"".join(blobs)
    if len(encoded) > MAX_HEAD or len(body) > MAX_BODY:
        raise ProtocolError(f"a {head['kind']} message exceeds the frame's bounds")
    return _LENGTHS.pack(len(encoded), len(body)) + encoded + body


class FrameReader:
    """Bytes in, messages out. Feed it whatever arrives; it keeps the remainder."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Down | Up]:
        """Returns the messages completed by `data`. Raises `ProtocolError`."""
        self._buffer += data
        messages: list[Down | Up] = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Down | Up | None:
        if len(self._buffer) < _LENGTHS.size:
            return None
        n_head, n_body = _LENGTHS.unpack_from(self._buffer)
        if n_head > MAX_HEAD or n_body > MAX_BODY:
            raise ProtocolError(f"frame of {n_head} + {n_body} bytes exceeds the bounds")
        end = _LENGTHS.size + n_head + n_body
        if len(self._buffer) < end:
            return None
        head = bytes(self._buffer[_LENGTHS.size : _LENGTHS.size + n_head])
        body = bytes(self._buffer[_LENGTHS.size + n_head : end])
        del self._buffer[:end]
        return _decode_frame(head, body)


def _decode_frame(head: bytes, body: bytes) -> Down | Up:
    try:
        fields = json.loads(head)
        sizes = fields.pop("blobs", ())
        message = from_json(Union[Down, Up], {**fields, "kind": fields["kind"]})
        if body or sizes:
            message = dataclasses.replace(message, blobs=_divided(body, sizes))
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise ProtocolError(f"not a message of this protocol: {error}") from error
    return typing.cast("Down | Up", message)


def _divided(body: bytes, sizes: list[int]) -> tuple[bytes, ...]:
    offsets = [0, *itertools.accumulate(sizes)]
    if offsets[-1] != len(body) or min(sizes, default=0) < 0:
        raise ValueError("blob sizes do not add up to the frame's body")
    return tuple(body[a:b] for a, b in itertools.pairwise(offsets))
