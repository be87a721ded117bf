"""Images of a red and a blue square on grey noise, and their masks."""

import numpy as np
import torch

from perpixel.train.objectives.decoupled_samples import Strong


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def squares(count: int, side: int = 40) -> Strong:
    """Grey noise with a red square (class 1), a blue one (class 2), or both, and their masks; the rest is background."""
    random, images, labels = rng(5), [], []
    for n in range(count):
        image = random.integers(90, 120, (3, side, side)).astype(np.uint8)
        mask = np.zeros((side, side), np.uint8)
        for c in (1, 2):
            if n % 3 in (c - 1, 2):
                top, left = random.integers(0, side - 12), random.integers(0, side // 2 - 12) + (c - 1) * side // 2
                box = slice(top, top + 12), slice(left, left + 12)
                image[:, *box] = np.array([230, 30, 30] if c == 1 else [30, 30, 230])[:, None, None]
                mask[box] = c
        images.append(torch.from_numpy(image))
        labels.append(torch.from_numpy(mask))
    return Strong(images, labels)
