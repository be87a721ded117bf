"""Tiles give the whole image's answer where the overlap covers what a network looks at."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.infer.pieces import Piece, pieces
from perpixel.infer.tiles import OVERLAP, Span, tiles


def tiled_logits(
    logits: Callable[[Tensor], Tensor],
    image: Tensor,
    tile: int,
    overlap: int = OVERLAP,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """The answers of all tiles put together, at the image's size or another; every pixel exactly once."""
    working = (image.shape[-2], image.shape[-1])
    size = size or working
    result, times = torch.full((1, 1, *size), torch.nan), torch.zeros(size, dtype=torch.int64)
    for rows, columns in tiles(*working, tile, overlap):
        values = logits(image[..., rows.start : rows.stop, columns.start : columns.stop])
        for piece in pieces(values, rows, columns, working, size):
            result = result.expand(-1, values.shape[1], -1, -1).contiguous() if result.shape[1] == 1 else result
            result[:, :, *piece.place] = piece.values
            times[piece.place] += 1
    assert (times == 1).all()
    return result


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


SIZES = [
    ((40, 60), (40, 60)),
    ((40, 60), (80, 120)),  # twice
    ((40, 60), (27, 40)),  # predict_scale 1.5
    ((40, 60), (160, 241)),
    ((40, 60), (1, 1)),
    ((40, 60), (3, 500)),
    ((1, 1), (5, 7)),
    ((1, 90), (4, 360)),
    ((200, 130), (411, 267)),
    ((200, 130), (133, 87)),
]


@pytest.mark.parametrize(("working", "size"), SIZES)
@pytest.mark.parametrize("tile", [64, 4096])
@pytest.mark.parametrize("piece", [1, 2**22])
def test_pieces_are_interpolated_as_torch_does_the_whole(
    working: tuple[int, int], size: tuple[int, int], tile: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that do not depend on where a tile is cut must come out as from one resize, also between tiles."""
    monkeypatch.setattr("perpixel.infer.pieces.PIECE", piece)
    image = torch.randn(1, 3, *working, generator=torch.Generator().manual_seed(0))
    whole = F.interpolate(image.double(), size, mode="bilinear", align_corners=False).float()
    got = tiled_logits(nn.Identity(), image, tile, 16, size)
    torch.testing.assert_close(got, whole, atol=1e-5, rtol=1e-5)
    if size != working and min(working) > 1 and min(size) > 1:
        other = F.interpolate(image, size, mode="bilinear", align_corners=True)
        assert (got - other).abs().max() > 1e-2  # or the test would not tell the two apart


def test_a_piece_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perpixel.infer.pieces.PIECE", 5000)
    values = torch.zeros(1, 4, 20, 30)
    found = list(pieces(values, Span(0, 0, 20, 20), Span(0, 0, 30, 30), (20, 30), (200, 300)))
    assert len(found) > 10
    assert all(piece.values.numel() <= 5000 for piece in found)
    assert isinstance(found[0], Piece)
