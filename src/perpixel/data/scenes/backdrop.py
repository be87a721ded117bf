"""Sky and ground, the part of a scene that is computed pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perpixel.data.scenes.noise import TILE, look_up, tile
from perpixel.data.scenes.paints import ROAD, SIDEWALK, SKY, TREE, jitter, leaves, pick
from perpixel.data.scenes.view import SUPER, Air, Camera, Colour, mix, scale

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Street:
    """The plan of a street, in metres: all of it is drawn from the scene's own numbers, none from the image's size.

    road, walk: widths of the carriageway and of each sidewalk. green: whether grass (left, right) lies beyond the sidewalk.
    crossing: (start, end) of a side street in Z, or None. zebra: whether stripes lie before it.
    """

    road: float
    walk: float
    green: tuple[bool, bool]
    crossing: tuple[float, float] | None
    zebra: bool
    lanes: int
    asphalt: Colour
    paving: Colour
    grass: Colour
    zenith: Colour
    clouds: float
    offset: tuple[int, int]


def plan_street(rng: np.random.Generator, air: Air) -> Street:
    """Choose a street."""
    grey = rng.uniform(62, 138)
    start = rng.uniform(12, 38)
    return Street(
        road=rng.uniform(6.0, 12.0),
        walk=rng.uniform(2.0, 5.0),
        green=(bool(rng.random() < 0.35), bool(rng.random() < 0.35)),
        crossing=(start, start + rng.uniform(6, 10)) if rng.random() < 0.45 else None,
        zebra=bool(rng.random() < 0.7),
        lanes=int(rng.integers(1, 4)),
        asphalt=jitter(rng, (grey, grey, grey + 3), 8),
        paving=jitter(rng, pick(rng, [(150, 148, 142), (176, 160, 136), (112, 110, 110), (164, 112, 92)]), 24),
        grass=leaves(rng),
        zenith=mix(jitter(rng, pick(rng, [(70, 125, 205), (110, 150, 200), (150, 155, 162)]), 16), air.haze, 0.1),
        clouds=rng.uniform(0, 1) ** 0.7,
        offset=(int(rng.integers(TILE)), int(rng.integers(TILE))),
    )


def backdrop(
    camera: Camera, air: Air, street: Street, shadows: list[list[tuple[float, float]]]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The empty street: picture (H, W, 3) and labels (H, W), both uint8. shadows: polygons of (X, Z) on the ground."""
    x, z, seen = camera.ground()
    labels = np.where(seen, _ground_labels(x, z, street), np.uint8(SKY)).astype(np.uint8)
    picture = np.empty((*camera.size, 3), np.float32)
    rows = seen.any(axis=1)
    first = int(rows.argmax()) if rows.any() else camera.size[0]
    low = slice(first, None)
    ground = _ground(x[low], z[low], labels[low], street)
    ground *= (1 - 0.62 * air.direct * _shadow(camera, shadows)[low])[..., None]
    fog = np.exp(-z[low] / np.float32(air.clear))[..., None]
    picture[low] = ground * fog + np.asarray(air.haze, np.float32) * (1 - fog)
    sky = _sky(camera, air, street)
    picture = np.where(seen[..., None], picture, sky)
    return np.clip(picture, 0, 255).astype(np.uint8), labels


def _ground_labels(x: Floats, z: Floats, street: Street) -> NDArray[np.uint8]:
    """Road, sidewalk or grass at ground positions."""
    away, edge = np.abs(x), street.road / 2
    labels = np.full(x.shape, SIDEWALK, np.uint8)
    labels[away < edge] = ROAD
    for side, green in ((-1, street.green[0]), (1, street.green[1])):
        if green:
            labels[side * x > edge + street.walk] = TREE
    if street.crossing is not None:
        labels[(z > street.crossing[0]) & (z < street.crossing[1])] = ROAD
    return labels


def _ground(x: Floats, z: Floats, labels: NDArray[np.uint8], street: Street) -> Floats:
    """Colours of the ground, (h, W, 3): base, stains, grain, marks, slabs."""
    table = np.zeros((256, 3), np.float32)
    table[ROAD], table[SIDEWALK], table[TREE] = street.asphalt, street.paving, street.grass
    near = np.exp(-z / 25)
    grain = look_up(tile(64, 256), z * 30, x * 30, street.offset) * near
    stains = look_up(tile(4, 64), z * 9, x * 22, street.offset)
    rough = np.asarray([0.10, 0.09, 0, 0, 0.30, 0, 0, 0], np.float32)[np.minimum(labels, 7)]
    colour = table[labels] * (1 + grain * rough + 0.16 * stains)[..., None]
    colour[_slab_lines(x, z, labels, street)] *= 0.82
    kerb = (labels == SIDEWALK) & (np.abs(x) < street.road / 2 + 0.22)
    colour[kerb] = colour[kerb] * 0.4 + np.asarray(scale(street.paving, 0.75), np.float32)
    worn = 0.75 + 0.5 * stains
    marks = np.where(_marks(x, z, street) & (labels == ROAD), np.clip(worn, 0, 1), 0)[..., None]
    painted: Floats = colour * (1 - marks) + np.float32(205) * marks
    return painted.astype(np.float32)


def _slab_lines(x: Floats, z: Floats, labels: NDArray[np.uint8], street: Street) -> NDArray[np.bool_]:
    """Joints of the paving slabs, as far as they can be told apart."""
    slab = 0.6 + 0.3 * (street.offset[0] % 4)
    joints = ((x % slab) < 0.06) | ((z % slab) < 0.08)
    lines: NDArray[np.bool_] = joints & (labels == SIDEWALK) & (z < 14)
    return lines


def _marks(x: Floats, z: Floats, street: Street) -> NDArray[np.bool_]:
    """Where the road is painted: edges, lanes, zebra and stop line."""
    marks = np.abs(np.abs(x) - (street.road / 2 - 0.35)) < 0.07
    for lane in range(1, street.lanes):
        middle = street.road * (lane / street.lanes - 0.5)
        marks |= (np.abs(x - middle) < 0.09) & ((z % 7) < 3.5)
    if street.crossing is None:
        return marks
    start = street.crossing[0]
    marks &= (z < start - 4.5) | (z > street.crossing[1])
    if street.zebra:
        marks |= (z > start - 3.5) & (z < start - 0.8) & ((x % 1.1) < 0.55)
    return marks | ((np.abs(z - start + 4.4) < 0.2) & (x > 0))


def _shadow(camera: Camera, shadows: list[list[tuple[float, float]]]) -> Floats:
    """How much of the direct light is taken from the ground, (H, W) in [0, 1]."""
    height, width = camera.size
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in shadows:
        draw.polygon([camera.project((x, 0.0, z)) for x, z in polygon], fill=255)
    soft = image.reduce(SUPER).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(soft, np.float32) / np.float32(255)


def _sky(camera: Camera, air: Air, street: Street) -> Floats:
    """A gradient from the haze up to the zenith, with clouds that get flatter towards the horizon: (H, W, 3)."""
    height, width = camera.size
    rise = (camera.vanishing[1] - np.arange(height, dtype=np.float32)) / np.float32(camera.focal)
    rise = np.clip(rise, 0.02, None)[:, None]
    part = np.clip(rise * 1.9, 0, 1)[..., None] ** np.float32(0.7)
    colour = np.asarray(air.haze, np.float32) * (1 - part) + np.asarray(street.zenith, np.float32) * part
    across = (np.arange(width, dtype=np.float32)[None] - np.float32(camera.vanishing[0])) / np.float32(camera.focal)
    field = look_up(tile(4, 128), 60 / (rise + 0.25), 150 * across / (rise + 0.45) + 4096, street.offset)
    cloud = np.clip(field * 1.6 + np.float32(1.7 * street.clouds - 1), 0, 1)[..., None] * np.float32(0.85)
    white = 165 + 70 * air.direct + 25 * field[..., None]
    painted: Floats = colour * (1 - cloud) + white * cloud
    return painted.astype(np.float32)
