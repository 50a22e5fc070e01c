"""Walks a recorded call: its leaves, where each lies, and how tensors lie in memory.

A call is what `calls.CallRecorder.json` gives: `{launcher, args, kwargs, ...}`, each
argument encoded as `{kind: content}`. A *path* leads from the call to a leaf's content.
Pure: no torch, so that cases can be made where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Union

Call = dict[str, Any]
Path = tuple[Union[str, int], ...]
Described = dict[str, Any]
"""A tensor: shape, strides, offset, storage, storage_bytes, dtype, values or range."""


def leaves(call: Call) -> Iterator[tuple[Path, str, Any]]:
    """`(path, kind, content)` of every leaf below args, kwargs and a direct launch's grid."""
    for number, argument in enumerate(call["args"]):
        yield from _below(("args", number), argument)
    for name, argument in call["kwargs"].items():
        yield from _below(("kwargs", name), argument)
    for number, dimension in enumerate(call.get("grid") or ()):
        if isinstance(dimension, int):
            yield ("grid", number), "value", dimension
        else:
            for factor, (n, _) in enumerate(dimension):
                yield ("grid", number, factor, 0), "value", n


def tensors(call: Call) -> dict[Path, Described]:
    return {path: content for path, kind, content in leaves(call) if kind == "tensor"}


def integers(call: Call) -> dict[Path, int]:
    """Integer scalars, booleans excepted."""
    return {
        path: content
        for path, kind, content in leaves(call)
        if kind == "value" and isinstance(content, int) and not isinstance(content, bool)
    }


def put(call: Call, path: Path, content: Any) -> None:
    """Replaces the content of the leaf at `path`."""
    holder: Any = call
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = content


def parameter(call: Call, path: Path) -> str:
    """What to call the argument at `path`: its parameter's name where that was recorded."""
    names = call.get("names", ())
    if path[0] == "grid":
        return "the grid"
    head, rest = path[1], [str(p) for p in path[2:-1] if p not in _CONTAINERS]
    if path[0] == "args":
        number = int(head)
        head = names[number] if number < len(names) else f"argument {number + 1}"
    return ".".join([str(head), *rest])


def itemsize(dtype: str) -> int:
    """Bytes an element takes, from the type's name: `bfloat16` 2, `float8_e5m2` 1, `bool` 1."""
    bits = re.search(r"\d+", dtype)
    return max(1, int(bits.group()) // 8) if bits else 1


def is_floating(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat", "complex"))


def reach(shape: Sequence[int], strides: Sequence[int]) -> int:
    """Elements from the first to the last that shape and strides touch."""
    if 0 in shape:
        return 0
    return 1 + sum((n - 1) * abs(stride) for n, stride in zip(shape, strides))


def contiguous(shape: Sequence[int]) -> list[int]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return strides[::-1]


def is_contiguous(described: Described) -> bool:
    """As torch sees it: the strides of dimensions of one element do not matter."""
    dense = contiguous(described["shape"])
    rows = zip(described["shape"], described["strides"], dense)
    return all(stride == wanted for n, stride, wanted in rows if n > 1)


def restrided(shape: Sequence[int], strides: Sequence[int], new_shape: Sequence[int]) -> list[int]:
    """Strides for `new_shape` that keep the old layout's kind: dense stays dense, a step
    stays a step, padding keeps its width, an expanded dimension stays expanded."""
    made = list(strides)
    inner: int | None = None
    order = sorted((d for d in range(len(shape)) if strides[d]), key=lambda d: (strides[d], -d))
    for d in order:
        if inner is not None:
            dense = strides[inner] * shape[inner]
            new_dense = made[inner] * new_shape[inner]
            made[d] = _outer_stride(strides[d], dense, new_dense)
        inner = d
    return made


def settle_storages(call: Call) -> None:
    """Makes every tensor's `storage_bytes` what the tensors that share it need."""
    needed: dict[int, int] = {}
    for described in tensors(call).values():
        end = described["offset"] + reach(described["shape"], described["strides"])
        n_bytes = end * itemsize(described["dtype"])
        needed[described["storage"]] = max(n_bytes, needed.get(described["storage"], 0))
    for described in tensors(call).values():
        described["storage_bytes"] = needed[described["storage"]]


def n_elements(call: Call) -> int:
    """Elements of all tensors together: the first guess of what a call costs."""
    total = 0
    for described in tensors(call).values():
        size = 1
        for n in described["shape"]:
            size *= n
        total += size
    return total


def name_of(call: Call) -> str:
    """`softmax(float32[64x781], 0.5)`: what tells one call from another."""
    parts = [_short(a) for a in call["args"]]
    parts += [f"{k}={_short(v)}" for k, v in call["kwargs"].items()]
    grid = f"[{_grid_name(call['grid'])}]" if "grid" in call else ""
    return f"{call['launcher']}{grid}({', '.join(parts)})"


_CONTAINERS = {"list", "tuple", "set", "dict", "object", "state"}


def _below(path: Path, encoded: dict[str, Any]) -> Iterator[tuple[Path, str, Any]]:
    (kind, content), *_ = encoded.items()
    if kind in {"list", "tuple", "set", "partial", "constexpr"}:
        for number, item in enumerate(content):
            yield from _below((*path, kind, number), item)
    elif kind == "dict":
        for key, item in content.items():
            yield from _below((*path, kind, key), item)
    elif kind == "object":
        for key, item in content["state"].items():
            yield from _below((*path, kind, "state", key), item)
    else:
        yield (*path, kind), kind, content


def _outer_stride(old: int, dense: int, new_dense: int) -> int:
    if old == dense:
        return new_dense
    if dense and old % dense == 0:
        return new_dense * (old // dense)
    if old < dense:
        return old  # overlapping windows
    padded = new_dense + old - dense
    return -(-padded // 16) * 16 if old % 16 == 0 else padded


def _grid_name(grid: Any) -> str:
    """`4x8`, or `ceil(300/BLOCK)` where the kernel's configuration decides."""
    if grid is None:
        return "a function"
    parts = [
        str(n)
        if isinstance(n, int)
        else "*".join(f"ceil({m}/{b})" for m, b in n if b != 1 or m > 1)
        for n in grid
    ]
    return "x".join(part or "1" for part in parts)


def _short(encoded: dict[str, Any]) -> str:  # noqa: PLR0911 - a table of kinds
    (kind, content), *_ = encoded.items()
    if kind == "tensor":
        shape = "x".join(str(n) for n in content["shape"]) or "scalar"
        strides = "" if is_contiguous(content) else f" strides {tuple(content['strides'])}"
        return f"{content['dtype']}[{shape}]{strides}"
    if kind in {"list", "tuple", "set"}:
        return "[" + ", ".join(_short(item) for item in content) + "]"
    if kind == "object":
        return str(content["class"])
    if kind == "name":
        return str(content[1] or content[0])
    if kind in {"partial", "constexpr"}:
        return _short(content[0])
    if kind == "dict":
        return "{" + ", ".join(f"{k}: {_short(v)}" for k, v in content.items()) + "}"
    return str(content)
