"""Sky and ground, the part of a scene that is computed pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from perpixel.data.scenes.noise import TILE, look_up, tile
from perpixel.data.scenes.paints import ROAD, SIDEWALK, SKY, TREE, jitter, pick
from perpixel.data.scenes.view import SUPER, Air, Camera, Colour, mix

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Street:
    """The plan of a street, in metres: all of it is drawn from the scene's own numbers, none from the image's size.

    road, walk: widths of the carriageway and of each sidewalk. green: whether grass lies beyond them, (left, right).
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
        walk=rng.uniform(2.5, 6.5),
        green=(bool(rng.random() < 0.35), bool(rng.random() < 0.35)),
        crossing=(start, start + rng.uniform(6, 10)) if rng.random() < 0.45 else None,
        zebra=bool(rng.random() < 0.7),
        lanes=int(rng.integers(1, 4)),
        asphalt=jitter(rng, (grey, grey, grey + 3), 8),
        paving=jitter(rng, pick(rng, [(186, 182, 172), (186, 164, 132), (164, 160, 154), (170, 112, 90)]), 14),
        grass=jitter(rng, pick(rng, [(84, 116, 54), (66, 100, 50), (122, 128, 66)]), 14),
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
    # The horizon is not level when the camera is rolled: some rows hold both.
    height = camera.size[0]
    some, every = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(~seen.all(axis=1))
    first, last = (int(some[0]) // SUPER * SUPER if some.size else height), (int(every[-1]) + 1 if every.size else 0)
    picture = np.empty((height, camera.size[1], 3), np.float32)
    low, coarse = slice(first, None), slice(first, None, SUPER)
    light = 1 - np.float32(0.62 * air.direct) * _shadow(camera, shadows)[first // SUPER :]
    fog = np.exp(z[coarse, ::SUPER] / np.float32(-air.clear))
    picture[low] = _ground(x[low], z[low], labels[low], street, light * fog)
    picture[low] += _enlarge((1 - fog)[..., None] * np.asarray(air.haze, np.float32))
    sky = _enlarge(_sky(camera, air, street, -(-last // SUPER)))[:last]
    picture[:last] = np.where(seen[:last, :, None], picture[:last], sky)
    return np.clip(picture, 0, 255, out=picture).astype(np.uint8), labels


def _enlarge(field: Floats) -> Floats:
    """What is smooth is computed at the final size and repeated for the canvas."""
    return field.repeat(SUPER, axis=0).repeat(SUPER, axis=1)


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


def _ground(x: Floats, z: Floats, labels: NDArray[np.uint8], street: Street, light: Floats) -> Floats:
    """Colours of the ground, (h, W, 3): base, stains, grain, marks, slabs, times the light (h / SUPER, W / SUPER)."""
    table = np.zeros((256, 3), np.float32)
    table[ROAD], table[SIDEWALK], table[TREE] = street.asphalt, street.paving, street.grass
    coarse = (slice(None, None, SUPER), slice(None, None, SUPER))
    grain = look_up(tile(64, 256), z[coarse] * 30, x[coarse] * 30, street.offset) * np.exp(z[coarse] / -25)
    stains = look_up(tile(4, 64), z[coarse] * 9, x[coarse] * 22, street.offset)
    rough = np.asarray([0.10, 0.09, 0, 0, 0.30, 0, 0, 0], np.float32)[np.minimum(labels[coarse], 7)]
    tone = _enlarge((1 + grain * rough + np.float32(0.16) * stains) * light)
    kerb = (labels == SIDEWALK) & (np.abs(x) < street.road / 2 + 0.22)
    tone[_slab_lines(x, z, labels, street) | kerb] *= np.float32(0.8)
    marks = _marks(x, z, street) & (labels == ROAD)
    painted: Floats = table[labels]
    worn = _enlarge(np.clip(0.75 + 0.5 * stains, 0, 1))[marks][:, None]
    painted[marks] += (np.float32(205) - painted[marks]) * worn
    painted *= tone[..., None]
    return painted


def _slab_lines(x: Floats, z: Floats, labels: NDArray[np.uint8], street: Street) -> NDArray[np.bool_]:
    """Joints of the paving slabs, as far as they can be told apart."""
    slab, lines = 0.6 + 0.3 * (street.offset[0] % 4), np.zeros(labels.shape, np.bool_)
    near = np.flatnonzero((z < 14).any(axis=1))
    if near.size:
        low = slice(int(near[0]), None)
        joints = ((x[low] % slab) < 0.06) | ((z[low] % slab) < 0.08)
        lines[low] = joints & (labels[low] == SIDEWALK) & (z[low] < 14)
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
    """How much of the direct light is taken from the ground, (H / SUPER, W / SUPER) in [0, 1]."""
    height, width = camera.size
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    for polygon in shadows:
        draw.polygon([camera.project((x, 0.0, z)) for x, z in polygon], fill=255)
    return np.asarray(image.reduce(SUPER), np.float32) / np.float32(255)


def _sky(camera: Camera, air: Air, street: Street, height: int) -> Floats:
    """The top rows at the final size, haze to zenith, with clouds that get flatter low down: (height, W / SUPER, 3)."""
    y = np.arange(height, dtype=np.float32) * SUPER
    x = np.arange(camera.size[1] // SUPER, dtype=np.float32) * SUPER
    rise = (camera.vanishing[1] - y) / np.float32(camera.focal)
    rise = np.clip(rise, 0.02, None)[:, None]
    part = np.clip(rise * 1.9, 0, 1)[..., None] ** np.float32(0.7)
    colour = np.asarray(air.haze, np.float32) * (1 - part) + np.asarray(street.zenith, np.float32) * part
    across = (x[None] - np.float32(camera.vanishing[0])) / np.float32(camera.focal)
    field = look_up(tile(4, 128), 60 / (rise + 0.25), 150 * across / (rise + 0.45) + 4096, street.offset)
    cloud = np.clip(field * 1.6 + np.float32(1.7 * street.clouds - 1), 0, 1)[..., None] * np.float32(0.85)
    white = 165 + 70 * air.direct + 25 * field[..., None]
    painted: Floats = colour * (1 - cloud) + white * cloud
    return painted.astype(np.float32)
