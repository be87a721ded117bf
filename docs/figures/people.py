"""Synthetic people with known boxes, and small detectors that learn to find them: what the figures of detectors show."""

from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

from perpixel.detection import Objects, build, detection_loss

SIZE = (128, 176)
SMALL = {
    "encoder": "resnet10t",
    "stride": 8,
    "channels": 64,
    "anchor_sizes": (24, 40, 64),
    "anchor_ratios": (2.0,),
    "proposals": 64,
}
"""What both detectors have: people are about twice as high as wide."""
STEPS, BATCH, RATE = 300, 4, 1e-3


def scene(seed: int, people: int = 3) -> tuple[np.ndarray, Objects]:
    """A picture (H, W, 3) uint8 of people among boxes, discs and poles of the same colours, and where they stand."""
    rng = np.random.default_rng(seed)
    picture = Image.fromarray(backdrop(rng))
    draw = ImageDraw.Draw(picture)
    for _ in range(8):
        clutter(draw, rng)
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(20 * people):
        height = rng.uniform(30, 90)
        x, y = rng.uniform(2, SIZE[1] - 0.5 * height - 2), rng.uniform(2, SIZE[0] - height - 2)
        box = (x, y, x + 0.5 * height, y + height)
        if len(boxes) < people and all(apart(box, other) for other in boxes):
            person(draw, box, rng)
            boxes.append(box)
    return np.asarray(picture), Objects.of(boxes, [0] * len(boxes))


def backdrop(rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8: a slope of grey and noise."""
    rows, columns = np.indices(SIZE)
    slope = rng.uniform(70, 170) + rng.uniform(-0.3, 0.3) * rows + rng.uniform(-0.2, 0.2) * columns
    return np.clip(slope[..., None] + rng.normal(0, 9, (*SIZE, 3)), 0, 255).astype(np.uint8)


def colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = rng.integers(20, 240, 3).tolist()
    return red, green, blue


def clutter(draw: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    """A box, a disc or a pole."""
    x, y, size = rng.uniform(0, SIZE[1]), rng.uniform(0, SIZE[0]), rng.uniform(6, 30)
    kind = rng.integers(3)
    if kind == 0:
        draw.ellipse((x, y, x + size / 2, y + size / 2), fill=colour(rng))
    else:
        draw.rectangle((x, y, x + size / (1 if kind == 1 else 5), y + size * kind), fill=colour(rng))


def person(draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], rng: np.random.Generator) -> None:
    """A head, a body, two arms that reach the box's sides, and two legs that reach its bottom."""
    x1, y1, x2, y2 = box
    w, h, middle = x2 - x1, y2 - y1, (x1 + x2) / 2
    coat, trousers, skin = colour(rng), colour(rng), (220, 170, 140)
    thick = max(2, round(0.07 * h))
    hips = (middle, y1 + 0.58 * h)
    for side, foot in ((-1, x1 + 0.2 * w), (1, x2 - 0.2 * w)):
        hand = (middle + side * 0.46 * w, y1 + rng.uniform(0.2, 0.55) * h)
        draw.line([(middle, y1 + 0.27 * h), hand], fill=coat, width=thick)
        draw.line([hips, (foot, y2 - 1)], fill=trousers, width=thick + 1)
    draw.rectangle((middle - 0.2 * w, y1 + 0.2 * h, middle + 0.2 * w, hips[1]), fill=coat)
    draw.ellipse((middle - 0.2 * w, y1, middle + 0.2 * w, y1 + 0.2 * h), fill=skin)


def apart(box: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return box[2] < other[0] or other[2] < box[0] or box[3] < other[1] or other[3] < box[1]


def as_input(picture: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) about 0."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 64 - 2


def learned(name: str, steps: int = STEPS, **options: Any) -> nn.Module:
    """The detector of this name after so many steps on fresh scenes, in eval."""
    torch.manual_seed(0)
    model = build(name, num_classes=1, **SMALL, **options)
    loss, optimiser = detection_loss(name, model, regions=64), torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step in range(steps):
        scenes = [scene(1000 + BATCH * step + i) for i in range(BATCH)]
        image = torch.cat([as_input(picture) for picture, _ in scenes])
        optimiser.zero_grad()
        loss(model.propose(image), [objects for _, objects in scenes])["loss"].backward()  # type: ignore[operator]
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        schedule.step()
    return model.eval()
