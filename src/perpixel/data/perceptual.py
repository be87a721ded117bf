"""Images that look nearly alike: a hash of 256 bits, of which few differ after recompression, resizing or a little more light.

The difference hash (dHash): a grey thumbnail of 16x17, and for each of its pixels whether the one to its right is lighter.
"""

from collections.abc import Sequence

import numpy as np

from perpixel.core.image import Array

SIDE = 16
LONGEST = 256
NEAR = 32
"""At most so many of the 256 bits differ between images that are called nearly alike; about half of them do by chance."""
BLOCK = 256


def perceptual_hash(image: Array) -> bytes | None:
    """The 32 bytes of an image (H, W, C); None for one that is too small or too plain for its bits to tell it from others."""
    if image.shape[0] < SIDE or image.shape[1] <= SIDE:
        return None
    small = image[:: -(-image.shape[0] // LONGEST), :: -(-image.shape[1] // LONGEST), :3]
    grey = small.astype(np.float32).sum(2)
    grey = np.where(np.isfinite(grey), grey, 0)
    rows, columns = _edges(grey.shape[0], SIDE), _edges(grey.shape[1], SIDE + 1)
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    means = sums / np.diff([*rows, grey.shape[0]])[:, None] / np.diff([*columns, grey.shape[1]])
    bits = means[:, 1:] > means[:, :-1]
    return np.packbits(bits).tobytes() if 0.2 < bits.mean() < 0.8 else None


def nearest_of(hashes: Sequence[bytes], others: Sequence[bytes]) -> tuple[Array, Array]:
    """For each hash the place of the nearest among the others, and how many bits differ: both (N,). `others` is not empty."""
    a, b = _signs(hashes), _signs(others)
    place, bits = np.zeros(len(a), np.int64), np.zeros(len(a), np.int64)
    for start in range(0, len(a), BLOCK):
        agree = a[start : start + BLOCK] @ b.T  # bits alike less bits that differ
        place[start : start + BLOCK] = agree.argmax(1)
        bits[start : start + BLOCK] = (SIDE * SIDE - agree.max(1)) / 2
    return place, bits


def _edges(length: int, parts: int) -> Array:
    return np.arange(parts) * length // parts


def _signs(hashes: Sequence[bytes]) -> Array:
    """Each bit as -1 or 1: (N, 256), so that a product of matrices counts."""
    packed = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), SIDE * SIDE // 8)
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1
