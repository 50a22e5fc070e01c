"""One kernel, launched in every way that people launch kernels."""

import functools

import torch
import triton
import triton.language as tl


@triton.jit
def scale_kernel(x, out, factor, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) * factor, mask=at < n)


@triton.jit
def gather_kernel(x, index, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    rows = tl.load(index + at, mask=at < n, other=0)
    tl.store(out + at, tl.load(x + rows, mask=at < n), mask=at < n)


@triton.autotune(
    configs=[triton.Config({"BLOCK": b}, num_warps=2) for b in (32, 64)], key=["n"]
)
@triton.jit
def tuned_kernel(x, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(out + at, tl.load(x + at, mask=at < n) + 1, mask=at < n)


@triton.jit
def square(x):
    return x * x


@triton.jit
def map_kernel(x, out, n, F: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    value = F(tl.load(x + at, mask=at < n)).to(T)
    tl.store(out + at, value, mask=at < n)


def launch(x, factor):
    out = torch.empty_like(x)
    scale_kernel[(triton.cdiv(x.numel(), 64),)](x, out, factor, x.numel(), BLOCK=64)
    return out


def scale(x, factor=2.0):
    return launch(x, factor)


def apply_to(x, function, layer=None):
    out = function(launch(x, 1.0))
    return out if layer is None else layer(out)


def make_scale(factor):
    def scale_by(x):
        return launch(x, factor)

    return scale_by


triple = make_scale(3.0)
TABLE = {"scale": scale, "quadruple": make_scale(4.0)}


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return launch(x, self.factor)

    @staticmethod
    def doubled(x):
        return launch(x, 2.0)

    @classmethod
    def halved(cls, x):
        return launch(x, 0.5)


class Layer(torch.nn.Module):
    def __init__(self, n):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(n))
        self.act = torch.nn.ReLU()

    def forward(self, x):
        return self.act(launch(x, 2.0)) * self.weight


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return launch(x, factor)

    @staticmethod
    def backward(ctx, grad):
        return launch(grad.contiguous(), ctx.factor), None


class Late(torch.autograd.Function):
    @staticmethod
    def forward(x):
        return launch(x, 5.0)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return launch(grad.contiguous(), 5.0)


@torch.library.custom_op("launchers_project::sevenfold", mutates_args=(), device_types="cuda")
def sevenfold(x: torch.Tensor) -> torch.Tensor:
    return launch(x, 7.0)


@torch.library.triton_op("launchers_project::eightfold", mutates_args=())
def eightfold(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    torch.library.wrap_triton(scale_kernel)[(triton.cdiv(x.numel(), 64),)](
        x, out, 8.0, x.numel(), BLOCK=64
    )
    return out


ninefold = functools.partial(scale, factor=9.0)
