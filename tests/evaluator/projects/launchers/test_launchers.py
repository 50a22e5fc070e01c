import pytest
import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from pkg import kernels, ops
from pkg.kernels import TABLE, Late, Layer, Scale, Scaler, eightfold, launch, make_scale
from pkg.kernels import ninefold, scale, sevenfold, triple


def same(got, want):
    torch.testing.assert_close(got, want)


@pytest.fixture
def x():
    return torch.randn(100, device="cuda")


def test_function(x):
    same(scale(x), 2 * x)


def test_table(x):
    same(TABLE["scale"](x, 0.25), 0.25 * x)


def test_kept_closure(x):
    same(triple(x), 3 * x)


def test_closure_in_a_table(x):
    same(TABLE["quadruple"](x), 4 * x)


def test_made_closure(x):
    by_ten = make_scale(10.0)
    same(by_ten(x), 10 * x)
    same(by_ten(x[:50]), 10 * x[:50])


def test_method(x):
    same(Scaler(11.0)(x), 11 * x)


def test_static_method(x):
    same(Scaler.doubled(x), 2 * x)


def test_class_method(x):
    same(Scaler.halved(x), x / 2)


def test_module(x):
    same(Layer(100).cuda()(x), 2 * x.relu())


def test_autograd():
    x = torch.randn(100, device="cuda", requires_grad=True)
    Scale.apply(x, 12.0).sum().backward()
    same(x.grad, torch.full_like(x, 12.0))


def test_autograd_with_its_context_set_up_late():
    x = torch.randn(100, device="cuda", requires_grad=True)
    Late.apply(x).sum().backward()
    same(x.grad, torch.full_like(x, 5.0))


def test_without_gradients():
    x = torch.randn(60, device="cuda", requires_grad=True)
    with torch.no_grad():
        same(Scale.apply(x, 13.0), 13 * x)


def test_custom_op(x):
    same(sevenfold(x), 7 * x)


def test_triton_op(x):
    same(eightfold(x), 8 * x)


def test_partial(x):
    same(ninefold(x), 9 * x)


def test_other_module(x):
    same(ops.sixfold(x), 6 * x)


def test_callables(x):
    same(kernels.apply_to(x, F.relu), x.relu())
    same(kernels.apply_to(x, triple), 3 * x)
    same(kernels.apply_to(x, torch.neg, torch.nn.Softplus()), F.softplus(-x))


def test_direct(x):
    out = torch.empty_like(x)
    kernels.scale_kernel[lambda meta: (triton.cdiv(100, meta["BLOCK"]),)](
        x, out, 14.0, 100, BLOCK=32
    )
    same(out, 14 * x)


def test_direct_with_indices(x):
    index = torch.randperm(100, device="cuda")
    out = torch.empty_like(x)
    kernels.gather_kernel[(4,)](x, index, out, 100, BLOCK=32)
    same(out, x[index])


def test_direct_and_tuned(x):
    out = torch.empty_like(x)
    kernels.tuned_kernel[lambda meta: (triton.cdiv(100, meta["BLOCK"]),)](x, out, 100)
    same(out, x + 1)


def test_direct_with_constants_that_are_objects(x):
    out = torch.empty(100, device="cuda", dtype=torch.float16)
    kernels.map_kernel[(2,)](x, out, 100, F=kernels.square, T=tl.float16, BLOCK=64)
    same(out, (x * x).half())
