"""Trees, people and poles: things that stand upright at one place and are drawn facing the camera."""

from collections.abc import Callable

import numpy as np

from perpixel.data.scenes.paints import PERSON, POLE, TREE, cloth, jitter, leaves, pick
from perpixel.data.scenes.view import Canvas, Colour, Point, scale

Spot = tuple[float, float]
"""Where a thing stands, (X, Z) in metres."""

Kind = Callable[[Canvas, Spot, Colour, int, np.random.Generator], None]
"""What draws one kind of pole: canvas, place, colour, side of the street, its own numbers."""


def draw_tree(canvas: Canvas, spot: Spot, height: float, seed: int) -> None:
    """A trunk and a crown: a cloud of leaves, or the jagged triangles of a conifer."""
    rng = np.random.default_rng(seed)
    bark = jitter(rng, pick(rng, [(84, 66, 50), (110, 104, 98), (60, 52, 46)]), 12)
    wide = rng.uniform(0.22, 0.42)
    canvas.bar((spot[0], 0, spot[1]), (spot[0] + rng.uniform(-0.2, 0.2), height * 0.6, spot[1]), wide, bark, TREE)
    if rng.random() < 0.2:
        _conifer(canvas, spot, height, leaves(rng), rng)
    else:
        middle = (spot[0], height * 0.67, spot[1])
        _foliage(canvas, middle, (height * rng.uniform(0.26, 0.4), height * 0.33), leaves(rng), rng, 70)


def draw_hedge(canvas: Canvas, spot: Spot, reach: Spot, seed: int) -> None:
    """A low bush, reach = (half width, height) in metres."""
    rng = np.random.default_rng(seed)
    _foliage(canvas, (spot[0], reach[1] * 0.5, spot[1]), (reach[0], reach[1] * 0.55), leaves(rng), rng, 36)


def _foliage(
    canvas: Canvas, middle: Point, reach: tuple[float, float], colour: Colour, rng: np.random.Generator, count: int
) -> None:
    """Clumps of leaves, dark ones inside and below first, light ones on top: the outline gets ragged."""
    turn, part = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.random(count))
    x, y = np.cos(turn) * part, np.sin(turn) * part
    light = 0.62 + 0.3 * y + 0.25 * canvas.air.direct * x * canvas.air.sun[0] + rng.uniform(-0.12, 0.12, count)
    size = min(reach) * (0.16 + 0.34 * (1 - part) * rng.random(count) + 0.1 * rng.random(count))
    for i in np.argsort(light):
        centre = (middle[0] + reach[0] * float(x[i]), middle[1] + reach[1] * float(y[i]), middle[2])
        canvas.disc(centre, float(size[i]), scale(colour, 0.45 + float(light[i])), TREE, tall=0.85)


def _conifer(canvas: Canvas, spot: Spot, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Layers of branches, each a triangle with a jagged lower edge."""
    for low in np.linspace(0.15, 0.75, 6):
        base, top, reach = low * height, min(low + 0.32, 1.0) * height, height * 0.26 * (1 - low)
        teeth = np.linspace(-1, 1, 9)
        edge = [(spot[0] + reach * t, base + height * 0.04 * float(rng.random()), spot[1]) for t in teeth]
        tone = scale(colour, 0.6 + 0.4 * low + rng.uniform(-0.08, 0.08))
        canvas.polygon([*edge, (spot[0], top, spot[1])], tone, TREE)


def draw_person(canvas: Canvas, spot: Spot, height: float, seed: int) -> None:
    """Somebody who stands or walks: legs, coat, arms, head, sometimes a bag."""
    rng = np.random.default_rng(seed)
    coat, legs = cloth(rng), scale(cloth(rng), 0.7)
    skin = jitter(rng, pick(rng, [(224, 180, 150), (172, 122, 90), (98, 68, 50)]), 10)
    stride, build, lean = rng.uniform(0.02, 0.24), rng.uniform(0.17, 0.25), rng.uniform(-0.04, 0.04)

    def at(across: float, up: float) -> Point:
        return spot[0] + across, up * height, spot[1]

    shade = scale(coat, 0.75)
    for side in (-1, 1):
        canvas.bar(at(side * stride, 0), at(side * 0.07, 0.5), 0.15, scale(legs, 0.9 + 0.15 * side), PERSON)
        canvas.bar(at(side * stride, 0.01), at(side * stride + 0.1, 0.01), 0.08, (30, 28, 26), PERSON)
    for side in (-1, 1):
        canvas.bar(at(side * build, 0.8), at(side * (build + 0.5 * stride), 0.47), 0.11, shade, PERSON)
    torso = [at(-build, 0.82), at(build, 0.82), at(build * 0.85, 0.44), at(-build * 0.85, 0.44)]
    canvas.polygon(torso, canvas.air.shade(coat, (0, 0.3, -0.9)), PERSON)
    if rng.random() < 0.3:
        bag = [at(build, 0.5), at(build + 0.25, 0.5), at(build + 0.25, 0.34), at(build, 0.34)]
        canvas.polygon(bag, cloth(rng), PERSON)
    canvas.bar(at(lean, 0.8), at(lean, 0.88), 0.12, scale(skin, 0.85), PERSON)
    hair = jitter(rng, pick(rng, [(40, 32, 28), (120, 90, 54), (170, 166, 160)]), 10)
    canvas.disc(at(lean, 0.945), 0.125, hair, PERSON, tall=1.1)
    canvas.disc(at(lean + 0.02, 0.925), 0.095, skin, PERSON, tall=1.1)


def draw_pole(canvas: Canvas, spot: Spot, seed: int, side: int) -> None:
    """A street lamp, a sign, a traffic light or a bollard. side: -1 or 1, the side of the street it stands on."""
    rng = np.random.default_rng(seed)
    grey = rng.uniform(50, 165)
    metal = jitter(rng, (grey, grey, grey), 12)
    kinds: list[Kind] = [_lamp, _sign, _lights, _sign, _lamp]
    pick(rng, kinds)(canvas, spot, metal, side, rng)


def _post(canvas: Canvas, spot: Spot, height: float, width: float, colour: Colour) -> None:
    """The upright part, with a light and a dark flank where it is wide enough to see."""
    canvas.bar((spot[0], 0, spot[1]), (spot[0], height, spot[1]), width, colour, POLE)
    if canvas.camera.focal * width < 4 * spot[1]:
        return
    shift = spot[0] + width * 0.25
    canvas.bar((shift, 0, spot[1]), (shift, height, spot[1]), width * 0.4, scale(colour, 0.72))


def _lamp(canvas: Canvas, spot: Spot, colour: Colour, side: int, rng: np.random.Generator) -> None:
    height, reach = rng.uniform(4.5, 8), -side * rng.uniform(0.6, 2.0)
    _post(canvas, spot, height, rng.uniform(0.24, 0.36), colour)
    end = (spot[0] + reach, height + 0.2, spot[1])
    canvas.bar((spot[0], height, spot[1]), end, 0.16, colour, POLE)
    canvas.bar((end[0] - 0.35, end[1], end[2]), (end[0] + 0.35, end[1], end[2]), 0.26, (225, 220, 196), POLE)


def _sign(canvas: Canvas, spot: Spot, colour: Colour, side: int, rng: np.random.Generator) -> None:
    height, size = rng.uniform(2.4, 3.4), rng.uniform(0.36, 0.56)
    _post(canvas, spot, height, rng.uniform(0.2, 0.32), colour)
    middle = (spot[0], height, spot[1])
    face = jitter(rng, pick(rng, [(190, 40, 40), (36, 70, 160), (220, 190, 50), (225, 225, 225)]), 12)
    if rng.random() < 0.5:
        canvas.disc(middle, size, face, POLE)
        canvas.disc(middle, size * 0.65, (228, 226, 222))
        return
    corners = [(-1, -1), (1, -1), (1, 1), (-1, 1)] if rng.random() < 0.5 else [(-1, -0.8), (1, -0.8), (0, 1)]
    for share, tone, label in ((1.0, face, POLE), (0.55, (228.0, 226.0, 222.0), None)):
        board = [(middle[0] + a * size * share, middle[1] + b * size * share, middle[2]) for a, b in corners]
        canvas.polygon(board, tone, label)


def _lights(canvas: Canvas, spot: Spot, colour: Colour, side: int, rng: np.random.Generator) -> None:
    height = rng.uniform(2.8, 3.8)
    _post(canvas, spot, height, rng.uniform(0.22, 0.34), colour)
    x, z = spot
    canvas.bar((x, height - 0.2, z), (x, height + 0.85, z), 0.42, (34, 36, 34), POLE)
    on = int(rng.integers(3))
    lamps: list[Colour] = [(70, 220, 110), (245, 190, 60), (240, 60, 50)]
    for i, lamp in enumerate(lamps):
        canvas.disc((x, height + 0.05 + 0.28 * i, z), 0.11, lamp if i == on else scale(lamp, 0.25))
