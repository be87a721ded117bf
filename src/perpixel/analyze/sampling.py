"""Where a network with deformable convolutions looks: the learned sampling points of one of its units, on the image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError, nearest
from perpixel.core.image import Array
from perpixel.layers.deformable import DeformableConv2d

POINT, UNIT = (226, 45, 45), (40, 200, 60)


@dataclass(frozen=True)
class SamplingPoints:
    """Pixels of the image as (row, column), fractional; (0, 0) is the centre of the first.

    unit: where the unit itself lies.
    points: `(N, 2)`, all that it reads: 9 a layer and offset group, so 9 ** n through n layers. Points outside the
        map, where a layer reads zero, are left out; the image's border cuts them where the map is padded.
    """

    unit: tuple[float, float]
    points: Tensor


@dataclass(frozen=True)
class Visit:
    """A deformable layer, the size of the map that it read, and the offsets that it found, `(18 * groups, h, w)`."""

    name: str
    layer: DeformableConv2d
    size: Size
    offset: Tensor


def sampling_points(
    model: nn.Module, image: Tensor, unit: tuple[int, int], stride: int = 1, names: Sequence[str] | None = None
) -> SamplingPoints:
    """The points that one unit of the last deformable layer reads, through all the deformable layers before it.

    Args:
        model: with `DeformableConv2d` layers, that run one after the other; it is left as it is, and runs in eval mode.
        image: `(1, C, H, W)` float, normalised, as the network takes it.
        unit: (row, column) on the output of the last of these layers.
        stride: the pixels between two places of the map that the first of them reads, such as 16 in
            `deformable_deeplab`. The first place lies over pixel 0, as in every network whose strided convolutions are
            padded by half of their kernel.
        names: of the layers to go through, as in `model.named_modules()`; None for all. Between two of them the map
            must keep its size; what plain convolutions there may read beside a place is not followed.

    A point between four units of the layer below reads all four; it is followed as one, with the mean of their offsets
    that bilinear sampling takes. (The authors' drawings round it to the nearest.)

    Raises:
        UserError: there is no such layer or unit, or the layers lie on different maps.

    Source: Dai et al., "Deformable Convolutional Networks", ICCV 2017, figure 6.
    """
    visits = watch(model, image, chosen_layers(model, names))
    rows, columns = visits[-1].offset.shape[-2:]
    if not (0 <= unit[0] < rows and 0 <= unit[1] < columns):
        raise UserError(f"unit must lie on the map of {rows} x {columns}; got ({unit[0]}, {unit[1]})")
    points = centre = torch.tensor([unit], dtype=torch.float64)
    size: Size = (rows, columns)
    for visit in reversed(visits):
        if visit.offset.shape[-2:] != size:
            raise UserError(
                f"{visit.name} gives a map of {visit.offset.shape[-2]} x {visit.offset.shape[-1]}, and the next layer "
                f"reads one of {size[0]} x {size[1]}; choose names of layers on one map"
            )
        size = visit.size
        points = inside(visit.layer.points_read(visit.offset, points).flatten(0, 1), size)
        centre = visit.layer.points_read(torch.zeros_like(visit.offset), centre)[:, 4]
    row, column = (centre[0] * stride).tolist()
    return SamplingPoints((row, column), points * stride)


def chosen_layers(model: nn.Module, names: Sequence[str] | None) -> dict[str, DeformableConv2d]:
    """The deformable layers of a network, or those of them that were asked for."""
    found = {name: part for name, part in model.named_modules() if isinstance(part, DeformableConv2d)}
    if not found:
        raise UserError("This network has no deformable convolution. `layers.deformable.make_deformable` makes some.")
    for name in names or ():
        if name not in found:
            hint = nearest(name, found) or f" There are {', '.join(found)}."
            raise UserError(f'The network has no deformable convolution "{name}".{hint}')
    return found if names is None else {name: found[name] for name in names}


def watch(model: nn.Module, image: Tensor, layers: dict[str, DeformableConv2d]) -> list[Visit]:
    """Runs the network once; the layers in the order in which they ran."""
    visits: list[Visit] = []

    def note(name: str, layer: DeformableConv2d, x: Tensor, offset: Tensor) -> None:
        visits.append(Visit(name, layer, (x.shape[-2], x.shape[-1]), offset[0].double().cpu()))

    hooks = [
        layer.offset.register_forward_hook(lambda _, inputs, output, n=name, m=layer: note(n, m, inputs[0], output))
        for name, layer in layers.items()
    ]
    modes = {part: part.training for part in model.modules()}
    try:
        with torch.no_grad():
            model.eval()(image)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    return visits


def inside(points: Tensor, size: Size) -> Tensor:
    """Those of `(N, 2)` points of which bilinear sampling reads anything on a map of `size`."""
    return points[((points > -1) & (points < torch.tensor(size))).all(dim=1)]


def draw_sampling_points(image: Array, found: SamplingPoints, radius: float | None = None) -> Image.Image:
    """The image with a red dot at every point and a green one at the unit; `.save("points.png")` writes it.

    Args:
        image: (H, W, 3) uint8 in [0, 255]; the network's input, before normalisation.
        found: what `sampling_points` gave for it. Dots beyond the image's border are cut.
        radius: of the dots, in pixels; None for a 200th of the longer side, and no less than 1.5.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    radius = max(1.5, max(picture.size) / 200) if radius is None else radius
    for row, column in found.points.tolist():
        draw.ellipse((column - radius, row - radius, column + radius, row + radius), fill=POINT)
    row, column = found.unit
    draw.ellipse((column - 1.5 * radius, row - 1.5 * radius, column + 1.5 * radius, row + 1.5 * radius), fill=UNIT)
    return picture
