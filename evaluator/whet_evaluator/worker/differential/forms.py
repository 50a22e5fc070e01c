"""The same call in forms that no test gave it: another number of dimensions, sides that were
always equal, an operand that was always absent, a factor of zero over special values, inputs
that do not stay as they were until the backward, a backward that runs twice.

All lie outside the recorded contract, and the original may refuse them; then nothing is learnt.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

from . import encoded
from .dimensions import Family
from .encoded import Call, Described, Path
from .scalars import ARGUMENT, OTHER_FLOAT, RARER_FLOAT

_LEAST = 4
BETWEEN = "between"
"""Every network of two such layers does it, so it is within any contract."""
FLOWS = {
    "expanded": "the gradient of a sum",
    "twice": "backward a second time",
    "first alone": "the gradient of output 0 alone",
    BETWEEN: "another call before the backward",
}
"""How gradients flow back other than dense, once, into every output and at once."""


def variants(base: Family) -> Iterator[tuple[str, Call]]:
    """`(change, call)` for the one call of `base`."""
    call = base.calls[0]
    if "grid" in call:  # a kernel's own arguments: a pointer has no form
        return
    yield from _backward(call)
    yield from _other_rank(call)
    yield from _no_longer_square(base)
    yield from _given(call)
    yield from _shorter(call)


def other_type(call: Call) -> Iterator[tuple[str, Call]]:
    """Once more in each of two other types of floats, which the tests never passed."""
    for others in (OTHER_FLOAT, RARER_FLOAT):
        made = copy.deepcopy(call)
        floats = [t for t in encoded.tensors(made).values() if t["dtype"] in others]
        for described in floats:
            described["dtype"] = others[described["dtype"]]
        if floats:
            encoded.settle_storages(made)
            yield f"floats as {floats[0]['dtype']}", made


def trained(call: Call) -> Iterator[tuple[str, Call]]:
    """Float inputs that require a gradient, where the tests never asked for one."""
    made = copy.deepcopy(call)
    floats = [t for t in encoded.tensors(made).values() if encoded.is_floating(t["dtype"])]
    if not call.get("backward") and any(not described["requires_grad"] for described in floats):
        for described in floats:
            described["requires_grad"] = True
        yield "inputs that require a gradient", made


def zeros(call: Call) -> Iterator[tuple[str, Call]]:
    """Each float argument at zero: a short cut for it must keep what zero times NaN is."""
    for path, kind, content in encoded.leaves(call):
        if kind == "float" and len(path) == ARGUMENT and float(content) != 0.0:
            made = copy.deepcopy(call)
            encoded.put(made, path, "0.0")
            yield f"{encoded.parameter(call, path)} {content} -> 0.0", made


def _backward(call: Call) -> Iterator[tuple[str, Call]]:
    """Inputs written to between forward and backward: autograd refuses gradients of what it was
    given to save, unless that was hidden from it. And gradients as no test passed them."""
    if call.get("backward"):
        yield "inputs written to before the backward", {**copy.deepcopy(call), "disturbed": True}
        for flow, change in FLOWS.items():
            yield change, {**copy.deepcopy(call), "flow": flow}


def _other_rank(call: Call) -> Iterator[tuple[str, Call]]:
    """Tensors of one shape, and no number that could stand for a size: two of each."""
    found = list(encoded.tensors(call).values())
    shapes = {tuple(described["shape"]) for described in found}
    if len(shapes) != 1 or encoded.integers(call) or not all(map(encoded.is_contiguous, found)):
        return
    (shape,) = shapes
    made = copy.deepcopy(call)
    new = [2, *shape]
    for described in encoded.tensors(made).values():
        _reshape(described, new)
        if described.get("values"):
            described["values"] = [*described["values"], *described["values"]]
    encoded.settle_storages(made)
    yield f"shape {_shown(shape)} -> {_shown(new)}", made


def _shorter(call: Call) -> Iterator[tuple[str, Call]]:
    """Lists of tensors without their last."""
    places = [("args", n, a) for n, a in enumerate(call["args"])]
    places += [("kwargs", name, a) for name, a in call["kwargs"].items()]
    for holder, key, argument in places:
        (kind, items), *_ = argument.items()
        if kind not in {"list", "tuple"} or len(items) < 2 or not all("tensor" in i for i in items):
            continue
        made = copy.deepcopy(call)
        made[holder][key][kind].pop()
        name = encoded.parameter(call, (holder, key))
        yield f"{name} of {len(items)} -> of {len(items) - 1}", made


def _no_longer_square(base: Family) -> Iterator[tuple[str, Call]]:
    """One of two dimensions of a tensor that were equal in all calls, made smaller alone. Not
    where another tensor has that size too: which of the two it follows nobody knows."""
    call = base.calls[0]
    for group in base.groups:
        paths = [path for path, _, _ in group.places]
        is_square = len(paths) > 1 and len(set(paths)) == 1
        if group.scalars or group.sizes[0] < _LEAST or not is_square:
            continue
        for path, dim, _ in group.places:
            made = _narrowed(call, path, dim, group.sizes[0] - group.sizes[0] // 4)
            name = encoded.parameter(call, path)
            size = encoded.tensors(made)[path]["shape"][dim]
            yield f"size {dim} of {name} alone {group.sizes[0]} -> {size}", made


def _narrowed(call: Call, path: Path, dim: int, size: int) -> Call:
    made = copy.deepcopy(call)
    described = encoded.tensors(made)[path]
    new = list(described["shape"])
    new[dim] = size
    described["strides"] = encoded.restrided(described["shape"], described["strides"], new)
    described["shape"] = new
    encoded.settle_storages(made)
    return made


def _given(call: Call) -> Iterator[tuple[str, Call]]:
    """A tensor for what was always None: as long as a row of the first tensor, which is what a
    bias, a weight or a scale is, or shaped like it, like a residual."""
    like = next(
        (t for t in encoded.tensors(call).values() if encoded.is_floating(t["dtype"]) and t["shape"]),
        None,
    )  # fmt: skip
    if like is None:
        return
    for name, place in _absent(call):
        for shape in dict.fromkeys([(like["shape"][-1],), tuple(like["shape"])]):
            made = copy.deepcopy(call)
            holder, key = (
                (made["args"], place) if isinstance(place, int) else (made["kwargs"], place)
            )
            holder[key] = {"tensor": _tensor(call, like, list(shape))}
            encoded.settle_storages(made)
            yield f"{name} None -> {like['dtype']}[{_shown(shape)}]", made


def _absent(call: Call) -> Iterator[tuple[str, int | str]]:
    """Arguments that were None, passed or by default."""
    for path, kind, content in encoded.leaves(call):
        if kind == "value" and content is None and len(path) == ARGUMENT:
            yield encoded.parameter(call, path), path[1]
    for name, default in call.get("defaults", {}).items():
        if default.get("value", 0) is None:
            yield name, name


def _tensor(call: Call, like: Described, shape: list[int]) -> Described:
    storage = 1 + max(t["storage"] for t in encoded.tensors(call).values())
    plain = {k: v for k, v in like.items() if k not in {"values", "range"}}
    made = {**plain, "storage": storage, "offset": 0, "requires_grad": False}
    _reshape(made, shape)
    return made


def _reshape(described: Described, shape: list[int]) -> None:
    described["shape"] = list(shape)
    described["strides"] = encoded.contiguous(shape)


def _shown(shape: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, shape))
