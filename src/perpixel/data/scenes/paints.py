"""Classes, colours and small random choices that all things of a scene share."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from perpixel.data.scenes.view import Colour
from perpixel.labels.taxonomy import Taxonomy

T = TypeVar("T")

SCENES = Taxonomy(
    names=("road", "sidewalk", "building", "sky", "tree", "vehicle", "person", "pole"),
    colours=(
        (120, 70, 130),
        (230, 120, 200),
        (150, 110, 80),
        (110, 170, 225),
        (70, 140, 40),
        (20, 60, 200),
        (225, 40, 60),
        (240, 210, 50),
    ),
    values=tuple((index,) for index in range(8)),
    ignore=(255,),
)

ROAD, SIDEWALK, BUILDING, SKY, TREE, VEHICLE, PERSON, POLE = range(8)

# Walls, cars and clothes take from one box of paints: a colour must not give the class away.
_PAINTS: tuple[Colour, ...] = (
    (178, 92, 70), (205, 190, 160), (150, 150, 152), (92, 100, 112), (225, 222, 214), (120, 84, 62), (88, 112, 150),
    (140, 160, 176), (112, 128, 92), (196, 150, 96), (60, 62, 68), (168, 48, 46), (214, 176, 72), (70, 96, 84),
    (180, 168, 190), (36, 52, 104),
)  # fmt: skip
_LEAVES: tuple[Colour, ...] = (
    (74, 104, 46), (58, 88, 50), (98, 122, 60), (62, 92, 74), (112, 110, 58), (170, 120, 52), (150, 86, 48),
    (108, 98, 66), (44, 66, 40), (88, 116, 50), (80, 106, 62),
)  # fmt: skip


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 14.0) -> Colour:
    """A colour near this one, in [0, 255]."""
    light = rng.uniform(-amount, amount)
    red, green, blue = (min(max(v + light + rng.uniform(-amount, amount) / 2, 0.0), 255.0) for v in colour)
    return red, green, blue


def paint(rng: np.random.Generator) -> Colour:
    """The colour of a wall, a car or a coat."""
    return jitter(rng, pick(rng, _PAINTS), 22)


def leaves(rng: np.random.Generator) -> Colour:
    """The colour of a tree: mostly green, sometimes of autumn, dry or dusty."""
    return jitter(rng, pick(rng, _LEAVES), 12)
