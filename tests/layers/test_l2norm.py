"""L2 normalisation against its formula."""

import math

import torch

from perpixel.layers.l2norm import L2Norm


def test_every_value_follows_the_formula() -> None:
    torch.manual_seed(0)
    norm, x = L2Norm(3).double(), torch.randn(2, 3, 2, 4, dtype=torch.float64)
    with torch.no_grad():
        norm.scale.copy_(torch.tensor([1.0, 20.0, -3.0]))
    y, looked = norm(x), 0
    for b in range(2):
        for i in range(2):
            for j in range(4):
                length = math.sqrt(sum(x[b, k, i, j].item() ** 2 for k in range(3)) + 1e-10)
                for c, scale in enumerate((1.0, 20.0, -3.0)):
                    assert math.isclose(y[b, c, i, j].item(), scale * x[b, c, i, j].item() / length, rel_tol=1e-12)
                    looked += 1
    assert looked == 48


def test_every_pixel_starts_with_length_ten_whatever_its_size() -> None:
    x = torch.randn(1, 64, 3, 5) * torch.logspace(-3, 3, 15).view(1, 1, 3, 5)
    torch.testing.assert_close(L2Norm(64)(x).norm(dim=1), torch.full((1, 3, 5), 10.0), atol=1e-2, rtol=0)


def test_a_pixel_of_zeros_stays_and_has_a_finite_gradient() -> None:
    x = torch.zeros(1, 4, 2, 2, requires_grad=True)
    norm = L2Norm(4)
    y = norm(x)
    assert not y.any()
    y.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.isfinite(norm.scale.grad).all()


def test_eps_is_under_the_root() -> None:
    norm = L2Norm(1, initial_scale=1.0, eps=16.0).double()
    assert norm(torch.full((1, 1, 1, 1), 3.0, dtype=torch.float64)).item() == 3 / 5  # 3 / sqrt(9 + 16)


def test_gradients_agree_with_finite_differences() -> None:
    torch.manual_seed(0)
    norm = L2Norm(3).double()
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(norm, (x,))
    assert list(norm.state_dict()) == ["scale"]
