"""A crop that one class fills is drawn again; ignored pixels are no class."""

import numpy as np
import torch

from perpixel.data.transforms import Augmentation, augment

STILL = Augmentation(crop=(96, 96), scale=(1.0, 1.0), max_class_share=1.0, flip=False, jitter=0.0)


def change(**what: object) -> Augmentation:
    return Augmentation(**{**STILL.__dict__, **what})  # type: ignore[arg-type]


def test_a_crop_of_one_class_alone_is_drawn_again() -> None:
    labels = torch.zeros(100, 400, dtype=torch.uint8)
    labels[:, 380:] = 1  # one crop in about twenty sees any of it
    image = labels[None] * 200

    def mixed(share: float) -> float:
        how = change(crop=(64, 64), max_class_share=share)
        crops = (augment(image, labels, how, np.random.default_rng(s))[1] for s in range(200))
        return sum(float(c.float().mean()) >= 0.25 for c in crops) / 200

    # of 337 places left for a crop, the last 5 show 16 to 20 columns of class 1: 1.5 %, and 14 % in 10 draws
    assert mixed(1.0) < 0.05
    assert 0.08 < mixed(0.75) < 0.22


def test_ignored_pixels_have_no_share() -> None:
    labels = torch.full((64, 64), 255, dtype=torch.uint8)
    _, out = augment(labels[None], labels, change(crop=(32, 32), max_class_share=0.75), np.random.default_rng(0))
    assert bool((out == 255).all())


def test_ignored_pixels_are_no_class_that_fills_a_crop() -> None:
    """Nine tenths are ignored, the rest is two classes in equal parts: no crop is drawn again."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.choice(np.array([0, 1] + [255] * 18, np.uint8), (128, 128)))
    image = torch.arange(128 * 128).reshape(1, 128, 128).float()
    for seed in range(5):
        views = [
            augment(image, labels, change(crop=(96, 96), max_class_share=share), np.random.default_rng(seed))[0]
            for share in (0.75, 1.0)
        ]
        assert torch.equal(*views)


def test_the_share_of_a_class_is_that_of_the_labelled_pixels() -> None:
    """On the left half of the pixels is ignored and all others are class 0: such a crop is drawn again."""
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.choice(np.array([0, 1], np.uint8), (64, 256)))
    labels[:, :96] = torch.from_numpy(rng.choice(np.array([0, 255], np.uint8), (64, 96)))
    for seed in range(20):
        how = change(crop=(64, 64), max_class_share=0.75)
        _, seen = augment(labels[None].float(), labels, how, np.random.default_rng(seed))
        assert (seen == 1).any()
