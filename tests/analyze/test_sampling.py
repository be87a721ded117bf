"""Sampling points of a unit, through one layer and several, and the drawing of them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from perpixel.analyze.sampling import SamplingPoints, draw_sampling_points, sampling_points
from perpixel.core.errors import UserError
from perpixel.layers.deformable import make_deformable
from perpixel.models import build


def stack(*dilations: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolutions of one channel, made deformable; the first strides."""
    strides = (stride, *[1] * (len(dilations) - 1))
    model = nn.Sequential(
        *(nn.Conv2d(1, 1, 3, s, padding=d, dilation=d, bias=False) for s, d in zip(strides, dilations, strict=True))
    )
    for conv in model:
        nn.init.ones_(conv.weight)
    make_deformable(model, [str(i) for i in range(len(model))])
    return model.double()


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_without_offsets_points_are_the_regular_dilated_grid() -> None:
    found = sampling_points(stack(2), images(1, 1, 20, 20), unit=(9, 10))
    assert found.unit == (9, 10)
    assert found.points.tolist() == [[r, c] for r in (7, 9, 11) for c in (8, 10, 12)]


def test_without_offsets_a_stack_reads_sums_of_grids() -> None:
    found = sampling_points(stack(2, 1, stride=3), images(1, 1, 60, 60), unit=(9, 10), stride=4)
    expected = [
        [4 * (3 * (9 + a) + 2 * b), 4 * (3 * (10 + c) + 2 * d)]
        for a in (-1, 0, 1)
        for c in (-1, 0, 1)
        for b in (-1, 0, 1)
        for d in (-1, 0, 1)
    ]
    assert found.unit == (108, 120)
    assert found.points.tolist() == expected


@pytest.mark.parametrize(("dilations", "linear"), [((1,), False), ((2, 2), False), ((2, 1, 2), True)], ids=str)
def test_points_are_what_the_gradient_reaches(dilations: tuple[int, ...], linear: bool) -> None:
    """With weights of 1, a unit's gradient adds up to the number of its points, and has its centre at their mean.

    Through three layers that is so where offsets change linearly from place to place.
    """
    model, x = stack(*dilations), images(1, 1, 40, 40).requires_grad_()
    places = torch.stack(torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")).double()
    for i, layer in enumerate(model):
        slopes, offset = images(i + 1, 18, 2)[-1], 0.7 * images(i + 1, 18, 40, 40)[-1:]
        if linear:
            offset = 0.05 * (slopes @ (places.flatten(1) - 20)).view(1, 18, 40, 40)
        layer.offset.forward = lambda _, offset=offset: offset
    found = sampling_points(model, x, unit=(19, 21))
    (gradient,) = torch.autograd.grad(model(x)[0, 0, 19, 21], x)
    assert len(found.points) == 9 ** len(dilations)
    assert gradient.sum().item() == pytest.approx(len(found.points))
    mean = (gradient[0] * places).sum((1, 2)) / gradient.sum()
    torch.testing.assert_close(mean, found.points.mean(0), atol=1e-9, rtol=0)
    assert (mean - torch.tensor([19.0, 21.0])).abs().min() > 0.005


def test_points_that_read_nothing_are_left_out() -> None:
    found = sampling_points(stack(2, 2), images(1, 1, 20, 20), unit=(0, 0))
    rows = [0, 2, 0, 2, 4]  # from row 0 the upper layer reads 0 and 2; from there the lower one 0, 2 and 0, 2, 4
    assert sorted(found.points.tolist()) == sorted([r, c] for r in rows for c in rows)


def test_the_network_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = build("deformable_deeplab", num_classes=3, width=4, depth=50).train()
    model.fc6.eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = sampling_points(model, torch.randn(1, 3, 256, 320), unit=(8, 9), stride=16)
    assert found.unit == (128, 144)
    assert found.points.shape == (729, 2)
    assert sorted(set(found.points[:, 0].tolist())) == [32.0 * i + 128 for i in (-3, -2, -1, 0, 1, 2, 3)]
    assert model.training and not model.fc6.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": (20, 0)}, "unit must lie on the map of 20 x 20; got (20, 0)"),
        ({"unit": (0, 0), "names": ["2"]}, 'The network has no deformable convolution "2". There are 0, 1.'),
    ],
)
def test_wrong_questions(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as error:
        sampling_points(stack(1, 1), images(1, 1, 20, 20), **options)  # type: ignore[arg-type]
    assert message in str(error.value)


def test_layers_must_lie_on_one_map() -> None:
    model = stack(1, 1)
    apart = nn.Sequential(model[0], nn.MaxPool2d(2), model[1])
    with pytest.raises(UserError, match="0 gives a map of 20 x 20, and the next layer reads one of 10 x 10"):
        sampling_points(apart, images(1, 1, 20, 20), unit=(5, 5))
    assert len(sampling_points(apart, images(1, 1, 20, 20), unit=(5, 5), stride=2, names=["2"]).points) == 9
    with pytest.raises(UserError, match="This network has no deformable convolution"):
        sampling_points(nn.Conv2d(1, 1, 3), images(1, 1, 20, 20), unit=(5, 5))


def test_points_are_drawn(tmp_path: Path) -> None:
    image = np.full((40, 60, 3), 128, np.uint8)
    found = SamplingPoints((20.0, 30.0), torch.tensor([[5.0, 10.0], [30.2, 50.8], [-20.0, 90.0]]))
    draw_sampling_points(image, found, radius=2).save(tmp_path / "points.png")
    picture = np.asarray(Image.open(tmp_path / "points.png"))
    assert picture.shape == image.shape and (image == 128).all()
    red = (picture == (226, 45, 45)).all(2)
    assert red[5, 10] and red[30, 51] and not red[5, 14]
    assert {(r // 20, c // 30) for r, c in zip(*red.nonzero(), strict=True)} == {(0, 0), (1, 1)}
    assert picture[20, 30].tolist() == [40, 200, 60]
    assert (picture == 128).all(2).mean() > 0.95
