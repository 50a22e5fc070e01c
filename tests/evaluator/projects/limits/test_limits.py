import pytest
import torch
import triton
import kernels

# Each test's name ends in what the table calls the limit; `red` or `green` is its colour here.


def test_bfloat16_atomics():
    x = torch.randn(64, device="cuda", dtype=torch.bfloat16)
    kernels.atomic_kernel[(1,)](x, torch.zeros_like(x), BLOCK=64)


def test_bfloat16_operations_round_as_torch_does():
    x, y = torch.randn(2, 1000, device="cuda").bfloat16()
    out = torch.empty_like(x)
    kernels.mixed_kernel[(8,)](x, y, out, 1000, BLOCK=128)
    z = x * y + x - y / 2
    assert torch.equal(out, torch.where(z > 0, z, z * 0.125))


def test_bfloat16_dot():
    a, b = torch.randn(2, 64, 64, device="cuda").bfloat16()
    out = torch.empty_like(a)
    kernels.square_kernel[(1,)](a, b, out, N=64)
    torch.testing.assert_close(out, (a.float() @ b.float()).bfloat16(), rtol=8e-3, atol=1e-2)


def test_bfloat16_softmax():
    x = torch.randn(16, 100, device="cuda").bfloat16()
    out = torch.empty_like(x)
    kernels.softmax_kernel[(16,)](x, out, 100, BLOCK=128)
    torch.testing.assert_close(out, torch.softmax(x, 1), rtol=2e-2, atol=1e-3)


def test_bfloat16_conversion_is_exact():
    x = torch.randn(100_000, device="cuda") * 1e3
    x[:3] = torch.tensor([float("inf"), -float("inf"), float("nan")])
    there, back = torch.empty_like(x, dtype=torch.bfloat16), torch.empty_like(x)
    kernels.copy_kernel[(782,)](x, there, 100_000, BLOCK=128)
    kernels.copy_kernel[(782,)](there, back, 100_000, BLOCK=128)
    assert there[2].isnan() and back[2].isnan()
    assert torch.equal(there[:2], x[:2].bfloat16()) and torch.equal(there[3:], x[3:].bfloat16())
    assert torch.equal(back[3:], x[3:].bfloat16().float())


def test_float8_arithmetic():
    x = torch.randn(100, device="cuda").to(torch.float8_e5m2)
    out, _ = kernels.double(x)
    torch.testing.assert_close(out.float(), 2 * x.float())


def test_libdevice_functions():
    x = torch.randn(64, device="cuda")
    out = torch.empty_like(x)
    kernels.bessel_kernel[(1,)](x, out, BLOCK=64)
    torch.testing.assert_close(out, torch.special.bessel_j0(x))


def test_common_libdevice_functions():
    x = torch.randn(64, device="cuda")
    out = torch.empty_like(x)
    kernels.tanh_kernel[(1,)](x, out, BLOCK=64)
    torch.testing.assert_close(out, torch.tanh(x) + torch.erf(x) + (x * x + 1) ** -1.5)


def test_inline_assembly():
    x = torch.randn(64, device="cuda")
    out = torch.empty_like(x)
    kernels.assembly_kernel[(1,)](x, out, BLOCK=64)


def test_device_graphs():
    graph = torch.cuda.CUDAGraph()
    x = torch.randn(64, device="cuda")
    with torch.cuda.graph(graph):
        kernels.double(x)
    graph.replay()


def test_torch_compile():
    compiled = torch.compile(lambda x: x + 1)
    assert hasattr(compiled, "get_compiler_config")


def test_a_device_clock():
    assert triton.testing.do_bench(lambda: None) >= 0


def test_a_device_clock_by_events():
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    end.record()
    assert start.elapsed_time(end) >= 0


def test_more_than_one_device():
    torch.zeros(3, device="cuda:1")


def test_the_compiled_kernels_handle():
    _, handle = kernels.double(torch.randn(64, device="cuda"))
    assert handle.n_regs > 0


def test_the_compiled_kernels_handle_by_cache():
    assert kernels.double_kernel.device_caches


def test_triton_language_names_imported_one_by_one():
    x = torch.randn(64, device="cuda")
    kernels.bare_names_kernel[(1,)](x, torch.empty_like(x), BLOCK=64)


def test_a_torch_operation_without_a_cpu_version():
    torch._C._cuda_getCurrentRawStream(0)


def test_the_device_driver():
    triton.runtime.driver.active.utils.load_binary("name", b"", 0, 0)


def test_gluon_kernels():
    from triton.experimental import gluon
    from triton.experimental.gluon import language as gl

    @gluon.jit
    def kernel(x_ptr):
        gl.store(x_ptr, gl.load(x_ptr))

    kernel[(1,)](torch.randn(64, device="cuda"))


def test_honest_failure():
    x = torch.randn(100, device="cuda")
    torch.testing.assert_close(kernels.double(x)[0], 3 * x)


def test_honest_success():
    x = torch.randn(100, device="cuda")
    torch.testing.assert_close(kernels.double(x)[0], 2 * x)
