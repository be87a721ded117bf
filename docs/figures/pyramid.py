"""Pyramid pooling: the grids on a picture, what is left of it in each, and what comes back beside every position."""

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from style import canvas

from perpixel.data.scenes import make_scene
from perpixel.layers.resize import resize

BINS = (1, 2, 3, 6)
SIZE = (120, 160)


def pyramid() -> Figure:
    """One column for each number of bins: grid, averages, and the averages resized to the map's size."""
    picture, _ = make_scene(3, 3, SIZE)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    figure = canvas(5.0)
    axes = figure.subplots(3, len(BINS))
    for column, bins in enumerate(BINS):
        pooled = F.adaptive_avg_pool2d(image, bins)  # 1,3,n,n
        back = resize(pooled, SIZE, align_corners=True)
        grid, cells, wide = axes[:, column]
        grid.imshow(picture)
        for i in range(1, bins):
            grid.axhline(i * SIZE[0] / bins - 0.5, color="white", linewidth=1.6)
            grid.axvline(i * SIZE[1] / bins - 0.5, color="white", linewidth=1.6)
        grid.set_title(f"{bins} x {bins}")
        cells.imshow(as_picture(pooled), aspect=SIZE[0] / SIZE[1], interpolation="nearest")
        wide.imshow(as_picture(back))
    for ax in axes.flat:
        ax.set_xticks([])
        ax.set_yticks([])
    for ax, name in zip(axes[:, 0], ("the map, with grid", "averaged", "back at its size"), strict=True):
        ax.set_ylabel(name)
    return figure


def as_picture(x: torch.Tensor) -> np.ndarray:
    """(1, 3, h, w) in [0, 1] -> (h, w, 3)."""
    return x[0].permute(1, 2, 0).clamp(0, 1).numpy()
