import threading

import pytest
import torch
import triton
import kernels
from kernels import TABLE, add, double, matmul, scale_

DEVICE = triton.runtime.driver.active.get_active_torch_device()
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def same(got, want):
    torch.testing.assert_close(got, want)


@needs_gpu
def test_device_string():
    x = torch.randn(300, device="cuda")
    same(add(x, x), x + x)


def test_device_object():
    x = torch.randn(300, device=torch.device("cuda", 0))
    same(add(x, x), 2 * x)


def test_device_colon():
    x = torch.randn(300, device="cuda:0")
    assert x.device == torch.device("cuda:0") and x.device.index == 0
    same(add(x, x), 2 * x)


def test_device_int():
    x = torch.ones(300, device=0)
    same(add(x, x), 2 * x)


def test_cuda_method():
    x = torch.randn(300)
    same(add(x.cuda(), x.cuda()).cpu(), x + x)


def test_to_device():
    x = torch.randn(300)
    same(add(x.to("cuda"), x.to(device="cuda")).to("cpu"), x + x)


def test_to_device_and_dtype():
    x = torch.randn(300).to("cuda", torch.float16)
    assert x.dtype == torch.float16 and x.is_cuda
    same(add(x, x), 2 * x)


def test_to_other():
    x = torch.randn(300, device="cuda")
    y = torch.randn(300).to(x)
    assert y.is_cuda
    same(add(x, y), x + y)


def test_active_device():
    x = torch.rand(300, device=DEVICE)
    same(add(x, x), 2 * x)


def test_available():
    if not torch.cuda.is_available():
        pytest.fail("no GPU")
    assert torch.cuda.device_count() >= 1 and torch.cuda.current_device() == 0


def test_synchronize():
    x = torch.randn(300, device="cuda")
    y = add(x, x)
    torch.cuda.synchronize()
    same(y, 2 * x)


def test_in_place_kernel_does_not_reach_the_host_copy():
    x = torch.randn(300)
    y = x.cuda()
    scale_(y, 3.0)
    same(y.cpu(), x * 3.0)


def test_derived_host_tensor_is_copied_too():
    x = torch.randn(300).half().float() * 2
    y = x.cuda()
    scale_(y, 3.0)
    same(y.cpu(), x * 3.0)


def test_cpu_copy_does_not_follow():
    x = torch.randn(300, device="cuda")
    before = x.cpu()
    scale_(x, 3.0)
    same(x.cpu(), before * 3.0)


def test_host_tensor_is_refused():
    with pytest.raises(ValueError, match="needs a CUDA tensor"):
        scale_(torch.randn(300), 2.0)


def test_host_tensor_says_cpu():
    x = torch.randn(3)
    assert x.device.type == "cpu" and not x.is_cuda and x.get_device() == -1
    assert x.cuda().device.type == "cuda" and x.cuda().get_device() == 0
    assert x.cuda().cpu().device == torch.device("cpu")


def test_stream():
    stream = torch.cuda.Stream()
    x = torch.randn(300, device="cuda")
    with torch.cuda.stream(stream):
        y = add(x, x)
    torch.cuda.current_stream().wait_stream(stream)
    same(y, 2 * x)


def test_event():
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    end.record()
    end.synchronize()
    assert start.query()


def test_device_context():
    with torch.cuda.device(0):
        x = torch.randn(300, device="cuda")
    same(add(x, x), 2 * x)


def test_properties():
    properties = torch.cuda.get_device_properties(0)
    assert properties.multi_processor_count > 1 and properties.total_memory > 1 << 30
    assert isinstance(torch.cuda.get_device_name(), str)
    assert torch.cuda.get_device_capability()[0] >= 8


def test_memory():
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    free, total = torch.cuda.mem_get_info()
    assert 0 < free <= total and torch.cuda.max_memory_allocated() >= 0


def test_seeds():
    torch.cuda.manual_seed(3)
    a = torch.randn(4, device="cuda")
    torch.cuda.manual_seed_all(3)
    same(a, torch.randn(4, device="cuda"))


def test_generator():
    generator = torch.Generator(device="cuda").manual_seed(1)
    x = torch.randn(300, device="cuda", generator=generator)
    assert generator.device.type == "cuda"
    same(add(x, x), 2 * x)


def test_map_location(tmp_path):
    torch.save({"x": torch.randn(300)}, tmp_path / "x.pt")
    x = torch.load(tmp_path / "x.pt", map_location="cuda")["x"]
    same(add(x, x), 2 * x)


def test_saved_on_device(tmp_path):
    torch.save(torch.randn(300, device="cuda"), tmp_path / "x.pt")
    x = torch.load(tmp_path / "x.pt")
    same(add(x, x), 2 * x)


def test_default_device():
    torch.set_default_device("cuda")
    try:
        x = torch.randn(300)
        assert x.is_cuda
        same(add(x, x), 2 * x)
        assert torch.get_default_device().type == "cuda"
    finally:
        torch.set_default_device(None)


def test_device_as_context():
    with torch.device("cuda"):
        x = torch.randn(300)
    assert x.is_cuda
    same(add(x, x), 2 * x)


def test_like():
    x = torch.randn(300, device="cuda")
    y = torch.zeros_like(x)
    assert y.is_cuda and x.new_ones(3).is_cuda and torch.ones_like(x, device="cuda").is_cuda
    same(add(x, y), x)


def test_autotuned():
    x = torch.randn(300, device="cuda")
    want = x + 1
    same(kernels.tuned(x), want)
    assert kernels.tuned_kernel.best_config.kwargs["BLOCK"] == 64


def test_heuristics():
    for n in (128, 100):
        x = torch.randn(n, device="cuda")
        same(kernels.heuristic(x), 2 * x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_matmul(dtype):
    a = torch.randn(33, 17, device="cuda", dtype=dtype)
    b = torch.randn(17, 20, device="cuda", dtype=dtype)
    torch.testing.assert_close(matmul(a, b), a @ b, rtol=1e-2, atol=1e-2)


def test_autograd():
    x = torch.randn(300, device="cuda", requires_grad=True)
    double(x).sum().backward()
    same(x.grad, torch.full_like(x, 2.0))


def test_autograd_against_host():
    x = torch.randn(300, requires_grad=True)
    y = x.detach().cuda().requires_grad_()
    (2 * x).square().sum().backward()
    double(y).square().sum().backward()
    same(y.grad.cpu(), x.grad)


def test_backward_of_a_given_gradient():
    x = torch.randn(300, device="cuda", requires_grad=True)
    y = double(x)
    y.backward(torch.randn_like(y))
    assert x.grad.is_cuda


def test_module():
    layer = kernels.DoubleLayer(30).cuda()
    assert next(layer.parameters()).is_cuda
    x = torch.randn(30, device="cuda")
    same(layer(x), 2 * x)
    same(kernels.DoubleLayer(30).to("cuda")(x), 2 * x)


def test_thread():
    results = []

    def work():
        x = torch.randn(300, device="cuda")
        assert x.is_cuda
        results.append((add(x, x), 2 * x))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    same(*results[0])


def test_custom_op():
    x = torch.randn(300, device="cuda")
    same(kernels.twice(x), 2 * x)


def test_driver_properties():
    x = torch.randn(60, device="cuda")
    same(kernels.properties_grid(x), 2 * x)


def test_dispatch_table():
    x = torch.randn(300, device="cuda")
    same(TABLE["add"](x, x), 2 * x)


def test_direct_launch():
    x = torch.randn(300, device="cuda")
    out = torch.empty_like(x)
    kernels.add_kernel[(3,)](x, x, out, 300, BLOCK=128)
    same(out, 2 * x)


def test_autocast():
    x = torch.randn(16, 16, device="cuda")
    with torch.autocast("cuda", dtype=torch.float16):
        y = x @ x
    assert y.dtype == torch.float16
    with torch.amp.autocast("cuda", enabled=False):
        assert (x @ x).dtype == torch.float32


def test_pinned():
    x = torch.randn(300).pin_memory().cuda(non_blocking=True)
    same(add(x, x), 2 * x)


def test_numpy():
    x = torch.from_numpy(torch.randn(300).numpy()).cuda()
    assert abs(add(x, x).cpu().numpy() - 2 * x.cpu().numpy()).max() == 0


def test_capability_skip():
    if torch.cuda.get_device_capability()[0] < 8:
        pytest.skip("too old")


def test_accelerator():
    assert torch.accelerator.current_accelerator().type == "cuda"
    torch.accelerator.synchronize()


def test_allclose_and_printing():
    x = torch.randn(300, device="cuda")
    assert torch.allclose(add(x, x), 2 * x), f"{x}"


def test_compiled_reference():
    x = torch.randn(300, device="cuda")
    same(add(x, x), torch.compile(lambda t: t + t)(x))


def test_nvtx_and_flags():
    torch.backends.cuda.matmul.allow_tf32 = True
    with torch.no_grad():
        x = torch.randn(300, device="cuda").contiguous()
    same(add(x, x), 2 * x)


def test_float_arguments_are_tensors():
    x = torch.randn(100, device="cuda")
    same(kernels.axpb(x, 0.5, 1e-6), x * 0.5 + 1e-6)
    same(kernels.axpb(x, 1.0, 2.0), x + 2.0)


def test_a_float_argument_promotes_as_float32():
    x = torch.randn(100, device="cuda", dtype=torch.float16)
    same(kernels.axpb(x, 1 / 3, 0.0), x.float() * (1 / 3))


def test_products_of_float32_are_tf32_unless_told():
    """As tensor cores make them: ten bits of mantissa of each factor, float32 sums."""
    x = torch.full((16, 16), 1 + 2.0**-11 + 2.0**-20, device="cuda")
    one = torch.eye(16, device="cuda")
    same(kernels.square_product(x, one, exact=True), x)
    assert kernels.square_product(x, one, exact=False)[0, 0] == 1 + 2.0**-10
    small = torch.full((16, 16), 1 + 2.0**-11 - 2.0**-20, device="cuda")
    assert kernels.square_product(small, one, exact=False)[0, 0] == 1.0
    huge = torch.full((16, 16), float("inf"), device="cuda").fill_diagonal_(1.0)
    assert torch.isinf(kernels.square_product(huge, torch.ones_like(one), exact=False)).all()
