"""One scene from its number: plan, draw, and what a camera adds."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from perpixel.core import IGNORE, Size
from perpixel.data.scenes.backdrop import backdrop, plan_street
from perpixel.data.scenes.layout import furnish, shadow
from perpixel.data.scenes.noise import look_up, static, tile
from perpixel.data.scenes.paints import BUILDING, TREE, car_paint, jitter, pick, wall
from perpixel.data.scenes.view import SUPER, Air, Camera, Canvas, Pixels, mix, scale

# How much texture each class gets on top of what is drawn, as a share of its colour.
_ROUGH = np.asarray([0.03, 0.03, 0.08, 0.0, 0.34, 0.03, 0.06, 0.05], np.float32)


def make_scene(seed: int, index: int, size: Size = (240, 320)) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A street scene and its labels: the same arguments give the same arrays.

    The street, the light and all things in it depend on (seed, index) alone: another `size` is the same place, seen in
    more or less detail. Every pixel of the mask is the class that is nearest to the camera at that pixel, with no soft
    edges; where a bonnet hides the street, it is 255.

    Args:
        seed: which family of scenes, 0 or more.
        index: which scene of it, 0 or more.
        size: (H, W) in pixels, each 1 or more.

    Returns:
        image (H, W, 3) uint8 and labels (H, W) uint8, in [0, 8) as in `SCENES`, or 255.

    Raises:
        ValueError: a negative seed or index, or a size below 1.

    >>> image, labels = make_scene(0, 7, (48, 64))
    >>> image.shape, labels.shape
    ((48, 64, 3), (48, 64))
    """
    if min(size) < 1 or seed < 0 or index < 0:
        raise ValueError(f"make_scene needs sizes from 1 and numbers from 0 up, got {seed=}, {index=}, {size=}")
    rng = np.random.default_rng([seed, index])
    camera, air = _camera(rng, size), _air(rng)
    street = plan_street(rng, air)
    things = furnish(rng, street, camera.x)
    shadows = [part for thing in things for part in shadow(thing, air)]
    canvas = Canvas(*backdrop(camera, air, street, shadows), camera, air)
    _skyline(canvas, rng)
    for thing in things:
        thing.draw(canvas)
    _bonnet(canvas, rng)
    labels = np.asarray(canvas.mask)[::SUPER, ::SUPER].copy()
    return _photograph(canvas.image, labels, rng), labels


def _camera(rng: np.random.Generator, size: Size) -> Camera:
    height, width = size[0] * SUPER, size[1] * SUPER
    return Camera(
        size=(height, width),
        focal=rng.uniform(0.72, 1.05) * width,
        vanishing=(width * rng.uniform(0.36, 0.64), height * rng.uniform(0.34, 0.54)),
        x=rng.uniform(-2.2, 2.2),
        height=rng.uniform(1.25, 2.5),
        roll=float(np.clip(rng.normal(0, 0.018), -0.05, 0.05)),
        bend=float(rng.choice([0.0, rng.uniform(-0.003, 0.003)])),
    )


def _air(rng: np.random.Generator) -> Air:
    azimuth, rise = rng.uniform(0, 2 * np.pi), rng.uniform(0.35, 1.25)
    sun = (float(np.cos(azimuth) * np.cos(rise)), float(np.sin(rise)), float(np.sin(azimuth) * np.cos(rise)))
    haze = jitter(rng, pick(rng, [(205, 212, 220), (222, 208, 186), (176, 182, 188), (190, 206, 226)]), 10)
    return Air(sun, float(rng.choice([rng.uniform(0, 0.2), rng.uniform(0.5, 0.9)])), haze, rng.uniform(90, 360))


def _skyline(canvas: Canvas, rng: np.random.Generator) -> None:
    """What closes the view: a row of far houses or of woods, 140 m away."""
    woods = rng.random() < 0.45
    x, depth = -190.0, 140.0
    tone = (70.0, 92.0, 62.0) if woods else wall(rng)
    while x < 190:
        wide, tall = (rng.uniform(3, 9), rng.uniform(3, 11)) if woods else (rng.uniform(8, 26), rng.uniform(4, 24))
        top = [(x + wide, tall, depth), (x + wide / 2, tall * 1.15, depth), (x, tall, depth)]
        points = [(x - 1, 0.0, depth), (x + wide + 1, 0.0, depth), *(top if woods else top[::2])]
        colour = tone if woods else mix(tone, wall(rng), 0.4)
        canvas.polygon(points, jitter(rng, colour, 8), TREE if woods else BUILDING)
        x += wide


def _bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """In one scene of six the camera looks over its own bonnet: ignored pixels."""
    shown, high, colour = rng.random() < 1 / 6, rng.uniform(0.9, 0.97), car_paint(rng)
    if not shown:
        return
    height, width = canvas.camera.size
    for drop, tone in ((0.0, colour), (0.02, scale(colour, 0.8))):
        across = np.linspace(-0.05, 1.05, 16)
        arc = [Pixels(width * float(a), height * (high + drop + 0.3 * float(a - 0.5) ** 2)) for a in across]
        canvas.flat([*arc, Pixels(width * 1.1, height * 1.1), Pixels(-width * 0.1, height * 1.1)], tone, IGNORE)


def _photograph(image: Image.Image, labels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Texture, a little blur, exposure, tint, vignette and the sensor's noise: (H, W, 3) uint8."""
    gain, tint = rng.uniform(0.8, 1.12), rng.uniform(0.95, 1.05, 3).astype(np.float32)
    gamma, sigma, radius = rng.uniform(0.9, 1.15), rng.uniform(1.0, 3.5), rng.uniform(0.0, 0.5)
    offset = (int(rng.integers(4096)), int(rng.integers(4096)))
    height, width = labels.shape
    small = image.reduce(SUPER)
    pixels = np.asarray(small, np.float32) * (1 + _grain(labels, offset))[..., None]
    sharp = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    soft = sharp.filter(ImageFilter.GaussianBlur(radius * width / 320))
    curve = 255 * (np.arange(256) / 255) ** gamma * gain
    pixels = curve.astype(np.float32)[np.asarray(soft)] * tint
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)[None]
    pixels *= (1 - 0.09 * (x * x + y * y))[..., None]
    pixels += np.float32(sigma) * static(rng, (height, width, 1))
    pixels += np.float32(0.6 * sigma) * static(rng, (height, width, 3))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _grain(labels: NDArray[np.uint8], offset: tuple[int, int]) -> NDArray[np.float32]:
    """Relative brightness of the classes' own textures, (H, W), scaled with the image so that a leaf stays a leaf."""
    height, width = labels.shape
    step = np.float32(320 * 2 / max(width, 1))
    y, x = np.arange(height, dtype=np.float32)[:, None] * step, np.arange(width, dtype=np.float32)[None] * step
    rough = np.append(_ROUGH, np.zeros(256 - len(_ROUGH), np.float32))
    field: NDArray[np.float32] = look_up(tile(32, 256), y, x, offset) * rough[labels]
    return field
