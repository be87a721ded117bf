"""Houses along the street: walls, storeys of windows, shops, roofs."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np

from perpixel.data.scenes.paints import BUILDING, jitter, pick, wall
from perpixel.data.scenes.view import NEAR, Canvas, Colour, Point, mix, scale

Wall = Callable[[float, float], Point]
"""A wall's own coordinates, (metres along it, metres up), to a point of the world."""


@dataclass(frozen=True)
class House:
    """A box beside the street. side: -1 left, 1 right. front: |X| of its street wall. near, far: its reach in Z."""

    side: int
    front: float
    near: float
    far: float
    height: float
    depth: float
    wall: Colour
    glass: Colour
    storey: float
    pitch: float
    window: tuple[float, float]
    gable: float
    shop: Colour | None


def plan_house(rng: np.random.Generator, side: int, front: float, near: float, length: float) -> House:
    """Choose a house."""
    storey = rng.uniform(2.7, 3.6)
    pitch = rng.uniform(2.2, 4.2)
    low = rng.random() < 0.35
    return House(
        side=side,
        front=front,
        near=near,
        far=near + length,
        height=storey * int(rng.integers(1, 4) if low else rng.integers(3, 9)) + 0.6,
        depth=rng.uniform(6, 14),
        wall=wall(rng),
        glass=jitter(rng, pick(rng, [(52, 60, 72), (96, 116, 136), (170, 190, 205), (40, 40, 44)]), 12),
        storey=storey,
        pitch=pitch,
        window=(pitch * rng.uniform(0.35, 0.75), storey * rng.uniform(0.4, 0.65)),
        gable=rng.uniform(1.5, 3.5) if low and rng.random() < 0.7 else 0.0,
        shop=wall(rng) if rng.random() < 0.4 else None,
    )


def draw_house(canvas: Canvas, house: House, seed: int) -> None:
    """Draw the wall that faces the camera, then the one along the street. seed: for its lit and dark windows."""
    rng = np.random.default_rng(seed)
    front, back = house.side * house.front, house.side * (house.front + house.depth)
    if house.near > NEAR:
        end = canvas.air.shade(house.wall, (0, 0, -1))
        _face(canvas, house, lambda a, up: (front + house.side * a, up, house.near), (0, house.depth), end, rng)
        if house.gable:
            peak = ((front + back) / 2, house.height + house.gable, house.near)
            ends = [(front, house.height, house.near), peak, (back, house.height, house.near)]
            canvas.polygon(ends, end, BUILDING)
    street = canvas.air.shade(house.wall, (-house.side, 0, 0))
    start = max(house.near, NEAR)
    _face(canvas, house, lambda a, up: (front, up, a), (start, house.far), street, rng)
    if house.gable:
        _roof(canvas, house, start)


def _roof(canvas: Canvas, house: House, start: float) -> None:
    """The slope of a pitched roof towards the street."""
    front, ridge = house.side * house.front, house.side * (house.front + house.depth / 2)
    top = house.height + house.gable
    slope = [
        (front, house.height, start), (ridge, top, start), (ridge, top, house.far), (front, house.height, house.far),
    ]  # fmt: skip
    canvas.polygon(slope, scale(mix(house.wall, (110, 70, 60), 0.7), 0.8), BUILDING)


def _face(
    canvas: Canvas, house: House, wall: Wall, reach: tuple[float, float], colour: Colour, rng: np.random.Generator
) -> None:
    """One wall with its storeys, windows and perhaps a shop. Long walls are cut, because the street may bend."""
    cuts = np.linspace(reach[0], reach[1], 1 + max(1, int((reach[1] - reach[0]) / 8))).tolist()
    for a, b in pairwise(cuts):
        canvas.polygon(_quad(wall, a, b, 0, house.height), colour, BUILDING)
        canvas.polygon(_quad(wall, a, b, house.height - 0.5, house.height), scale(colour, 0.8))
        canvas.polygon(_quad(wall, a, b, 0, 0.6), scale(colour, 0.75))
    if house.shop is not None:
        canvas.polygon(_quad(wall, *reach, 0.5, house.storey - 0.7), scale(house.glass, 0.8))
        canvas.polygon(_quad(wall, *reach, house.storey - 0.8, house.storey - 0.1), house.shop)
    _windows(canvas, house, wall, reach, colour, rng)


def _windows(
    canvas: Canvas, house: House, wall: Wall, reach: tuple[float, float], colour: Colour, rng: np.random.Generator
) -> None:
    """Rows of windows, with a light sill below each; far ones, smaller than a pixel or so, are left out."""
    wide, tall = house.window
    storeys = np.arange(0.9 + house.storey * (house.shop is not None), house.height - tall, house.storey)
    columns = np.arange(reach[0] + 0.5, reach[1] - wide, house.pitch)
    for up, along in product(storeys.tolist(), columns.tolist()):
        tone, depth = scale(house.glass, rng.uniform(0.6, 1.5)), wall(along, up)[2]
        pixels = canvas.camera.focal * wide / max(depth, NEAR)
        if pixels < 3 or depth > 70:
            continue
        if pixels > 8:
            canvas.polygon(_quad(wall, along - 0.1, along + wide + 0.1, up - 0.2, up), scale(colour, 1.2))
        canvas.polygon(_quad(wall, along, along + wide, up, up + tall), tone)
        if pixels > 8:
            middle = along + wide / 2
            canvas.polygon(_quad(wall, middle - 0.05, middle + 0.05, up, up + tall), scale(colour, 0.9))


def _quad(wall: Wall, a: float, b: float, low: float, high: float) -> list[Point]:
    """A rectangle on a wall."""
    return [wall(a, low), wall(b, low), wall(b, high), wall(a, high)]
