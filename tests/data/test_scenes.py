"""The synthetic scenes: the same for the same numbers, with all classes, and out of a poor model's reach."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.scenes import SCENES, make_scene, write_scenes
from perpixel.labels.taxonomy import Taxonomy

Arrays = tuple[NDArray[np.uint8], NDArray[np.uint8]]
SMALL = (120, 160)


@cache
def scenes(first: int, count: int) -> Arrays:
    """Images (N, H, W, 3) and labels (N, H, W)."""
    pairs = [make_scene(0, index, SMALL) for index in range(first, first + count)]
    assert len(pairs) == count
    return np.stack([image for image, _ in pairs]), np.stack([labels for _, labels in pairs])


def test_same_numbers_same_scene() -> None:
    image, labels = make_scene(3, 5, SMALL)
    make_scene(9, 9, (30, 40))
    again, labels_again = make_scene(3, 5, SMALL)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(labels, labels_again)


def test_each_number_is_its_own_scene() -> None:
    pictures = [make_scene(seed, index, (40, 60))[1].tobytes() for seed in (0, 1) for index in range(20)]
    assert len(pictures) == 40
    assert len(set(pictures)) == 40


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (64, 64), (37, 53), (240, 320), (480, 640)])
def test_any_size(size: tuple[int, int]) -> None:
    for index in range(3):
        image, labels = make_scene(0, index, size)
        assert image.shape == (*size, 3)
        assert labels.shape == size
        assert image.dtype == labels.dtype == np.uint8
        assert set(np.unique(labels)) <= {*range(8), 255}


def test_another_size_is_the_same_place() -> None:
    agreement = []
    for index in range(8):
        small, large = make_scene(0, index, (60, 80))[1], make_scene(0, index, (240, 320))[1]
        agreement.append((small == large[2::4, 2::4]).mean())
    assert np.mean(agreement) > 0.9


@pytest.mark.parametrize(("seed", "index", "size"), [(-1, 0, (4, 4)), (0, -1, (4, 4)), (0, 0, (0, 4)), (0, 0, (4, -2))])
def test_numbers_that_make_no_scene(seed: int, index: int, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="make_scene needs"):
        make_scene(seed, index, size)


def test_every_class_is_common() -> None:
    _, labels = scenes(0, 40)
    share = np.bincount(labels.ravel(), minlength=256) / labels.size
    # Of all pixels, at least: road, sidewalk, building, sky, tree, vehicle, person, pole.
    assert (share[:8] >= [0.15, 0.03, 0.08, 0.05, 0.04, 0.05, 0.01, 0.015]).all(), share[:8]
    assert (share[:8] <= 0.5).all()
    assert 0 < share[255] < 0.03
    images_with = np.array([(labels == k).any(axis=(1, 2)).mean() for k in range(8)])
    assert (images_with >= 0.8).all(), images_with


def test_image_follows_labels() -> None:
    """Where the class changes the picture changes more than elsewhere: image and mask lie on each other."""
    images, labels = scenes(0, 20)
    step = np.abs(np.diff(images.astype(int), axis=2)).mean(axis=-1)
    edge = labels[:, :, 1:] != labels[:, :, :-1]
    contrast = step[edge].mean() / step[~edge].mean()
    moved = np.roll(edge, 3, axis=2)
    assert contrast > 2.5
    assert step[edge].mean() > 1.8 * step[moved & ~edge].mean()


def _runs(row: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs of True in a row, by a plain loop."""
    lengths, current = [], 0
    for value in [*row.tolist(), False]:
        if value:
            current += 1
        elif current:
            lengths.append(current)
            current = 0
    return lengths


def test_poles_and_people_are_thin() -> None:
    for label in (6, 7):
        lengths: list[int] = []
        for index in range(6):
            labels = make_scene(0, index)[1]
            lengths += [n for row in labels == label for n in _runs(row)]
        assert len(lengths) > 300
        assert np.mean(np.array(lengths) <= 8) > 0.25, "many fit into one cell of a network of stride 8"
        assert 3 <= np.median(lengths) <= 20, "and most can be seen"


def _features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What a poor model sees of a pixel: its colour and its row, in comparable units, (pixels, 4)."""
    count, height, width, _ = images.shape
    row = np.broadcast_to(np.linspace(0, 255, height)[None, :, None, None], (count, height, width, 1))
    return np.concatenate([images, row], axis=-1).reshape(-1, 4).astype(np.float64)


def _mean_iou(prediction: NDArray[np.int64], target: NDArray[np.uint8]) -> float:
    kept, ious = target != 255, []
    for k in range(8):
        said, true = (prediction == k) & kept, target == k
        ious.append((said & true).sum() / (said | true).sum())
    return float(np.mean(ious))


def test_colour_and_height_do_not_give_the_class_away() -> None:
    images, labels = scenes(0, 20)
    unseen, target = scenes(1_000_000, 10)
    features, flat = _features(images), labels.ravel()
    centres = np.stack([features[flat == k].mean(axis=0) for k in range(8)])
    distance = ((_features(unseen)[:, None] - centres) ** 2).sum(axis=-1)
    assert _mean_iou(distance.argmin(axis=1), target.ravel()) < 0.4


def test_a_colour_histogram_does_not_give_the_class_away() -> None:
    """A stronger one: the commonest class of each of 8 x 8 x 8 colours and 12 rows."""
    images, labels = scenes(0, 20)
    unseen, target = scenes(1_000_000, 10)

    def cell(pictures: NDArray[np.uint8]) -> NDArray[np.int64]:
        r, g, b, row = (_features(pictures).astype(np.int64) // [32, 32, 32, 22]).T
        return ((r * 8 + g) * 8 + b) * 12 + row

    flat = labels.ravel()
    votes = np.stack([np.bincount(cell(images)[flat == k], minlength=8**3 * 12) for k in range(8)])
    assert _mean_iou(votes.argmax(axis=0)[cell(unseen)], target.ravel()) < 0.5


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_written_scenes_read_back(tmp_path: Path) -> None:
    write_scenes(tmp_path, train=3, val=2, test=1, size=(40, 60), seed=4)
    names = sorted(_files(tmp_path))
    pairs = [name.removeprefix("images/") for name in names if name.startswith("images/")]
    expected = {"train": 3, "val": 2, "test": 1}
    assert pairs == sorted(f"{split}/{i:05d}.png" for split, count in expected.items() for i in range(count))
    assert len(names) == 13
    assert names[0] == "dataset.yaml"
    image, labels = make_scene(4, 1, (40, 60))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "images/train/00001.png")), image)
    with Image.open(tmp_path / "masks/train/00001.png") as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), labels)
        colours = np.asarray(mask.convert("RGB"))
    np.testing.assert_array_equal(colours[labels == 3], np.broadcast_to(SCENES.colours[3], ((labels == 3).sum(), 3)))


def test_dataset_yaml_says_the_taxonomy(tmp_path: Path) -> None:
    write_scenes(tmp_path, train=1, val=0, size=(8, 8))
    said = yaml.safe_load((tmp_path / "dataset.yaml").read_text(encoding="utf-8"))
    assert list(said) == ["name", "licence", "classes", "ignore"]
    assert said["classes"][3]["name"] == "sky"
    assert len(said["classes"]) == 8
    assert said["ignore"] == [255]
    assert Taxonomy.from_dict(said) == SCENES
    assert not (tmp_path / "images" / "val").exists()


def test_equal_arguments_write_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scenes(tmp_path / name, train=2, val=2, size=(24, 32), seed=1)
    first, second = _files(tmp_path / "a"), _files(tmp_path / "b")
    assert len(first) == 9
    assert first == second
    write_scenes(tmp_path / "a", train=2, val=2, size=(24, 32), seed=1)
    assert _files(tmp_path / "a") == first
    pictures = [data for name, data in first.items() if name.startswith("images/")]
    assert len(set(pictures)) == 4, "val holds other scenes than train"


def test_other_files_are_not_mixed_in(tmp_path: Path) -> None:
    write_scenes(tmp_path, train=2, val=1, size=(8, 8))
    with pytest.raises(UserError, match=r"train/00001\.png"):
        write_scenes(tmp_path, train=1, val=1, size=(8, 8))
