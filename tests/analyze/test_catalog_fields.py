"""The fields of every network of the catalog that sees a part of the image only, against what gradients reach.

Rows are tried on an image that is long and narrow, so that a field of a thousand rows lies inside it; columns on one that
is wide.
"""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.analyze import Field, receptive_fields
from perpixel.analyze.trace import Boxes, trace
from perpixel.core.networks import read_fields
from perpixel.models import MODELS, build
from perpixel.models.hrnet import HRNet

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from cases import CASES
from footprints import above_zero, gradient_box, linear

GLOBAL = {
    "decouplednet", "deeplabv3", "deeplabv3plus", "deformable_deeplab", "encnet", "fast_scnn", "fpn", "multi_scale", "parsenet",
    "pspnet", "segformer",
}  # fmt: skip
LOCAL = [name for name in MODELS if name not in GLOBAL]
NARROW = 8


def small(name: str) -> nn.Module:
    """A thin variant; those without a case of their own take the options of the one that they are like."""
    if name in ("hrnet_w18", "hrnet_w32", "hrnet_w40", "hrnet_w48"):
        return HRNet(num_classes=2, in_channels=1, width=4)
    cases = {case.name: case for case in CASES if case.small is not None}
    like = {case.name: case.like for case in CASES if case.like}
    options = cases[like.get(name, name)].small or {}
    return build(name, num_classes=2, in_channels=1, **{k: v for k, v in options.items() if k != "aux"})


def longest(boxes: Boxes, axis: int, length: int) -> int:
    """The number of the unit, of those that lie inside with all they see, that sees most."""
    ends = [box[2 * axis : 2 * axis + 2] for n in range(length) if (box := boxes.box(unit(n, axis)))]
    sides = [b - a if a > 0 and b < length - 1 else -1 for a, b in ends]
    return int(np.argmax(sides))


def unit(number: int, axis: int) -> tuple[int, int, int, int]:
    return (0, 0, number, NARROW // 2) if axis == 0 else (0, 0, NARROW // 2, number)


@pytest.mark.parametrize("name", LOCAL)
def test_a_field_is_what_gradients_reach(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = small(name)
    field = receptive_fields(model, in_channels=1)["logits"]
    above_zero(model)
    for axis in (0, 1) if field.size[0] < 600 else (0,):
        check_axis(model, field, axis, monkeypatch)
    listed = read_fields()[name][-1]  # of default options; counted again in test_fields_table.py
    assert (listed.size, listed.stride) == (field.size, field.stride) or name in ("drn_timm",)


def check_axis(model: nn.Module, field: Field, axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    length = int(field.size[axis]) + 65
    size = (length, NARROW) if axis == 0 else (NARROW, length)
    (boxes,) = trace(model, size, in_channels=1).outputs["logits"]
    assert boxes is not None
    most = longest(boxes, axis, length)
    image = torch.rand(1, 1, *size, dtype=torch.float64, requires_grad=True)
    with linear(monkeypatch):
        logits = model(image)["logits"]
        for number in {most, 0, length // 3, length - 1}:
            reached = gradient_box(logits[unit(number, axis)], image)
            assert reached == boxes.box(unit(number, axis)), (axis, number)
            seen = reached[2 * axis + 1] - reached[2 * axis] + 1
            assert seen <= field.size[axis]
            assert number != most or seen == field.size[axis]


def test_the_others_see_everything() -> None:
    for name in sorted(GLOBAL):
        field = read_fields()[name][-1]
        assert field.size == (None, None), name
        assert field.note.startswith(("global: ", "unbounded: ")), name
        assert "taken to read" not in field.note, name
