"""Noise of every kind of pixel that a picture may have."""

import numpy as np

HEIGHT, WIDTH = 24, 31
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
BANDS = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 7), dtype=np.uint8)
