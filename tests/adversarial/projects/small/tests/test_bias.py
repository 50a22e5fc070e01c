import torch
from kernels.bias import bias_act


def test_relu():
    x = torch.randn(6, 50, device="cuda", dtype=torch.float16)
    torch.testing.assert_close(bias_act(x), torch.relu(x))


def test_relu_of_two_sizes():
    x = torch.randn(3, 100, device="cuda", dtype=torch.float16)
    torch.testing.assert_close(bias_act(x), torch.relu(x))
