"""Monte-Carlo dropout on a network: the mean and the variance of its answers."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.infer.monte_carlo import monte_carlo
from perpixel.models.segnet import SegNet, bayesian_segnet, bayesian_segnet_basic


class Dropper(nn.Module):
    """Two classes: the second one's logit is 2 where dropout leaves a 1, else 0. A batch norm makes eval tell."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)
        self.norm = nn.BatchNorm2d(1, eps=1e-5, momentum=0.1)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        left = self.dropout(torch.ones_like(image[:, :1]))
        return {"logits": torch.cat([torch.zeros_like(left), left + 0 * self.norm(left)], dim=1)}


def test_mean_and_variance_are_those_of_the_two_answers() -> None:
    model, odds = Dropper().eval(), torch.tensor(2.0).exp()
    kept, gone = (odds / (1 + odds)).item(), 0.5
    found = monte_carlo(model, torch.zeros(1, 3, 40, 50), samples=50, seed=0)
    share = (found.mean[:, 1] - gone) / (kept - gone)  # of the samples that kept the pixel
    assert torch.allclose(share * 50, (share * 50).round(), atol=1e-3)
    assert share.mean().item() == pytest.approx(0.5, abs=0.01)
    expected = (kept - gone) ** 2 * share * (1 - share)
    torch.testing.assert_close(found.variance[:, 0], expected, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found.uncertainty, expected, atol=1e-6, rtol=1e-4)
    assert found.mean.shape == found.variance.shape == (1, 2, 40, 50)


def test_the_seed_decides_and_nothing_else_changes() -> None:
    torch.manual_seed(0)
    model = bayesian_segnet_basic(3, width=4).train()
    model.dropout.eval()
    image, state = torch.randn(1, 3, 24, 24), torch.get_rng_state()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    first, again = (monte_carlo(model, image, samples=3, seed=5) for _ in range(2))
    other = monte_carlo(model, image, samples=3, seed=6)
    assert torch.equal(first.mean, again.mean)
    assert torch.equal(first.variance, again.variance)
    assert not torch.equal(first.mean, other.mean)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert not model.dropout.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())  # running statistics too
    assert first.variance.max() > 0
    assert first.mean.sum(dim=1).sub(1).abs().max() < 1e-5


def test_one_sample_has_no_variance() -> None:
    found = monte_carlo(bayesian_segnet(3, width=2), torch.randn(2, 3, 8, 8), samples=1)
    assert not found.variance.any()


def test_what_cannot_be_sampled_says_why() -> None:
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(UserError, match="SegNet has no dropout to sample"):
        monte_carlo(SegNet(2, width=1), image)
    with pytest.raises(UserError, match="1 sample or more; got 0"):
        monte_carlo(bayesian_segnet(2, width=1), image, samples=0)
