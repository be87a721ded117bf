"""Counts by hand, and moments against numpy over every pixel."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Sample
from perpixel.data.statistics import (
    ClassCounts,
    ImageStatistics,
    count_classes,
    infer_taxonomy,
    measure_images,
)
from perpixel.data.survey import survey
from perpixel.labels import Taxonomy

CLASSES = Taxonomy.of(["a", "b", "c"])


def masks(root: Path, *arrays: np.ndarray) -> list[Sample]:
    samples = []
    for i, array in enumerate(arrays):
        file = root / f"{i}_mask.png"
        Image.fromarray(array).save(file)
        samples.append(Sample(str(i), root / f"{i}.png", MaskFile(file)))
    return samples


def counted(samples: list[Sample]) -> ClassCounts:
    return count_classes(survey({"train": samples}, images=lambda split, place: False)["train"], CLASSES)


def measured_of(samples: list[Sample]) -> ImageStatistics:
    return measure_images(survey({"train": samples})["train"])


def row(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def test_counts_by_hand(tmp_path: Path) -> None:
    counts = counted(masks(tmp_path, row(0, 0, 0, 1), row(0, 255, 255, 255, 255), row(255, 255)))
    assert counts.pixels.tolist() == [4, 1, 0]
    assert counts.image_pixels.tolist() == [5, 4, 0], "4 of the first image and 1 of the second; the first; none"
    assert counts.images.tolist() == [2, 1, 0]
    assert (counts.labelled, counts.total) == (5, 11)
    assert counts.pixels.dtype == np.int64


def test_a_value_of_no_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1_mask\.png: mask value 9"):
        counted(masks(tmp_path, row(0, 1), row(0, 9)))


@pytest.mark.parametrize(("dtype", "full"), [("uint8", 255), ("uint16", 65535), ("float32", 1)])
def test_mean_and_deviation(tmp_path: Path, dtype: str, full: int) -> None:
    rng, samples, images = np.random.default_rng(0), [], []
    for i in range(3):
        image = rng.normal([0.3, 0.5, 0.6, 0.4], [0.02, 0.05, 0.1, 0.01], (200, 150, 4))
        stored = (image * full).astype(dtype)
        images.append(stored / full)
        tifffile.imwrite(tmp_path / f"{i}.tif", stored, photometric="minisblack", planarconfig="contig")
        Image.fromarray(np.zeros((200, 150), np.uint8)).save(tmp_path / f"{i}.png")
        samples.append(Sample(str(i), tmp_path / f"{i}.tif", MaskFile(tmp_path / f"{i}.png")))
    measured = measured_of(samples)
    assert measured.channels == 4
    assert measured.median_size == (200, 150)
    # one pixel in seven is looked at: 12857 of them, so means are right to about 0.01 deviations
    np.testing.assert_allclose(measured.mean, np.mean(images, axis=(0, 1, 2)), atol=4e-3)
    np.testing.assert_allclose(measured.std, np.std(images, axis=(0, 1, 2)), rtol=0.04)


def test_a_constant_channel_is_not_divided_by_nothing(tmp_path: Path) -> None:
    samples = masks(tmp_path, np.zeros((9, 9), np.uint8))
    Image.fromarray(np.full((9, 9), 51, np.uint8)).save(samples[0].image)
    measured = measured_of(samples)
    assert (measured.channels, measured.mean, measured.std) == (1, (0.2,), (1.0,))


def test_the_median_size_and_the_usual_channels(tmp_path: Path) -> None:
    sizes = [(10, 20), (30, 40), (50, 10)]
    samples = masks(tmp_path, *(np.zeros(size, np.uint8) for size in sizes))
    for sample, size, bands in zip(samples, sizes, ((3,), (), (3,)), strict=True):
        Image.fromarray(np.zeros((*size, *bands), np.uint8)).save(sample.image)
    measured = measured_of(samples)
    assert measured.median_size == (30, 20)
    assert measured.channels == 3


def test_two_values_0_and_255_are_background_and_foreground(tmp_path: Path) -> None:
    taxonomy = infer_taxonomy(masks(tmp_path, row(0, 0), row(0, 255)))
    assert taxonomy.values == ((0,), (255,))
    assert taxonomy.ignore == ()
    assert taxonomy.encode(row(0, 255)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("values", "classes"), [((0, 1), 2), ((0, 1, 255), 2), ((0, 1, 2, 3, 4), 5), (tuple(range(254)), 254)]
)
def test_values_without_a_gap_are_classes(tmp_path: Path, values: tuple[int, ...], classes: int) -> None:
    taxonomy = infer_taxonomy(masks(tmp_path, row(*values)))
    assert taxonomy.values == tuple((i,) for i in range(classes))
    assert taxonomy.ignore == (255,)


@pytest.mark.parametrize("values", [(0,), (255,), (0, 2), (1, 2), (0, 1, 254), (0, 128, 255), (0, 38, 75), (1, 255)])
def test_other_values_are_asked_for(tmp_path: Path, values: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"write a dataset\.yaml that names them") as caught:
        infer_taxonomy(masks(tmp_path, row(*values)))
    assert str(tmp_path) in str(caught.value)


def test_colours_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the values \(0, 0, 0\), \(128, 0, 0\), which do not say"):
        infer_taxonomy(masks(tmp_path, np.array([[[0, 0, 0], [128, 0, 0]]], np.uint8)))


def test_a_palette_gives_the_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(row(0, 1, 2), "P")
    picture.putpalette([0, 0, 0, 9, 8, 7, 255, 0, 0])
    picture.save(tmp_path / "0_mask.png")
    taxonomy = infer_taxonomy([Sample("0", tmp_path / "0.png", MaskFile(tmp_path / "0_mask.png"))])
    assert taxonomy.colours == ((0, 0, 0), (9, 8, 7), (255, 0, 0))
    assert taxonomy.values == ((0,), (1,), (2,))


def test_samples_without_a_mask_say_nothing(tmp_path: Path) -> None:
    samples = [*masks(tmp_path, row(0, 1)), Sample("x", tmp_path / "x.png", None)]
    assert infer_taxonomy(samples).num_classes == 2
