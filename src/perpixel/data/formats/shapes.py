"""What annotation tools draw, each as its tool (or the tool's own exporter) turns it into pixels.

A shape is frozen, compares by value, and holds its corners as the bytes of an (N, 2) float64 array of x, y, so that a
million of them fit into memory. `region(size)` gives the pixels that it covers in a picture of (H, W) pixels: the upper
left corner of a window and a boolean array; what lies outside of the picture is cut off.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw

from perpixel.core import Size
from perpixel.core.image import Array
from perpixel.data.formats.polygon import fill

Region = tuple[int, int, Array]
"""(top, left, (h, w) bool)."""

NOTHING: Region = (0, 0, np.zeros((0, 0), bool))


class Shape(Protocol):
    """What can be drawn."""

    def region(self, size: Size) -> Region:
        """The pixels that it covers in a picture of that size."""


@dataclass(frozen=True)
class PillowShape:
    """Drawn as Pillow's ImageDraw fills shapes, which is what labelme's and cityscapesScripts' exporters use.

    Corners are cut to whole numbers towards zero, and the outline belongs to the shape. A polygon that crosses itself is
    filled by the even-odd rule; see `perpixel.data.formats.polygon`.

    Args:
        kind: polygon, rectangle (two opposite corners), circle (its centre and a point of its edge), line (10 pixels wide)
            or point (a disc of radius 5).
        corners: float64 x, y.
    """

    kind: str
    corners: bytes

    def region(self, size: Size) -> Region:
        """The pixels that it covers."""
        h, w = size
        xy = np.frombuffer(self.corners).reshape(-1, 2)
        reach = {"circle": math.dist(*xy[:2].tolist()) if len(xy) > 1 else 0.0, "line": 8, "point": 6}.get(self.kind, 2)
        left, top = (max(0, int(v - reach - 1)) for v in xy.min(0))
        right, low = (int(min(limit, v + reach + 2)) for limit, v in zip((w, h), xy.max(0), strict=True))
        if right <= left or low <= top:
            return NOTHING
        if self.kind == "polygon":
            return fill(xy, size)
        picture = Image.new("L", (w, h))
        self._draw(ImageDraw.Draw(picture), [(x, y) for x, y in xy.tolist()])
        return top, left, np.asarray(picture.crop((left, top, right, low))) > 0

    def _draw(self, draw: ImageDraw.ImageDraw, xy: list[tuple[float, float]]) -> None:
        (x, y), last = xy[0], xy[-1]
        if self.kind == "rectangle":
            draw.rectangle([min(x, last[0]), min(y, last[1]), max(x, last[0]), max(y, last[1])], outline=1, fill=1)
        elif self.kind == "line":
            draw.line(xy, fill=1, width=10)
        else:
            radius = math.dist(xy[0], last) if self.kind == "circle" else 5
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)


@dataclass(frozen=True)
class CocoPolygons:
    """Polygons together as pycocotools fills them (`rleFrPoly`), which CVAT's and datumaro's exporters use too.

    Each is drawn five times as fine and its border rounded to pixel centres; the shape is the union of all.
    """

    polygons: tuple[bytes, ...]

    def region(self, size: Size) -> Region:
        """The pixels that they cover."""
        from pycocotools import mask

        flat = [np.frombuffer(p).tolist() for p in self.polygons]
        runs = mask.merge(mask.frPyObjects(flat, *size))
        left, top, width, height = (int(v) for v in mask.toBbox(runs))
        return top, left, mask.decode(runs)[top : top + height, left : left + width].astype(bool)


@dataclass(frozen=True)
class Runs:
    """Runs of pixels, outside and inside by turns, the first outside.

    Args:
        counts: uint32, how long each run is; together all pixels of the window.
        size: of the window, (H, W).
        top, left: where the window lies in the picture.
        by_column: pixels are counted down the columns, as COCO does, or along the rows.
    """

    counts: bytes
    size: Size
    top: int = 0
    left: int = 0
    by_column: bool = False

    def region(self, size: Size) -> Region:
        """The pixels that they cover."""
        lengths = np.frombuffer(self.counts, np.uint32)
        inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
        mask = inside.reshape(self.size[::-1]).T if self.by_column else inside.reshape(self.size)
        return clipped(self.top, self.left, mask, size)


@dataclass(frozen=True)
class Ellipse:
    """Every pixel whose centre lies in an ellipse (x, y) of radii (rx, ry), turned clockwise by `degrees`."""

    x: float
    y: float
    rx: float
    ry: float
    degrees: float = 0.0

    def region(self, size: Size) -> Region:
        """The pixels that it covers."""
        reach = max(self.rx, self.ry)
        top, left = max(0, int(self.y - reach) - 1), max(0, int(self.x - reach) - 1)
        low, right = min(size[0], int(self.y + reach) + 2), min(size[1], int(self.x + reach) + 2)
        if low <= top or right <= left or min(self.rx, self.ry) <= 0:
            return NOTHING
        y, x = np.mgrid[top:low, left:right] + 0.5
        c, s = math.cos(math.radians(self.degrees)), math.sin(math.radians(self.degrees))
        along, across = (x - self.x) * c + (y - self.y) * s, (y - self.y) * c - (x - self.x) * s
        return top, left, (along / self.rx) ** 2 + (across / self.ry) ** 2 <= 1


def clipped(top: int, left: int, mask: Array, size: Size) -> Region:
    """The part of a window that lies in the picture."""
    up, back = max(0, -top), max(0, -left)
    part = mask[up : max(up, size[0] - top), back : max(back, size[1] - left)]
    return top + up, left + back, part
