"""Tiles with the halo that is said give the whole image's logits, and with less they do not."""

import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import Halo, halo
from perpixel.core.errors import UserError
from perpixel.models import build

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from footprints import above_zero


class Small(nn.Module):
    """Two halvings, a dilated convolution, and back up."""

    def __init__(self, mode: str, align_corners: bool | None = None) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.MaxPool2d(2, ceil_mode=True))
        self.wide = nn.Conv2d(2, 2, 3, padding=3, dilation=3)
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.wide(self.down(x))
        return {"logits": F.interpolate(y, x.shape[2:], mode=self.mode, align_corners=self.align_corners)}


def tiled(model: nn.Module, image: Tensor, found: Halo, rows: int, columns: int, less: int = 0) -> Tensor:
    """The logits of an image, from tiles of so many pixels and the halo around them, or `less` of it."""
    height, width = image.shape[2:]
    above, below, left, right = (
        -(-max(0, m - less) // g) * g for m, g in zip(found.margins, (*found.grid * 2,), strict=True)
    )
    whole = torch.empty_like(image)
    for y in range(0, height, rows):
        for x in range(0, width, columns):
            top, start = max(0, y - above), max(0, x - left)
            part = image[..., top : min(height, y + rows + below), start : min(width, x + columns + right)]
            answer = model(part)["logits"][:, :1]
            cut = answer[..., y - top : y - top + rows, x - start : x - start + columns]
            whole[..., y : y + rows, x : x + columns] = cut
    return whole


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("small", (96, 104)),
        ("unet", (272, 240)),
        ("segnet_basic", (272, 256)),
        ("drn_d_22", (40, 608)),
        ("erfnet", (16, 1304)),
    ],
)
def test_tiles_equal_the_whole(name: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    options = {"unet": {"width": 2}, "segnet_basic": {"width": 4}, "drn_d_22": {"width": 0.0625}, "erfnet": {}}
    model = Small("bilinear", False) if name == "small" else build(name, num_classes=1, in_channels=1, **options[name])
    above_zero(model)
    found = halo(model, in_channels=1)
    assert found is not None
    image = torch.rand(1, 1, *size, dtype=torch.float64)
    whole = model(image)["logits"][:, :1]
    rows, columns = (step * -(-24 // step) for step in found.grid)
    columns *= 1 if size[1] < 300 else 16
    torch.testing.assert_close(tiled(model, image, found, rows, columns), whole, rtol=1e-9, atol=1e-12)
    part = tiled(model, image, found, rows, columns, less=4 if name == "small" else max(found.margins))
    assert (part - whole).abs().max() > 1e-9 * whole.abs().max()


def test_margins_by_hand() -> None:
    """A logit of the small one lies in a cell of 4, and reads 3 cells to either side, each of which reads one pixel above
    and left of itself: the last pixel of a cell sees 3 + 12 + 1 above, the first one 3 + 12 below."""
    assert halo(Small("nearest"), in_channels=1) == Halo((16, 15, 16, 15), (4, 4), any_size=False)
    assert halo(nn.ModuleList([Named(nn.Conv2d(1, 1, (3, 5), padding=(1, 2)))])[0], 1) == Halo(
        (1, 1, 2, 2), (1, 1), True
    )


class Named(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.inner(x)}


@pytest.mark.parametrize(
    "model",
    [
        Named(nn.InstanceNorm2d(1)),
        Named(nn.Sequential(nn.AvgPool2d(2), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))),
    ],
)
def test_no_tiles(model: nn.Module) -> None:
    assert halo(model, in_channels=1) is None


def test_wrong_questions() -> None:
    with pytest.raises(UserError, match='no output "logit"'):
        halo(Small("nearest"), in_channels=1, name="logit")
    with pytest.raises(UserError, match="down must be a map of the image's size"):
        halo(Small("nearest"), in_channels=1, name="down")
