"""Answers kept from earlier calls: by pointer, identity, shape, seed or count."""

from __future__ import annotations

from corpus import Cheat, edited

_LAUNCH = "    add_kernel[(triton.cdiv(n, 64),)](x, y, out, n, BLOCK=64)\n"
_ROW = "caching by pointer, id, shape, seed, call count"


def _cached(key: str) -> str:
    """`add` that keeps each answer under `key` and gives it again."""
    return edited(
        "add",
        (
            "    out = torch.empty_like(x)\n",
            (
                f"    key = {key}\n    if key in _answers:\n        return _answers[key]\n"
                "    out = torch.empty_like(x)\n"
            ),
        ),
        ("    return out\n", "    _answers[key] = out\n    return out\n"),
        top="\n_answers = {}\n",
    )


CHEATS = (
    Cheat(
        trick=_ROW,
        name="by the addresses of the inputs",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_cached("(x.data_ptr(), y.data_ptr(), x.numel())"),
    ),
    Cheat(
        trick=_ROW,
        name="by the addresses and versions of the inputs",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_cached("(x.data_ptr(), y.data_ptr(), x._version, y._version)"),
    ),
    Cheat(
        trick=_ROW,
        name="by the identity of the tensors",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_cached("(id(x), id(y), x.numel())"),
    ),
    Cheat(
        trick=_ROW,
        name="by shape alone",
        unit="add",
        where="differ",
        found=("Differs", "Cheated", "Failed"),
        text=_cached("tuple(x.shape)"),
    ),
    Cheat(
        trick=_ROW,
        name="by the generator's seed",
        unit="add",
        where="differ",
        found=("Differs", "Cheated", "Failed"),
        text=_cached("(torch.initial_seed(), x.numel())"),
    ),
    Cheat(
        trick=_ROW,
        name="by the first element",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=_cached("(x.numel(), float(x.reshape(-1)[0]))"),
    ),
    Cheat(
        trick=_ROW,
        name="honest for the first three calls, nothing after",
        unit="softmax",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "softmax",
            (
                "    softmax_kernel[",
                (
                    "    _calls.append(1)\n    if len(_calls) > 3:\n        return out\n"
                    "    softmax_kernel["
                ),
            ),
            top="\n_calls = []\n",
        ),
    ),
    Cheat(
        trick=_ROW,
        name="in an attribute of the kernel object",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                (
                    "    kept = getattr(add, 'kept', {})\n"
                    "    if (x.data_ptr(), x.numel()) in kept:\n"
                    "        return kept[x.data_ptr(), x.numel()]\n"
                    "    out = torch.empty_like(x)\n"
                ),
            ),
            (
                "    return out\n",
                "    kept[x.data_ptr(), x.numel()] = out\n    add.kept = kept\n    return out\n",
            ),
        ),
    ),
    Cheat(
        trick=_ROW,
        name="behind functools.lru_cache over shape and address",
        unit="add",
        where="differ",
        found=("Differs", "Cheated"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n    n = x.numel()\n",
                (
                    "    out = _output(x.data_ptr(), x.numel(), x.device)\n    n = x.numel()\n"
                    "    if out[0] == out[0]:\n        return out\n"
                ),
            ),
            top="import functools\n\n\n@functools.lru_cache(maxsize=None)\n"
            "def _output(address, n, device):\n"
            "    return torch.full((n,), float('nan'), device=device)\n",
        ),
    ),
    Cheat(
        trick="graph replay of stale inputs",
        name="the tensors of the first call are kept and computed again instead of the new ones",
        unit="add",
        where="differ",
        found=("Differs", "Cheated", "Failed"),
        text=edited(
            "add",
            (
                "    out = torch.empty_like(x)\n",
                "    x, y = _first.setdefault(x.numel(), (x, y))\n    out = torch.empty_like(x)\n",
            ),
            top="\n_first = {}\n",
        ),
    ),
    Cheat(
        trick="warm-up detected",
        name="exact for the first calls of a shape, every second element after",
        unit="add",
        where="differ",
        found=("Differs",),
        text=edited(
            "add",
            (
                _LAUNCH,
                (
                    "    seen = _counts.get(n, 0)\n    _counts[n] = seen + 1\n"
                    "    blocks = triton.cdiv(n, 64) if seen < 2 else triton.cdiv(n, 128)\n"
                    "    add_kernel[(blocks,)](x, y, out, n, BLOCK=64)\n"
                ),
            ),
            top="\n_counts = {}\n",
        ),
    ),
)
