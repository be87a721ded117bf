"""U-Net's sizes, level by level, and its overlap-tile strategy."""

import math

import pytest
import torch

from perpixel.core.geometry import unet_valid_input, unet_valid_output
from perpixel.models.unet import UNet, crop_centre


@pytest.mark.parametrize(("size", "output"), [(572, 388), (556, 372), (508, 324), (380, 196), (252, 68), (188, 4)])
def test_sizes_of_the_paper(size: int, output: int) -> None:
    assert unet_valid_output(size) == output
    assert unet_valid_input(output) == size


def test_every_size_follows_the_rule_of_sixteen() -> None:
    for length in range(1, 600):
        expected = next(s for s in range(188, 900, 16) if s - 184 >= length)  # 16 m + 12, output = input - 184
        assert unet_valid_input(length) == expected
        assert unet_valid_output(expected) == expected - 184


@pytest.mark.parametrize("size", [571, 573, 574, 580, 187, 172, 12, 1, 0])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="unet_valid_input"):
        unet_valid_output(size)
    with pytest.raises(ValueError, match="1 row or more"):
        unet_valid_input(0)


def test_maps_have_the_sizes_of_the_papers_figure() -> None:
    with torch.device("meta"):
        model, image = UNet(2, in_channels=1), torch.empty(1, 1, 388, 388)
    seen: list[tuple[int, int]] = []
    for part in [*model.contracting, *(step.convs for step in model.expansive)]:
        part.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[-1])))
    assert model(image)["logits"].shape == (1, 2, 388, 388)
    down = [(64, 568), (128, 280), (256, 136), (512, 64), (1024, 28)]
    assert seen == [*down, (512, 52), (256, 100), (128, 196), (64, 388)]


def test_away_from_the_border_tiles_equal_the_whole() -> None:
    """Unpadded convolutions know nothing of the border: a tile moved by 16, the pooling grid, repeats the whole."""
    torch.manual_seed(0)
    model = UNet(2, in_channels=1, width=4).eval()
    image = torch.randn(1, 1, 228, 244)
    with torch.no_grad():
        whole = model(image)["logits"]
        tile = model(image[..., 16:])["logits"]
    # A pixel sees 92 pixels and one cell of the pooling grid around itself: 108. Here all of these are real pixels.
    torch.testing.assert_close(whole[..., 108:120, 124:136], tile[..., 108:120, 108:120], atol=1e-5, rtol=0)
    assert (whole[..., :4, 16:20] - tile[..., :4, :4]).abs().max() > 1e-4


def test_skips_are_cropped_in_the_middle() -> None:
    rows = torch.arange(64.0).view(1, 1, 64, 1).expand(1, 1, 64, 70)
    cropped = crop_centre(rows, (56, 60))  # the deepest skip of the paper: 64 to 56, four from each side
    assert cropped.shape == (1, 1, 56, 60)
    assert (cropped[0, 0, 0, 0], cropped[0, 0, -1, 0]) == (4, 59)
    columns = crop_centre(rows.transpose(2, 3), (60, 56))
    assert (columns[0, 0, 0, 0], columns[0, 0, 0, -1]) == (4, 59)


def test_initial_weights_have_the_papers_deviation() -> None:
    torch.manual_seed(0)
    model = UNet(2, width=32)
    bottom, up = model.contracting[4][2], model.expansive[0].up_conv
    assert bottom.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 512)), rel=0.01)
    assert up.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.01)  # each output sees one of 2x2
    assert not bottom.bias.any()


def test_batch_norm_takes_the_place_of_the_biases() -> None:
    plain, normed = UNet(2, width=8), UNet(2, width=8, norm="batch")
    channels = 2 * sum([8, 16, 32, 64, 128, 64, 32, 16, 8])
    extra = sum(p.numel() for p in normed.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == channels  # two numbers a channel instead of one
