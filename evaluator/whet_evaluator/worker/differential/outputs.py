"""One run of one case on disk: every output's bytes, and JSON that says what they are.

Written by the process that ran a version, read by the one that judges. The reader
believes nothing: a candidate's process could have written anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_RUN_BYTES = 256 << 20
_MAX_MESSAGE = 300
NOT_REBUILT = "UnreplayableError"
"""Begins what a run "raised" whose inputs could not be made."""
NOT_RUN = "NotRun"
"""What `Run.raised` begins with where the case says nothing of the version."""


class UnreadableError(ValueError):
    """The files of a run are not what a run writes."""


@dataclass(frozen=True)
class Output:
    """`role` says what it is to the caller: `out 0`, `gradient 1`, `input 2 afterwards`."""

    role: str
    type: str
    dtype: str
    shape: tuple[int, ...]
    shares: int | None
    """The number of the input whose memory it lies in, if any."""
    data: Any = None
    """A CPU tensor of that dtype and shape."""
    strides: tuple[int, ...] = ()
    """As they were in the version's own memory; `data` is contiguous."""
    requires_grad: bool = False


@dataclass(frozen=True)
class Run:
    """What one execution did. `raised` is `TypeName: message`, None when it returned."""

    raised: str | None = None
    structure: str = ""
    plain: tuple[Any, ...] = ()
    """Numbers and texts among what was returned."""
    outputs: tuple[Output, ...] = ()
    changed: tuple[int, ...] = ()
    """Numbers of the inputs whose bytes differ from before the call."""
    zones_intact: bool = True
    launches: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    origins: Mapping[str, Any] | None = None
    """By role, as `proof` saw them; None where it did not watch."""
    race: str = ""
    """The first race between programs of a launch, as `races` says it; empty where none was
    seen, or nobody looked."""
    strayed: str = ""
    """The first access outside every tensor of its launch, as `bounds` says it."""
    misled: str = ""
    """The first hint to the compiler that did not hold, as `hints` says it."""
    settings: tuple[str, ...] = ()
    """Settings of the process that the call left changed."""
    overwrites: bool = False
    """Whether what an earlier call returned was no longer the same afterwards."""
    together: tuple[tuple[int, int], ...] = ()
    """Pairs of what was returned that share some element's memory."""
    is_work_left: bool = False
    """Whether a launch lay on a stream that the launcher did not wait for."""
    held: Mapping[str, str] = field(default_factory=dict)
    """By place in what the caller passed, what the call left there (`holdings`)."""
    reordered: bool = False
    """Whether anything was combined in another order than in other runs (`combining`)."""
    tuned: bool = False
    """Whether tuning ran a kernel before the launch that counts."""


def write(folder: str, name: str, run: Run) -> int:
    """Writes `name.bin` and then `name.json`, since a run without JSON did not end. Returns
    the bytes of all outputs."""
    described, position = [], 0
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".bin"), "wb") as file:
        for output in run.outputs:
            data = raw_bytes(output.data)
            file.write(data)
            described.append([output.role, output.type, output.dtype, list(output.shape),
                              output.shares, position, len(data), list(output.strides),
                              output.requires_grad])  # fmt: skip
            position += len(data)
    head = {
        "raised": run.raised, "structure": run.structure, "plain": list(run.plain),
        "outputs": described, "changed": list(run.changed), "zones_intact": run.zones_intact,
        "launches": dict(run.launches), "seconds": run.seconds, "origins": run.origins,
        "race": run.race, "strayed": run.strayed, "misled": run.misled, "settings": list(run.settings),
        "overwrites": run.overwrites, "tuned": run.tuned, "together": list(run.together),
        "reordered": run.reordered, "is_work_left": run.is_work_left,
        "held": dict(run.held),
    }  # fmt: skip
    partial = os.path.join(folder, name + ".part")
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(head, file)
    os.replace(partial, os.path.join(folder, name + ".json"))
    return position


def exists(folder: str, name: str) -> bool:
    return os.path.isfile(os.path.join(folder, name + ".json"))


def read(folder: str, name: str, torch: Any) -> Run | None:
    """None when there was no such run. Raises `UnreadableError`."""
    if not exists(folder, name):
        return None
    try:
        head = json.loads(_contents(os.path.join(folder, name + ".json"), 16 << 20))
        data = bytearray(_contents(os.path.join(folder, name + ".bin"), MAX_RUN_BYTES))
        outputs = tuple(_output(torch, row, data) for row in head["outputs"])
        return Run(
            raised=head["raised"], structure=head["structure"], plain=tuple(head["plain"]),
            outputs=outputs, changed=tuple(head["changed"]),
            zones_intact=bool(head["zones_intact"]),
            launches={str(k): int(v) for k, v in head["launches"].items()},
            seconds=float(head["seconds"]), origins=_origins(head["origins"]),
            race=str(head["race"])[:_MAX_MESSAGE], strayed=str(head["strayed"])[:_MAX_MESSAGE],
            misled=str(head["misled"])[:_MAX_MESSAGE],
            settings=tuple(str(name) for name in head["settings"]),
            overwrites=bool(head["overwrites"]), tuned=bool(head["tuned"]),
            together=tuple((int(i), int(j)) for i, j in head["together"]),
            reordered=bool(head["reordered"]), is_work_left=bool(head["is_work_left"]),
            held={str(k): str(v)[:_MAX_MESSAGE] for k, v in head["held"].items()},
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _origins(head: Any) -> Mapping[str, Any] | None:
    if head is None:
        return None
    return {
        str(role): {
            "kernel": bool(o["kernel"]),
            "through": [str(name) for name in o["through"]],
            "sums": [str(name) for name in o["sums"]],
        }
        for role, o in head.items()
    }


def raw_bytes(tensor: Any) -> bytes:
    """The elements in order, whatever the dtype: NumPy knows neither bfloat16 nor float8."""
    if tensor.numel() == 0:
        return b""
    tensor = tensor.contiguous()
    return ctypes.string_at(tensor.data_ptr(), tensor.numel() * tensor.element_size())


def _output(torch: Any, row: list[Any], data: bytearray) -> Output:
    role, kind, dtype_name, shape, shares, position, size, strides, requires_grad = row
    dtype = getattr(torch, dtype_name)
    if not isinstance(dtype, torch.dtype):
        raise UnreadableError(f"{dtype_name!r} is no dtype")
    piece = data[position : position + size]
    if len(piece) != size:
        raise UnreadableError("fewer bytes than announced")
    flat = torch.frombuffer(piece, dtype=torch.uint8) if size else torch.empty(0, dtype=torch.uint8)
    tensor = flat.view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
    return Output(
        str(role), str(kind), dtype_name, tuple(shape), shares, tensor,
        strides=tuple(int(stride) for stride in strides), requires_grad=bool(requires_grad),
    )  # fmt: skip


def _contents(path: str, limit: int) -> bytes:
    """A regular file's bytes; no link is followed and no pipe waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with contextlib.closing(os.fdopen(descriptor, "rb")) as file:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise UnreadableError(f"{size} bytes, more than {limit}")
        return file.read(limit)
