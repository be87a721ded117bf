"""Strides of units, held against the sizes of maps; and maps of layers that run several times."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import receptive_fields
from perpixel.analyze.dry_run import blank
from perpixel.analyze.effective import effective_field
from perpixel.analyze.maps import Maps, map_shapes
from perpixel.core.networks import read_fields
from perpixel.models import MODELS, build


@pytest.mark.parametrize("name", [name for name in MODELS if name != "multi_scale"])  # its parts run at two scales
def test_strides_are_the_sizes_of_maps(name: str) -> None:
    """512 pixels more make a map longer by 512 / stride, whatever borders a network adds."""
    with torch.device("meta"):
        model = build(name, num_classes=19).eval()
    with torch.no_grad():
        small, large = (map_shapes(model, blank(model, (side, side), 3)) for side in (512, 1024))
    known = [f for f in read_fields()[name] if f.stride[0] is not None and f.layer in small]
    assert known or name in ("fpn", "segformer", "pspnet", "deeplabv3", "deformable_deeplab"), "which layers?"
    for field in known:
        assert field.stride[0] == 512 / (large[field.layer][1] - small[field.layer][1]), field.layer


class Unpooled(nn.Module):
    """A pooling's values at the places of the maxima, and beside them a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1, output_padding=1)
        self.after = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        pooled, places = F.max_pool2d(image, 2, return_indices=True)
        return self.after(self.up(pooled) + F.max_unpool2d(pooled, places, 2))


def test_units_behind_an_unpooling() -> None:
    """Even rows read a window, odd ones two: 4 pixels; a 3x3 adds a row on both sides, of other windows."""
    field = receptive_fields(Unpooled(), in_channels=1)["after"]
    assert (field.size, field.stride) == ((6, 6), (1.0, 1.0))


class Shared(nn.Module):
    """One activation behind two convolutions, of 2 channels and of 8."""

    def __init__(self) -> None:
        super().__init__()
        self.few, self.many, self.act = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 8, 1), nn.ReLU()

    def forward(self, image: Tensor) -> Tensor:
        return self.act(self.many(self.act(self.few(image))))


def test_a_layer_that_runs_twice_counts_by_its_last_run() -> None:
    model, image = Shared(), torch.rand(1, 1, 5, 5)
    maps = Maps(model, ["act"], lambda _, values: values[0, 7].clone())
    for _ in range(2):  # the second pass knows how many runs there are
        torch.testing.assert_close(maps(image)["act"], model(image)[0, 7])
    assert effective_field(model, [image], "act", channel=7).energy.shape == (5, 5)


def test_what_is_wrong_with_the_last_run_is_said() -> None:
    maps = Maps(Shared(), ["act"], lambda _, values: values[0, 8].clone())
    with pytest.raises(IndexError):
        maps(torch.rand(1, 1, 5, 5))
