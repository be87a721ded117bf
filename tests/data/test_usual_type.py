"""Images of several number types in one training set, and bands that are tagged as alpha in some of them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.loader import TrainingSet
from perpixel.data.samples import Sample
from perpixel.data.statistics import survey_training
from perpixel.data.transforms import Augmentation
from perpixel.labels import Taxonomy

RNG = np.random.default_rng(0)
CLASSES = Taxonomy.of(["a", "b"])
SAME = [lambda a: (a / 255).astype(np.float32), lambda a: a.astype(np.float32), lambda a: a.astype(np.uint16) * 257]
STILL = Augmentation(crop=(8, 8), scale=(1.0, 1.0), flip=False, jitter=0.0)


def folder(root: Path, images: list[np.ndarray]) -> Path:
    """Flat, all in train."""
    for name in ("images", "masks"):
        (root / name).mkdir()
    for i, image in enumerate(images):
        tifffile.imwrite(root / f"images/{i}.tif", image, photometric="rgb", **extra(image))
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[: i + 2] = 1
        Image.fromarray(mask).save(root / f"masks/{i}.png")
    (root / "train.txt").write_text("\n".join(map(str, range(len(images)))))
    (root / "val.txt").write_text("")
    return root


def extra(image: np.ndarray) -> dict[str, list[str]]:
    return {"extrasamples": ["unassalpha"]} if image.shape[2] == 4 else {}


def photos(n: int, channels: int = 3) -> list[np.ndarray]:
    return [RNG.integers(0, 256, (20, 24, channels), dtype=np.uint8) for _ in range(n)]


def reader(root: Path) -> TrainingSet:
    samples: tuple[Sample, ...] = open_dataset(root).split("train")
    found = survey_training(open_dataset(root), "train", "val").images
    takes = Preprocessing(found.channels, found.mean, found.std, dtype=found.dtype, value_range=found.value_range)  # type: ignore[arg-type]
    return TrainingSet(samples, CLASSES, STILL, 0, takes.training_pair)


@pytest.mark.parametrize("other", [lambda a: a + np.float32(0.5), lambda a: a.astype(np.uint16)])
def test_bytes_stored_as_another_type_do_not_train_in_silence(tmp_path: Path, other) -> None:  # type: ignore[no-untyped-def]
    images = photos(5)
    images[1] = other(images[1])  # 0 to 255 as floats, or nearly black as 16 bits
    data = reader(folder(tmp_path, images))
    with pytest.raises(
        UserError, match=r"1\.tif: the others of this data set are uint8 images of 0 to 255, this one is"
    ) as caught:
        data.keep_in_memory()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", SAME)
def test_the_same_picture_in_another_type_trains_and_is_said(tmp_path: Path, other) -> None:  # type: ignore[no-untyped-def]
    images = photos(5)
    truth = images[1].astype(float)
    images[1] = other(images[1])
    root = folder(tmp_path, images)
    image, _ = reader(root).decode(1)
    scale = 1 if image.dtype == torch.uint8 else 255
    np.testing.assert_allclose(image.permute(1, 2, 0).numpy() * scale, truth, atol=1e-3)
    notes = survey_training(open_dataset(root), "train", "val").notes
    assert [n for n in notes if f"1 of 5 images measured are {images[1].dtype}" in n]


def test_the_mean_is_that_of_the_usual_type(tmp_path: Path) -> None:
    images = photos(5)
    counts = images[1].astype(np.float32)
    found = survey_training(open_dataset(folder(tmp_path, [*images[:1], counts, *images[2:]])), "train", "val").images
    pixels = np.concatenate([i.reshape(-1, 3)[::7] for k, i in enumerate(images) if k != 1]) / 255
    np.testing.assert_allclose(found.mean, pixels.mean(0), rtol=1e-5)
    assert (found.dtype, found.value_range) == ("uint8", (0, 255))


def test_a_band_is_kept_in_all_images_where_it_is_in_most(tmp_path: Path) -> None:
    images = photos(5, channels=4)
    images[2][..., 3] = 255  # alone, this would be called an alpha that says nothing
    root = folder(tmp_path, images)
    data = reader(root)
    assert data.decode(2)[0].shape == (4, 20, 24)
    assert not [d for d in check_dataset(root).defects if "channels" in d.text]
