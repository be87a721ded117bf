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

# Walls, cars and clothes share some of their paints, so that a colour alone does not give the class away.
_WALLS: tuple[Colour, ...] = (
    (178, 92, 70), (205, 190, 160), (150, 150, 152), (225, 222, 214), (120, 84, 62), (140, 160, 176), (196, 150, 96),
    (186, 120, 92), (168, 158, 140), (104, 108, 116),
)  # fmt: skip
_CARS: tuple[Colour, ...] = (
    (168, 28, 30), (36, 52, 124), (225, 222, 214), (46, 48, 54), (150, 150, 152), (224, 176, 40), (30, 92, 72),
    (60, 110, 180), (120, 84, 62), (104, 108, 116),
)  # fmt: skip
_COATS: tuple[Colour, ...] = (
    (196, 40, 60), (40, 60, 150), (230, 120, 40), (240, 236, 226), (40, 40, 44), (110, 60, 140), (36, 120, 110),
    (120, 84, 62),
)  # fmt: skip
_LEAVES: tuple[Colour, ...] = (
    (74, 104, 46), (58, 88, 50), (98, 122, 60), (62, 92, 74), (112, 110, 58), (140, 108, 54), (44, 66, 40),
    (88, 116, 50), (80, 106, 62),
)  # fmt: skip


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices."""
    return choices[int(rng.integers(len(choices)))]


def jitter(rng: np.random.Generator, colour: Colour, amount: float = 14.0) -> Colour:
    """A colour near this one, in [0, 255]."""
    light = rng.uniform(-amount, amount)
    red, green, blue = (min(max(v + light + rng.uniform(-amount, amount) / 2, 0.0), 255.0) for v in colour)
    return red, green, blue


def wall(rng: np.random.Generator) -> Colour:
    """The colour of a house."""
    return jitter(rng, pick(rng, _WALLS), 14)


def car_paint(rng: np.random.Generator) -> Colour:
    """The colour of a vehicle."""
    return jitter(rng, pick(rng, _CARS), 14)


def cloth(rng: np.random.Generator) -> Colour:
    """The colour of a piece of clothing."""
    return jitter(rng, pick(rng, _COATS), 14)


def leaves(rng: np.random.Generator) -> Colour:
    """The colour of a tree: mostly green, sometimes of autumn, dry or dusty."""
    return jitter(rng, pick(rng, _LEAVES), 12)
