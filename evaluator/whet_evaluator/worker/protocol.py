"""Messages between host and worker, and their framing. No I/O happens here.

A frame is two big-endian 32-bit lengths, a JSON head of the first length, then one
binary body of the second. The head holds the message's `kind`, its fields, and under
`blobs` how the body divides. Both lengths are bounded, so a broken or hostile peer
costs at most `MAX_BODY` bytes.

The host speaks first (a zip of the worker, by `BOOT`); the worker answers with
`SENTINEL` and frames from there on. Whatever a login shell prints before the
sentinel is noise and is skipped. Each request carries an `id`; `Stage`, `Done` and
`Failed` refer to it; the host may send ahead.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import struct
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Union

from . import records
from .records import Result, UnitRef

VERSION = 1
SENTINEL = b"\x00whet-worker-1\x00\n"
MAX_HEAD = 32 << 20
MAX_BODY = 512 << 20
HEARTBEAT_S = 5.0
SILENCE_LIMIT_S = 20.0
DIFFERENTIAL_S = {"device": 20.0, "interpret": 30.0}
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
    search each candidate gets a quarter; a dozen cases run whatever the clock says."""
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
    launches: tuple[records.Launch, ...]
    seed: int
    fresh: bool = False
    """Confirmation: no zygote, empty caches, the seed not used before."""
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
    launches: tuple[records.Launch, ...]
    arch: str


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Ends the request `target`; it answers `Failed(kind="cancelled")`."""

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


# ---- codec: frozen dataclasses to JSON and back ---------------------------------------
# Written here because the worker may import nothing; the journal uses cattrs.


def to_json(value: Any) -> Any:
    """Dataclasses become objects with their class name under `kind`; tuples, lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: to_json(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if f.name != "blobs"
        }
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    return value


def from_json(expected: Any, value: Any) -> Any:
    """The inverse of `to_json` for a dataclass, union, tuple, dict or scalar type.

    Raises `KeyError` or `TypeError` when `value` does not have that form.
    """
    origin = typing.get_origin(expected)
    if origin in (Union, types.UnionType):
        return _from_union(typing.get_args(expected), value)
    if origin is tuple:
        return _from_tuple(typing.get_args(expected), value)
    if origin is dict:
        _, item_type = typing.get_args(expected)
        return {key: from_json(item_type, item) for key, item in value.items()}
    if dataclasses.is_dataclass(expected):
        return _from_object(expected, value)
    return value


def _from_union(members: tuple[Any, ...], value: Any) -> Any:
    if isinstance(value, list):
        return from_json(next(m for m in members if typing.get_origin(m) is tuple), value)
    if not isinstance(value, dict) or "kind" not in value:
        return value
    for member in members:
        if getattr(member, "__name__", None) == value["kind"]:
            return _from_object(member, value)
    raise TypeError(f"{value['kind']!r} is none of {[m.__name__ for m in members]}")


def _from_tuple(members: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if len(members) == 2 and members[1] is Ellipsis:
        return tuple(from_json(members[0], item) for item in value)
    return tuple(from_json(m, item) for m, item in zip(members, value, strict=True))


def _from_object(cls: Any, value: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}
    return cls(**{k: from_json(hints[k], v) for k, v in value.items() if k in known})
