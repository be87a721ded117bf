"""Deformable sampling: the points that the parts of a box read on a person, as they would lie and as they do."""

from functools import cache

import numpy as np
import people
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from style import ACCENT, bare, canvas
from torch import Tensor, nn

from perpixel.detection.operators.deformable_ps_roi_pool import sampling_points

GROUP, STEPS, SCENE, STRIDE, SAMPLES = 3, 150, 7, 8, 4
PERSON = 1


@cache
def trained() -> nn.Module:
    """A deformable R-FCN of 3 x 3 parts that knows people a little."""
    return people.learned("deformable_rfcn", steps=STEPS, group=GROUP)


@torch.no_grad()
def points(model: nn.Module, picture: np.ndarray, box: Tensor) -> tuple[Tensor, Tensor]:
    """Where the class of people is read for a box, before and after the parts move: (2, k * k * 4 * 4) columns and rows in
    pixels of the picture, each."""
    features = model.propose(people.as_input(picture))["features"]  # type: ignore[operator]
    roi = torch.cat([torch.zeros(1), box])[None]
    offsets = model.offsets(features[2], roi)[:, 2 * PERSON : 2 * PERSON + 2]  # type: ignore[operator]
    still, moved = (pixels(roi, o) for o in (torch.zeros_like(offsets), offsets))
    return still, moved


def pixels(roi: Tensor, offsets: Tensor) -> Tensor:
    columns, rows = sampling_points(roi, offsets, GROUP, STRIDE, SAMPLES, spread=0.1)  # 1,1,k,k,4 each
    x = columns[..., None, :].expand(*columns.shape, SAMPLES)
    y = rows[..., None].expand(*rows.shape, SAMPLES)
    return (torch.stack([x.flatten(), y.flatten()]) + 0.5) * STRIDE - 0.5


def sampling() -> Figure:
    """The highest and the lowest person of a scene, each before and after."""
    model = trained()
    picture, objects = people.scene(SCENE)
    heights = objects.boxes[:, 3] - objects.boxes[:, 1]
    figure = canvas(3.3)
    axes = figure.subplots(1, 4)
    for n, chosen in enumerate((int(heights.argmax()), int(heights.argmin()))):
        box = objects.boxes[chosen]
        for ax, found, title in zip(
            axes[2 * n :], points(model, picture, box), ("without offsets", "moved"), strict=False
        ):
            bare(ax, title).imshow(picture, interpolation="nearest")
            around(ax, box, found)
    return figure


def around(ax: Axes, box: Tensor, found: Tensor) -> None:
    """The box and its points, and of the picture what is near."""
    x1, y1, x2, y2 = (box - 0.5).tolist()
    ax.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="white", linewidth=1.2))
    ax.scatter(*found.numpy(), s=7, color=ACCENT, linewidths=0)
    margin = 0.3 * (y2 - y1)
    ax.set_xlim(x1 - margin, x2 + margin)
    ax.set_ylim(y2 + margin, y1 - margin)
