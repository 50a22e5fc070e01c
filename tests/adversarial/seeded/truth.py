"""What is right, by torch alone, on shapes and values that the users' tests do not have.

A script for a process of its own, since Triton's interpreter is chosen at import:

    python truth.py < JOBS      [{"name", "unit", "path", "text", "project", "scratch"}, ...]
                                prints {"name": first difference or null} as JSON

Nothing of Whet takes part, so that corpus and evaluator cannot be wrong together. Outputs
are expected as float64 references within a tolerance; fresh memory is poisoned and has
red zones on both sides.
"""

# ruff: noqa: N806, N812 - names of the field
from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"

import torch
import torch.nn.functional as F

Check = tuple[Any, Any, float]
"""What was computed, what is right, and the relative tolerance (0: the same bits)."""
F16, F32 = torch.float16, torch.float32
_TOLERANCE = {F32: 3e-5, F16: 2e-3}
_POISON = 77
_ZONE = 512

_empty = torch.empty
_zones: list[tuple[torch.Tensor, int]] = []


def softmax(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 17), (2, 513), (5, 1030)):
        for dtype in (F32, F16):
            x = torch.randn(rows, cols).to(dtype)
            yield m.softmax(x), x.double().softmax(-1), {F32: 1e-6, F16: 1e-3}[dtype]
    for x in (torch.randn(4, 100) - 500, torch.randn(4, 600) * 1000, torch.randn(6, 90)[::2, 3:70]):
        yield m.softmax(x), x.double().softmax(-1), 3e-5
    x = torch.randn(2, 30)
    x[1, 4] = float("nan")
    yield m.softmax(x), x.double().softmax(-1), 3e-5


def cross_entropy(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((3, 1), (2, 511), (3, 512), (2, 2049), (2, 4096), (2, 6144)):
        for shift, dtype in ((0.0, F32), (-300.0, F32), (0.0, F16)):
            logits = (3 * torch.randn(rows, cols) + shift).to(dtype)
            target = torch.randint(cols, (rows,))
            expected = F.cross_entropy(logits.double(), target, reduction="none")
            yield m.cross_entropy(logits, target), expected, 3e-5
    logits, target = torch.randn(4, 50), torch.tensor([3, -100, 0, 7])
    expected = F.cross_entropy(logits.double(), target, reduction="none")
    yield m.cross_entropy(logits, target), expected, 3e-5
    target = torch.tensor([3, 9, 9, 7])
    expected = F.cross_entropy(logits.double(), target, reduction="none", ignore_index=9)
    yield m.cross_entropy(logits, target, ignore_index=9), expected, 3e-5


def dequantize(m: ModuleType) -> Iterator[Check]:
    for rows, cols, group in ((1, 32, 32), (3, 96, 32), (5, 256, 128), (7, 512, 64)):
        for dtype in (F16, F32):
            q = torch.randint(-128, 128, (rows, cols), dtype=torch.int8)
            scale = torch.rand(rows, cols // group)
            expected = q.double() * scale.double().repeat_interleave(group, dim=1)
            yield (
                m.dequantize(q, scale, group, dtype=dtype),
                expected,
                {F16: 6e-4, F32: 1e-6}[dtype],
            )


def flip(m: ModuleType) -> Iterator[Check]:
    for shape in ((1, 1, 1), (2, 3, 64), (3, 2, 65), (2, 2, 128), (1, 2, 67), (2, 1, 90)):
        for dtype in (F32, torch.int32):
            x = (torch.randn(shape) * 100).to(dtype)
            yield m.flip(x), x.flip(-1), 0.0
    x = torch.randn(3, 5, 40).transpose(1, 2)
    yield m.flip(x), x.flip(-1), 0.0
    x = torch.randn(3, 5, 80)[..., ::2]
    yield m.flip(x), x.flip(-1), 0.0


def _norm_inputs() -> Iterator[tuple[torch.Tensor, ...]]:
    for rows, cols in ((1, 1), (3, 7), (5, 513), (70, 33), (130, 20)):
        for shift, dtype in ((0.0, F32), (3.0, F32), (0.0, F16)):
            x = (torch.randn(rows, cols) + shift).to(dtype)
            yield x, torch.rand(cols).to(dtype), torch.rand(cols).to(dtype)


def layer_norm(m: ModuleType) -> Iterator[Check]:
    inputs = [*_norm_inputs(), (torch.randn(3, 300) + 1000, torch.rand(300), torch.rand(300)),
              (torch.randn(2, 200) * 1e-3, torch.rand(200), torch.rand(200)),
              (torch.randn(2, 3, 40), torch.rand(40), torch.rand(40))]  # fmt: skip
    for x, weight, bias in inputs:
        expected = F.layer_norm(x.double(), x.shape[-1:], weight.double(), bias.double())
        # float32 itself leaves 1e-3 where the mean is a thousand deviations.
        tolerance = 2e-3 if x.dtype == F16 or x.abs().mean() > 100 else 1e-4
        yield m.layer_norm(x, weight, bias), expected, tolerance


def layer_norm_backward(m: ModuleType) -> Iterator[Check]:
    for inputs in _norm_inputs():
        dy = torch.randn(inputs[0].shape).to(inputs[0].dtype)
        ours = [one.clone().requires_grad_() for one in inputs]
        got = torch.autograd.grad(m.layer_norm(*ours), ours, dy)
        exact = [one.double().requires_grad_() for one in inputs]
        truth = F.layer_norm(exact[0], exact[0].shape[-1:], exact[1], exact[2])
        expected = torch.autograd.grad(truth, exact, dy.double())
        yield got, expected, 2e-2 if dy.dtype == F16 else 2e-4


def matmul(m: ModuleType) -> Iterator[Check]:
    for M, N, K in ((1, 1, 1), (33, 17, 65), (32, 40, 33), (16, 16, 160), (48, 32, 3)):
        a, b = torch.randn(M, K).half(), torch.randn(K, N).half()
        yield m.matmul(a, b), a.double() @ b.double(), 2e-3
    a, b = torch.rand(20, 600).half(), torch.rand(600, 20).half()
    yield m.matmul(a, b), a.double() @ b.double(), 6e-4
    a, b = torch.randn(70, 40).half().T, torch.randn(50, 140).half()[:, ::2].T
    b = torch.randn(30, 70).half().T
    yield m.matmul(a, b), a.double() @ b.double(), 2e-3


def rms_norm(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 17), (2, 513), (4, 1024)):
        for dtype in (F32, F16):
            norm = m.FusedAddRMSNorm(cols, dtype=dtype)
            norm.weight.data.normal_(mean=1.0, std=0.1)
            x, residual = torch.randn(rows, cols).to(dtype), torch.randn(rows, cols).to(dtype)
            before, added = x.clone(), x.double() + residual.double()
            rms = (added.pow(2).mean(-1, keepdim=True) + norm.eps).rsqrt()
            expected = added * rms * norm.weight.detach().double()
            yield norm(x, residual), expected, _TOLERANCE[dtype]
            yield residual, added, _TOLERANCE[dtype]
            yield x, before, 0.0


def rotary(m: ModuleType) -> Iterator[Check]:
    for batch, seq, heads, dim in ((1, 1, 1, 2), (3, 7, 2, 64), (2, 5, 3, 80), (2, 3, 1, 34)):
        for dtype in (F32, F16):
            q = torch.randn(batch, seq, heads, dim).to(dtype)
            k = torch.randn(batch, seq, 1, dim).to(dtype)
            cos, sin = m.rotary_tables(seq, dim, "cpu")
            expected = [_rotated(one, cos, sin) for one in (q, k)]
            yield m.apply_rotary(q, k, cos, sin), expected, _TOLERANCE[dtype]


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    low, high = x.double().chunk(2, dim=-1)
    c, s = cos.double()[:, None, :], sin.double()[:, None, :]
    return torch.cat((low * c - high * s, high * c + low * s), dim=-1)


def segment_sum(m: ModuleType) -> Iterator[Check]:
    for rows, cols, n in ((1, 1, 1), (9, 129, 3), (20, 40, 4), (5, 300, 7)):
        for dtype in (F32, F16):
            x, segments = torch.randn(rows, cols).to(dtype), torch.randint(n, (rows,))
            expected = torch.zeros(n, cols, dtype=torch.double).index_add(0, segments, x.double())
            yield m.segment_sum(x, segments, n), expected, 1e-5


def dropout(m: ModuleType) -> Iterator[Check]:
    for n, p, seed in ((1, 0.5, 1), (300, 0.25, 9), (4000, 0.5, 12345)):
        x = torch.randn(n)
        x[0] = float("inf")
        # The contract is which elements the generator of Triton keeps for a seed.
        keep = _uniform(seed, n) >= p
        expected = torch.where(keep, x.double() / (1 - p), 0.0)
        yield m.dropout(x, p, seed), expected, 1e-6


def _uniform(seed: int, n: int) -> torch.Tensor:
    import triton
    import triton.language as tl

    source = Path(sys.path[0]) / "uniform.py"
    source.write_text(
        "import triton\nimport triton.language as tl\n\n\n@triton.jit\n"
        "def kernel(out, n, seed, BLOCK: tl.constexpr):\n"
        "    offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)\n"
        "    tl.store(out + offsets, tl.rand(seed, offsets), mask=offsets < n)\n"
    )
    del triton, tl
    space: dict[str, Any] = {"__name__": "uniform", "__file__": str(source)}
    exec(compile(source.read_text(), source, "exec"), space)
    out = torch.zeros(n)
    space["kernel"][((n + 255) // 256,)](out, n, seed, BLOCK=256)
    return out


def embedding(m: ModuleType) -> Iterator[Check]:
    for entries, cols in ((3, 1), (300, 129), (40, 200)):
        for dtype in (F32, F16):
            table = torch.randn(entries, cols + 5).to(dtype)[:, :cols]
            index = torch.randint(entries, (4, 3))
            index[0, 0], index[3, 2] = 0, entries - 1
            yield m.embedding(index, table), F.embedding(index, table), 0.0
            expected = F.embedding(index, table).masked_fill((index == 2)[..., None], 0)
            yield m.embedding(index, table, padding_index=2), expected, 0.0


def prefix_sum(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 65), (2, 200), (4, 321)):
        for dtype in (F32, F16):
            x = torch.rand(rows, cols).to(dtype)
            yield m.prefix_sum(x), x.double().cumsum(1), {F32: 1e-5, F16: 6e-4}[dtype]
    x = torch.rand(6, 90)[::2, 5:]
    yield m.prefix_sum(x), x.double().cumsum(1), 1e-5


def axpy(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 129), (4, 40)):
        for dtype in (F32, F16):
            x, y = torch.randn(rows, cols).to(dtype), torch.randn(rows, cols).to(dtype)
            expected = y.double() + 0.3 * x.double()
            yield m.axpy_(y, x, 0.3), expected, {F32: 1e-6, F16: 6e-4}[dtype]
    wide = torch.randn(3, 140)
    before, x = wide.clone(), torch.randn(3, 50)
    expected = before.double()
    expected[:, 10:110:2] += 2 * x.double()
    m.axpy_(wide[:, 10:110:2], x, 2.0)
    yield wide, expected, 1e-6
    y = torch.randn(3, 70)
    expected = 3 * y.double()
    yield m.axpy_(y, y, 2.0), expected, 1e-6
    guarded = torch.randn(4, 64)
    expected = torch.cat((guarded[:, :50] * 2, guarded[:, 50:]), dim=1)
    m.axpy_(guarded[:, :50], guarded[:, :50].clone(), 1.0)
    yield guarded, expected, 1e-6


def reverse(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 2), (2, 64), (3, 65), (2, 129), (3, 190), (2, 300), (2, 1000)):
        x = torch.randn(rows, cols)
        expected = x.flip(-1)
        yield m.reverse_(x), expected, 0.0


def argmax(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 129), (2, 300), (5, 1000)):
        for shift in (0.0, -50.0):
            x = torch.randn(rows, cols) + shift
            yield m.argmax(x), tuple(x.max(dim=1)), 0.0
    x = torch.zeros(3, 400)
    yield m.argmax(x), (torch.zeros(3), torch.zeros(3, dtype=torch.int64)), 0.0
    x = torch.randn(2, 300).half()
    x[:, 290] = 40
    yield m.argmax(x), (x.max(dim=1).values, torch.tensor([290, 290])), 0.0


def row_stats(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 17), (5, 300), (2, 1000)):
        for shift, dtype in ((0.0, F32), (4.0, F32), (300.0, F32), (0.0, F16)):
            x = (torch.randn(rows, cols) + shift).to(dtype)
            exact = x.double()
            rstd = (exact.var(dim=1, unbiased=False) + 1e-5).rsqrt()
            yield m.row_stats(x), (exact.mean(dim=1), rstd), 1e-4


def quantize(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (3, 129), (4, 300)):
        for shift, dtype in ((0.0, F32), (-5.0, F32), (0.0, F16)):
            x = (torch.randn(rows, cols) + shift).to(dtype)
            scale = x.float().abs().amax(dim=1).clamp(min=1e-8) / 127.0
            q = torch.floor(x.float() / scale[:, None] + 0.5).clamp(-127, 127).to(torch.int8)
            yield m.quantize(x), (q, scale), 1e-6
    x = torch.zeros(2, 20)
    yield m.quantize(x), (torch.zeros(2, 20), torch.full((2,), 1e-8 / 127)), 1e-6


def ragged_sum(m: ModuleType) -> Iterator[Check]:
    for cols in (1, 127, 128, 129, 400):
        for dtype in (F32, F16):
            x = torch.randn(9, cols).to(dtype)
            lengths = torch.randint(0, cols + 1, (9,), dtype=torch.int32)
            lengths[0], lengths[1], lengths[2] = 0, cols, min(cols, 100)
            keep = torch.arange(cols)[None] < lengths[:, None]
            yield m.ragged_sum(x, lengths), (x.double() * keep).sum(1), 3e-5


def transpose(m: ModuleType) -> Iterator[Check]:
    for shape in ((1, 1), (33, 31), (40, 70), (64, 33)):
        x, scale = torch.randn(shape), torch.rand(shape[1])
        yield m.transpose(x, scale), (x * scale).T, 0.0
    for x in (torch.randn(50, 40).T, torch.randn(20, 66)[:, ::2]):
        scale = torch.rand(x.shape[1])
        yield m.transpose(x, scale), (x * scale).T, 0.0


def bias_gelu(m: ModuleType) -> Iterator[Check]:
    for rows, cols in ((1, 1), (17, 65), (40, 40), (30, 20)):
        for dtype in (F32, F16):
            x, bias = 2 * torch.randn(rows, cols).to(dtype), torch.randn(cols).to(dtype)
            expected = F.gelu(x.double() + bias.double())
            yield m.bias_gelu(x, bias), expected, {F32: 1e-5, F16: 2e-3}[dtype]
            yield m.bias_gelu(x), F.gelu(x.double()), {F32: 1e-5, F16: 2e-3}[dtype]
    x = torch.randn(8, 90)[:, :70]
    x[2, 3], x[4, 5] = float("nan"), float("inf")
    yield m.bias_gelu(x), F.gelu(x.double()), 1e-5


def histogram(m: ModuleType) -> Iterator[Check]:
    for n, bins in ((1, 1), (129, 4), (500, 16)):
        x = torch.randint(-2, bins + 3, (n,), dtype=torch.int32)
        inside = x[(x >= 0) & (x < bins)]
        yield m.histogram(x, bins), torch.bincount(inside, minlength=bins), 0.0


CHECKS: dict[str, Callable[[ModuleType], Iterator[Check]]] = {
    check.__name__: check
    for check in (
        softmax, cross_entropy, dequantize, flip, layer_norm, layer_norm_backward, matmul,
        rms_norm, rotary, segment_sum, dropout, embedding, prefix_sum, axpy, reverse, argmax,
        row_stats, quantize, ragged_sum, transpose, bias_gelu, histogram,
    )
}  # fmt: skip


def first_difference(unit: str, module: ModuleType) -> str | None:
    """One sentence, or None where the module is right."""
    torch.manual_seed(0)
    _zones.clear()
    try:
        for number, (got, expected, tolerance) in enumerate(CHECKS[unit](module)):
            said = _compared(got, expected, tolerance) or _spoiled_zone()
            if said is not None:
                return f"check {number}: {said}"
    except Exception as error:  # noqa: BLE001 - whatever a broken kernel raises is a finding
        return f"{type(error).__name__}: {error}"
    return None


def _compared(got: Any, expected: Any, tolerance: float) -> str | None:
    if not isinstance(got, torch.Tensor):
        found = (_compared(g, e, tolerance) for g, e in zip(got, expected, strict=True))
        return next((said for said in found if said is not None), None)
    if got.shape != expected.shape:
        return f"shape {tuple(got.shape)} instead of {tuple(expected.shape)}"
    a, b = got.detach().double(), expected.detach().double()
    # Sums cancel: what is allowed for the largest element is allowed for each.
    largest = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 0.0
    wrong = ~torch.isclose(
        a, b, rtol=tolerance, atol=tolerance * max(largest, 1e-3), equal_nan=True
    )
    if not wrong.any():
        return None
    where = tuple(int(i) for i in wrong.nonzero()[0])
    return f"{int(wrong.sum())} of {wrong.numel()} wrong, at {where} {a[where]} for {b[where]}"


def _poisoned(size: tuple[int, ...], dtype: torch.dtype | None) -> torch.Tensor:
    n = 1
    for extent in size:
        n *= extent
    base = torch.full((n + 2 * _ZONE,), _POISON, dtype=dtype or F32)
    _zones.append((base, n))
    return base[_ZONE : _ZONE + n].view(size)


def _spoiled_zone() -> str | None:
    zones = [*_zones]
    _zones.clear()
    for base, n in zones:
        if (base[:_ZONE] != _POISON).any() or (base[_ZONE + n :] != _POISON).any():
            return "wrote outside a tensor"
    return None


def _guard_fresh_memory() -> None:
    def empty(*size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        shape = tuple(size[0]) if size and not isinstance(size[0], int) else tuple(size)
        return _poisoned(shape, dtype)

    def empty_like(x: torch.Tensor, dtype: Any = None, **_: Any) -> torch.Tensor:
        return _poisoned(tuple(x.shape), dtype or x.dtype)

    def zeros(*size: Any, dtype: Any = None, **_: Any) -> torch.Tensor:
        return empty(*size, dtype=dtype).zero_()

    torch.empty, torch.empty_like, torch.zeros = empty, empty_like, zeros  # type: ignore[assignment]


class _Pinned:
    """An autotuned kernel with its first configuration: tuning needs a device and a clock."""

    def __init__(self, kernel: Any, config: Any) -> None:
        self.kernel = kernel
        self.config = config

    def __getitem__(self, grid: Any) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.kernel[grid](*args, **kwargs, **self.config.kwargs)


def _pin_tuning() -> None:
    import triton

    def autotune(configs: list[Any], *_: Any, **__: Any) -> Callable[[Any], Any]:
        return lambda kernel: _Pinned(kernel, configs[0])

    triton.autotune = autotune


def judge(job: dict[str, str]) -> str | None:
    """One sentence on the text of `job`, or None. In a child, since bugs may write anywhere."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        said = first_difference(job["unit"], _module(job))
        os.write(write, (said or "").encode()[:4000])
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return said or (f"died with status {status}" if status else None)


def _module(job: dict[str, str]) -> ModuleType:
    """The text of `job` in place of its file, beside the other files of the project."""
    folder = Path(job["scratch"]) / job["name"]
    shutil.copytree(Path(job["project"]) / "kernels", folder / "kernels")
    (folder / job["path"]).write_text(job["text"])
    sys.path.insert(0, str(folder))
    stem = Path(job["path"]).stem
    name = "attention" if stem == "rotary" else stem
    return importlib.import_module(f"kernels.{name}")


def main() -> None:
    _guard_fresh_memory()
    _pin_tuning()
    torch.set_num_threads(1)  # a forked child has no threads of its parent
    json.dump({job["name"]: judge(job) for job in json.load(sys.stdin)}, sys.stdout)


if __name__ == "__main__":
    main()
