"""Gridding: what dilated residual networks make of one strong value, and which of them smooth it."""

import numpy as np
import torch
from matplotlib.figure import Figure
from style import ACCENT, bare, canvas

from perpixel.models.backbones.drn import DRN

SIDE, MIDDLE, DRAWS, WIDTH = 41, 20, 16, 0.25


def response(name: str, first: int, last: int) -> np.ndarray:
    """(41, 41): how strongly levels `first` to `last` (counted from 1) answer to one value at the middle of a map.

    The mean of the magnitude over channels and over 16 draws of fresh weights, so that no draw's luck is shown; the
    largest is 1. Every other value of the map that level `first` takes is zero.
    """
    total = np.zeros((SIDE, SIDE))
    for seed in range(DRAWS):
        torch.manual_seed(seed)
        network = DRN(name, width=WIDTH).eval()
        x = torch.zeros(1, network.channels[first - 2], SIDE, SIDE)
        x[..., MIDDLE, MIDDLE] = torch.rand(x.shape[1])
        with torch.no_grad():
            for level in network.levels[first - 1 : last]:
                x = level(x)
        answer = x.abs().mean(dim=(0, 1)).numpy()
        total += answer / answer.sum()
    return total / total.max()


def unevenness(answer: np.ndarray) -> float:
    """The mean over the places an even number of rows and columns from the middle, by the mean over all others.

    1 for a smooth answer; the more a grid stands out, the larger; infinite where all others are zero.
    """
    rows, columns = np.indices(answer.shape)
    even = ((rows - MIDDLE) % 2 == 0) & ((columns - MIDDLE) % 2 == 0)
    others = answer[~even].mean()
    return float(answer[even].mean() / others) if others > 0 else float("inf")


PANELS = (
    ("DRN-A-18: last map,\nbehind dilation 4", "drn_a_18", 3, 4),
    ("DRN-B-26 and C-26:\nlevel 6, behind dilation 4", "drn_c_26", 5, 6),
    ("DRN-B-26: last map,\nlevel 8", "drn_b_26", 5, 8),
    ("DRN-C-26: last map,\nlevel 8", "drn_c_26", 5, 8),
)
"""Title, network, and the first and last of the levels that the value passes."""


def gridding() -> Figure:
    """The answers of DRN-A, B and C, as maps and along the middle row."""
    figure = canvas(4.5)
    maps, profiles = figure.subplots(2, len(PANELS), height_ratios=(3, 1.7))
    for ax, line, (title, name, first, last) in zip(maps, profiles, PANELS, strict=True):
        answer = response(name, first, last)
        bare(ax, title).imshow(np.sqrt(answer), cmap="Blues", interpolation="nearest", vmin=0, vmax=1)
        ax.axhline(MIDDLE, color=ACCENT, linewidth=0.8, alpha=0.6, xmax=0.06)
        ax.axhline(MIDDLE, color=ACCENT, linewidth=0.8, alpha=0.6, xmin=0.94)
        line.plot(np.arange(SIDE) - MIDDLE, answer[MIDDLE], color=ACCENT, linewidth=1.4)
        line.set_ylim(0, 1.05)
        line.set_xticks([-16, -8, 0, 8, 16])
        line.set_yticks([0, 1])
        line.tick_params(labelsize=9)
        ratio = unevenness(answer)
        line.set_xlabel("even places only" if ratio == np.inf else f"even / other places: {ratio:.1f}")
        line.spines[["top", "right"]].set_visible(False)
    profiles[0].set_ylabel("middle row")
    return figure
