"""Tiles give the whole image's answer where the overlap covers what a network looks at."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.infer.tiles import OVERLAP, tiled_logits


def network() -> nn.Module:
    """Seven 3x3 convolutions: a receptive field of 7 pixels to each side."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), *(nn.Conv2d(4, 4, 3, padding=1) for _ in range(6))).eval()


class Strided(nn.Module):
    """Sixteen times down, two 3x3, sixteen times up; pads at the end as networks with a size rule do. 48 pixels a side."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 4, 16, stride=16)
        self.middle = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))
        self.up = nn.ConvTranspose2d(4, 4, 16, stride=16)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % 16, 0, -height % 16))
        return self.up(self.middle(self.down(padded)))[..., :height, :width]


class Counting:
    def __init__(self, model: nn.Module) -> None:
        self.model, self.sizes = model, []

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        self.sizes.append(tuple(image.shape[-2:]))
        return self.model(image)


@pytest.mark.parametrize("size", [(64, 64), (65, 64), (33, 150), (400, 12), (97, 129)])
def test_tiled_equals_whole(size: tuple[int, int]) -> None:
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    logits = Counting(network())
    whole = logits(image)
    logits.sizes.clear()
    tiled = tiled_logits(logits, image, tile=64, overlap=14)
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=0)
    if size[0] * size[1] > 64 * 64:
        assert len(logits.sizes) > 1
        assert max(max(s) for s in logits.sizes) <= 64 or min(size) < 64
        assert all(h <= 64 and w <= 64 for h, w in logits.sizes)


@pytest.mark.parametrize("size", [(200, 332), (64, 420), (165, 197), (201, 129), (129, 131)])
def test_tiled_equals_whole_for_a_network_with_strides(size: tuple[int, int]) -> None:
    """The tiles must lie on the network's own grid: the last one too, whatever the image's size."""
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    logits = Counting(Strided())
    torch.testing.assert_close(tiled_logits(logits, image, 160, 96), logits(image), atol=1e-5, rtol=0)


def test_a_smaller_overlap_than_the_receptive_field_shows() -> None:
    """Otherwise the tests above would prove nothing."""
    image = torch.randn(1, 3, 100, 131)
    logits = Counting(network())
    assert (tiled_logits(logits, image, 68, 4) - logits(image)).abs().max() > 1e-4


def test_global_context_differs() -> None:
    """A network that pools over all that it sees cannot be the same in tiles."""

    def logits(image: Tensor) -> Tensor:
        return image + F.adaptive_avg_pool2d(image, 1)

    image = torch.randn(1, 3, 100, 131)
    assert (tiled_logits(logits, image, 64, 32) - logits(image)).abs().max() > 1e-3


def test_a_small_image_goes_whole() -> None:
    logits = Counting(network())
    tiled_logits(logits, torch.zeros(1, 3, 16, 250), tile=64, overlap=14)
    assert logits.sizes == [(16, 250)]  # 4000 pixels, fewer than 64 * 64


@pytest.mark.parametrize("tile", [64, 128, 256, OVERLAP + 1])
def test_a_tile_no_larger_than_the_overlap_stays_quick(tile: int) -> None:
    """Half a tile of new pixels at least: else the number of tiles explodes."""
    logits = Counting(nn.Identity())
    image = torch.randn(1, 3, 600, 600)
    torch.testing.assert_close(tiled_logits(logits, image, tile), image)
    assert len(logits.sizes) <= (2 * 600 // tile + 1) ** 2


@pytest.mark.parametrize("tile", [0, -5, 31])
def test_a_tile_too_small(tile: int) -> None:
    with pytest.raises(UserError, match="tile"):
        tiled_logits(nn.Identity(), torch.zeros(1, 3, 50, 50), tile)
