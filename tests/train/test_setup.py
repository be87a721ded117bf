"""What is settled before the first step: every key of the recipe reaches what it is for."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.transforms import Augmentation
from perpixel.metrics import ConfusionMatrix
from perpixel.train import Recipe
from perpixel.train.objectives.segmentation import Segmentation
from perpixel.train.recipe import DataPart
from perpixel.train.setup import augmentation, set_up


def test_every_key_of_the_augmentation_is_its_own() -> None:
    """Values that differ pairwise, so that no two can change places unseen."""
    said = {
        "crop": (40, 48),
        "scale": (0.6, 1.7),
        "max_class_share": 0.8,
        "flip": False,
        "flip_vertical": True,
        "rotate": 12.0,
        "jitter": 0.2,
        "elastic": 3.0,
    }
    assert set(said) == {f.name for f in dataclasses.fields(Augmentation)}
    assert dataclasses.asdict(augmentation(DataPart(**said))) == said


def test_preprocessing_is_what_the_recipe_says(tiny: Recipe) -> None:
    said = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "short_side": 40, "predict_scale": 1.25, "bgr": True}
    p = set_up(tiny.changed({f"data.{k}": v for k, v in said.items()})).preprocessing
    assert (p.channels, p.mean, p.std, p.short_side, p.scale, p.bgr) == (
        3,
        (0.1, 0.2, 0.3),
        (0.4, 0.5, 0.6),
        40,
        1.25,
        True,
    )


@pytest.mark.parametrize(("size", "crop"), [((48, 64), (32, 64)), ((700, 1030), (512, 512)), ((20, 20), (32, 32))])
def test_the_crop_is_the_median_size_to_512_in_multiples_of_32(
    tiny: Recipe, tmp_path: Path, size: tuple[int, int], crop: tuple[int, int]
) -> None:
    write(tmp_path, size, train=[0, 1], val=[0, 1])
    assert set_up(tiny.changed({"data.path": str(tmp_path), "data.crop": None})).recipe.data.crop == crop


def test_a_class_that_only_val_shows_is_a_class(tiny: Recipe, tmp_path: Path) -> None:
    """Without names the masks tell the classes: those of train and val together."""
    write(tmp_path, (40, 40), train=[0, 1], val=[0, 1, 2])
    setup = set_up(tiny.changed({"data.path": str(tmp_path)}))
    assert setup.taxonomy.num_classes == 3
    assert [int(n > 0) for n in setup.counts.pixels] == [1, 1, 0]


def test_weights_taken_back(tiny: Recipe) -> None:
    """-t log(weight), by the weights that the recipe gives."""
    weights = [1.0, 2.0, 4.0, 1.0, 1.0, 0.5, 1.0, 1.0]
    setup = set_up(tiny.changed({"loss.class_weights": weights, "loss.logit_adjustment": 0.5}))
    assert setup.logit_bias == pytest.approx([-0.5 * np.log(w) for w in weights])
    assert set_up(tiny.changed({"loss.logit_adjustment": 0.0})).logit_bias == ()


def write(folder: Path, size: tuple[int, int], train: list[int], val: list[int]) -> None:
    """Two pairs a split whose masks hold the given values in equal columns."""
    for split, values in (("train", train), ("val", val)):
        mask = np.repeat(np.array(values, np.uint8), -(-size[1] // len(values)))[None, : size[1]].repeat(size[0], 0)
        for kind, array in (("images", np.full((*size, 3), 90, np.uint8)), ("masks", mask)):
            (folder / kind / split).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(array).save(folder / kind / split / f"{split}{i}.png")


@pytest.mark.parametrize(("found", "said"), [(0, True), (1, True), (2, False)])
def test_a_class_is_as_good_as_never_predicted_below_an_iou_of_a_hundredth(
    tiny: Recipe, tmp_path: Path, found: int, said: bool
) -> None:
    """Of 100 pixels of class 1, `found` are found and 10 others called it: IoU 0, 1/110 and 2/110."""
    write(tmp_path, (40, 40), train=[0, 1], val=[0, 1])
    objective = Segmentation(set_up(tiny.changed({"data.path": str(tmp_path)})))
    truth = np.array([1] * 100 + [0] * 900, np.uint8)[None]
    predicted = np.array([1] * found + [0] * (100 - found) + [1] * 10 + [0] * 890, np.uint8)[None]
    confusion = ConfusionMatrix(2)
    confusion.update(predicted, truth)
    remarks = objective._collapsed(confusion)
    assert bool(remarks) is said
    assert not said or objective.setup.taxonomy.names[1] in remarks[0]


@pytest.mark.parametrize(
    ("dtype", "numbers", "said"),
    [
        (np.uint8, (3, 250), ("uint8", (3.0, 250.0))),
        (np.uint16, (7, 4000), ("uint16", (7.0, 4000.0))),
        (np.float32, (-0.5, 812.25), ("float32", (-0.5, 812.25))),
    ],
)
def test_a_bundle_knows_the_numbers_that_it_was_trained_on(
    tiny: Recipe, tmp_path: Path, dtype: type, numbers: tuple[float, float], said: tuple[str, tuple[float, float]]
) -> None:
    write(tmp_path, (40, 40), train=[0, 1], val=[0, 1])
    for file in (tmp_path / "images" / "train").iterdir():
        image = np.full((40, 40), numbers[0], dtype)
        image[5, 6] = numbers[1]
        tifffile.imwrite(file.with_suffix(".tif"), image)
        file.unlink()
    info = set_up(tiny.changed({"data.path": str(tmp_path)})).bundle_info({}, {})
    assert (info.preprocessing.dtype, info.preprocessing.value_range) == said


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("loss.terms", [{"name": "dice", "weight": "heavy"}], "heavy"),
        ("loss.terms", [{"name": "dice", "weight": float("inf")}], "weight"),
        ("loss.terms", [{"name": "dice", "class_weights": ["a", "b"]}], "dice"),
        ("model.options", {"dropout": 7}, "fast_scnn cannot be built"),
        ("model.options", {"dropout": "much"}, "fast_scnn cannot be built"),
    ],
)
def test_what_cannot_be_built_is_one_line(tiny: Recipe, key: str, value: object, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        set_up(tiny.changed({key: value}))
    assert "\n" not in str(caught.value)
