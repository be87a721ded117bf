"""Smooth random fields, made once and then looked up: the generator's textures."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

TILE = 512


def _octave(rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    """One periodic value-noise octave of `cells` x `cells` random values, (TILE, TILE)."""
    grid = rng.random((cells, cells), dtype=np.float32)
    position = np.arange(TILE) * cells / TILE
    low = position.astype(np.intp)
    high = (low + 1) % cells
    ramp = (position - low).astype(np.float32)
    part = np.float32(3) * ramp**2 - np.float32(2) * ramp**3
    rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
    mixed: NDArray[np.float32] = rows[:, low] * (1 - part) + rows[:, high] * part
    return mixed


@lru_cache(maxsize=8)
def tile(coarse: int, fine: int) -> NDArray[np.float32]:
    """Periodic noise (TILE, TILE) in [-1, 1]: octaves of `coarse` to `fine` cells a side, each weaker by 0.6.

    The same for every scene: a scene looks into it at its own offset, which is much cheaper than noise of its own.
    """
    rng = np.random.default_rng([coarse, fine])
    total, weight, cells = np.zeros((TILE, TILE), np.float32), 1.0, coarse
    while cells <= fine:
        total += weight * (_octave(rng, cells) - 0.5)
        weight, cells = weight * 0.6, cells * 2
    field: NDArray[np.float32] = np.clip(total / (2 * total.std()), -1, 1).astype(np.float32)
    field.flags.writeable = False
    return field


@lru_cache(maxsize=1)
def _white() -> NDArray[np.float32]:
    """A million normal numbers."""
    return np.random.default_rng(0).standard_normal(1_000_003, np.float32)


def static(rng: np.random.Generator, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """White noise of this shape, mean 0 and deviation 1: a stretch of the million, that begins anywhere."""
    count, field = int(np.prod(shape)), _white()
    start = int(rng.integers(len(field)))
    if start + count > len(field):
        field, start = np.resize(np.roll(field, -start), count), 0
    return field[start : start + count].reshape(shape)


def look_up(
    field: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32], offset: tuple[int, int]
) -> NDArray[np.float32]:
    """Values of the periodic `field` at (broadcast) coordinates in tile pixels, nearest, float32."""
    rows = (y.astype(np.int32) + offset[0]) & (TILE - 1)
    columns = (x.astype(np.int32) + offset[1]) & (TILE - 1)
    found: NDArray[np.float32] = field.ravel()[rows * TILE + columns]
    return found
