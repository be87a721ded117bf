"""Gridding as a number: how much of a feature map is a pattern that repeats with the dilation's sampling lattice.

A convolution of dilation d reads places d apart, so that a map falls into d x d phases, sub-maps that never meet. What
differs between them at one place of the image is the grid. Pictures of it: Yu, Koltun, Funkhouser, "Dilated Residual
Networks", CVPR 2017, figure 4. The number is perpixel's own.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from perpixel.analyze.maps import LOGITS, Maps, map_shapes
from perpixel.core.errors import UserError


def gridding(feature_map: Tensor, period: int) -> float:
    """Energy of a map over what is left of it without its grid: 1 for none, infinite for a map that is nothing else.

    The map is cut into windows of 2 x 2 lattice cells, 2 d pixels a side. In a window a phase has 4 values. With B the
    variance of the d * d phases' means, W the mean variance within phases (both over degrees of freedom), E the mean
    square of all values, each averaged over windows and channels,

        grid = (1 - 1 / d^2) max(B - W / 4, 0),    gridding = E / (E - grid).

    W / 4 is what B is expected to be where nothing repeats: white noise has gridding 1 (on average), and so has a linear ramp,
    exactly; a constant has 1. Zeros with one phase of ones have d^2, a checkerboard of 0 and 1 has 2, one of -1 and 1 is
    infinite. A constant added to a map makes its grid a smaller part of it, so that maps after a ReLU compare best.

    Args:
        feature_map: `(C, h, w)` or `(B, C, h, w)`; rows and columns beyond the last whole window are left out.
        period: d, the largest dilation on the way to the map, in its own pixels; a grid of a divisor of d counts as well.

    Raises:
        UserError: a period below 2, or a map smaller than one window.
    """
    if period < 2:
        raise UserError(f"a grid has a period of 2 or more; got {period}")
    x = feature_map.double().flatten(0, -3)  # N,h,w
    rows, columns = (n // (2 * period) for n in x.shape[-2:])
    if not rows * columns:
        raise UserError(
            f"gridding of period {period} needs a map of {2 * period} x {2 * period} or more; got "
            f"{x.shape[-2]} x {x.shape[-1]}"
        )
    x = x[:, : rows * 2 * period, : columns * 2 * period]
    cells = x.reshape(-1, rows, 2, period, columns, 2, period)  # N, window, cell, phase, window, cell, phase
    phases = cells.permute(0, 1, 4, 3, 6, 2, 5).flatten(5).flatten(3, 4)  # N, windows down, across, d * d, 4
    between = phases.mean(dim=-1).var(dim=-1).mean()
    within = phases.var(dim=-1).mean()
    energy = x.square().mean()
    grid = (1 - 1 / period**2) * (between - within / 4).clamp(min=0)
    if energy == 0:
        return 1.0
    left = float(energy - grid)
    return float(energy) / left if left > 1e-12 * float(energy) else float("inf")


def gridding_by_layer(
    model: nn.Module, image: Tensor, layers: Iterable[str] | None = None, period: int | None = None
) -> dict[str, float]:
    """`gridding` of the maps of a network, in the order in which they are made.

    Args:
        model: any network, in eval mode if it shall be judged as it predicts.
        image: `(B, C, H, W)`, normalised.
        layers: names of `model.named_modules()`, or "logits"; None for every layer whose map is large enough, without
            those that resize maps and so have no lattice of their own: the logits.
        period: the same for all layers, in their own pixels; None for the network's largest dilation.

    Raises:
        UserError: a network without dilation and no period; no such layer; a map that is too small.
    """
    period = largest_dilation(model) if period is None else period
    if period < 2:
        raise UserError(f"{type(model).__name__} has no dilated convolution; say a period of 2 or more")
    shapes = map_shapes(model, image)
    if layers is None:
        layers = [n for n, (_, h, w) in shapes.items() if n != LOGITS and min(h, w) >= 2 * period]
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        found = Maps(model, layers, lambda _, values: torch.tensor(gridding(values, period)))(image)
    return {name: float(found[name]) for name in shapes if name in found}


def largest_dilation(model: nn.Module) -> int:
    """Of all convolutions, rows and columns; 1 for none."""
    return max((max(m.dilation) for m in model.modules() if isinstance(m, nn.Conv2d)), default=1)
