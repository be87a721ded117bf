"""The camera and the canvas: points of the world in metres go in, image and labels come out together.

World: X to the right (0 is the middle of the road), Y up (0 is the ground), Z away from the camera (0 at the camera).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perpixel.core import Size

NEAR = 0.6
SUPER = 2

Colour = tuple[float, float, float]
Point = tuple[float, float, float]


class Pixels(NamedTuple):
    """A point of the canvas, in canvas pixels from its top left corner."""

    x: float
    y: float


@dataclass(frozen=True)
class Camera:
    """A pinhole above the road, a little turned and rolled, in a street that may bend.

    size: (H, W) of the canvas. focal: in pixels. vanishing: (x, y) where the straight road would end, in pixels.
    x, height: where it is, in metres. roll: radians. bend: how the street leaves the straight line, X += bend * Z**2.
    """

    size: Size
    focal: float
    vanishing: tuple[float, float]
    x: float
    height: float
    roll: float
    bend: float

    def project(self, point: Point) -> Pixels:
        """Where a point of the world is on the canvas; a point behind the camera goes to the near plane."""
        depth = point[2] if point[2] > NEAR else NEAR
        across = self.focal * (point[0] - self.x + self.bend * depth * depth) / depth
        down = self.focal * (self.height - point[1]) / depth
        cos, sin = self._turn
        return Pixels(self.vanishing[0] + cos * across - sin * down, self.vanishing[1] + sin * across + cos * down)

    @cached_property
    def _turn(self) -> tuple[float, float]:
        return math.cos(self.roll), math.sin(self.roll)

    def ground(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
        """For each pixel of the canvas the X and Z of the ground that it sees, and whether it sees any: (H, W) each."""
        height, width = self.size
        x = np.arange(width, dtype=np.float32)[None] + np.float32(0.5 - self.vanishing[0])
        y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - self.vanishing[1])
        cos, sin = (np.float32(part) for part in self._turn)
        across, down = cos * x + sin * y, cos * y - sin * x
        seen = down > 0
        depth = np.float32(self.focal * self.height) / np.maximum(down, np.float32(1e-3))
        depth = np.minimum(depth, np.float32(2000))
        where = np.float32(self.x) + across * depth / np.float32(self.focal) - np.float32(self.bend) * depth * depth
        return where.astype(np.float32), depth.astype(np.float32), seen


@dataclass(frozen=True)
class Air:
    """Light and haze. sun: unit vector towards the light. direct: its share of the light, 0 (overcast) to 1.

    haze: the colour that far things fade to. clear: the depth in metres at which 63 % of a colour is gone.
    """

    sun: Point
    direct: float
    haze: Colour
    clear: float

    def shade(self, colour: Colour, normal: Point) -> Colour:
        """A surface's colour under this light, by its unit normal."""
        facing = max(0.0, sum(a * b for a, b in zip(self.sun, normal, strict=True)))
        return scale(colour, 1 - 0.5 * self.direct + 0.75 * self.direct * facing)

    def fade(self, colour: Colour, depth: float) -> Colour:
        """A colour seen through `depth` metres of this air."""
        return mix(colour, self.haze, 1 - math.exp(-max(depth, 0) / self.clear))


class Canvas:
    """Image and mask, drawn together at SUPER times the size, so that labels have the image's own geometry."""

    def __init__(self, picture: NDArray[np.uint8], labels: NDArray[np.uint8], camera: Camera, air: Air) -> None:
        """picture: (H, W, 3) uint8 and labels: (H, W) uint8, the backdrop, of the camera's size."""
        self.camera, self.air = camera, air
        self.image, self.mask = Image.fromarray(picture), Image.fromarray(labels)
        self._paint, self._label = ImageDraw.Draw(self.image), ImageDraw.Draw(self.mask)

    def polygon(self, points: Sequence[Point], colour: Colour, label: int | None = None) -> None:
        """Fill a polygon of the world. Without a label only its look changes, for details on a thing already drawn."""
        depth = sum(point[2] for point in points) / len(points)
        self.flat([self.camera.project(point) for point in points], self.air.fade(colour, depth), label)

    def flat(self, points: Sequence[Pixels], colour: Colour, label: int | None = None) -> None:
        """Fill a polygon given in canvas pixels."""
        width = self.image.width
        if all(p.x < 0 for p in points) or all(p.x > width for p in points) or all(p.y < 0 for p in points):
            return
        self._paint.polygon(points, fill=whole(colour))
        if label is not None:
            self._label.polygon(points, fill=label)

    def disc(self, centre: Point, radius: float, colour: Colour, label: int | None = None, tall: float = 1.0) -> None:
        """Fill a disc that faces the camera, radius in metres, `tall` times as high as wide."""
        middle = self.camera.project(centre)
        wide = self.camera.focal * radius / max(centre[2], NEAR)
        box = (middle.x - wide, middle.y - wide * tall, middle.x + wide, middle.y + wide * tall)
        self._paint.ellipse(box, fill=whole(self.air.fade(colour, centre[2])))
        if label is not None:
            self._label.ellipse(box, fill=label)

    def bar(self, low: Point, high: Point, width: float, colour: Colour, label: int | None = None) -> None:
        """A thin straight bar between two points, width in metres, never thinner than one pixel of the final image."""
        pixels = self.camera.focal * width / max(min(low[2], high[2]), NEAR)
        a, b = self.camera.project(low), self.camera.project(high)
        length = max(math.hypot(b.x - a.x, b.y - a.y), 1e-6)
        reach = max(pixels, SUPER) / 2 / length
        across = Pixels(-(b.y - a.y) * reach, (b.x - a.x) * reach)
        corners = [(a, 1), (b, 1), (b, -1), (a, -1)]
        points = [Pixels(p.x + sign * across.x, p.y + sign * across.y) for p, sign in corners]
        self.flat(points, self.air.fade(colour, (low[2] + high[2]) / 2), label)


def mix(a: Colour, b: Colour, part: float) -> Colour:
    """`a` where part is 0, `b` where it is 1."""
    return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part)


def scale(colour: Colour, factor: float) -> Colour:
    """A colour made brighter or darker."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)


def whole(colour: Colour) -> tuple[int, int, int]:
    """A colour as Pillow wants it: integers in [0, 255]."""
    red, green, blue = (0 if value < 0 else 255 if value > 255 else int(value) for value in colour)
    return red, green, blue
