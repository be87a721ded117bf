"""Evaluation against a loop of plain numpy."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import nn

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.core.reporter import Silent
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Dataset, Sample
from perpixel.infer import Predictor, evaluate
from perpixel.labels import Taxonomy
from perpixel.metrics.calibration import CalibrationError

SIZES = [(20, 30), (17, 11), (40, 40), (1, 9)]


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """Four images whose masks hold 10, 20, 30 for the classes and 0 for ignore; the last is ignored as a whole."""
    rng = np.random.default_rng(0)
    found = []
    for i, size in enumerate(SIZES):
        image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
        mask = rng.choice([0, 10, 20, 30], size).astype(np.uint8) if i < 3 else np.zeros(size, np.uint8)
        Image.fromarray(image).save(tmp_path / f"{i}.png")
        Image.fromarray(mask).save(tmp_path / f"{i}_mask.png")
        found.append(Sample(str(i), tmp_path / f"{i}.png", MaskFile(tmp_path / f"{i}_mask.png")))
    return found


DATA = Taxonomy.of(["road", "sky", "car"], values=[(10,), (20,), (30,)], ignore=(0,))


def loop(predictor: Predictor, samples: list[Sample], k: int = 3) -> tuple[np.ndarray, list[float]]:
    """counts[truth, predicted], pixel by pixel, and each image's mean IoU over the classes in its truth."""
    counts, scores = np.zeros((k, k), np.int64), []
    for sample in samples:
        labels = predictor.predict(sample.image).labels
        mask = np.asarray(Image.open(sample.mask))
        assert labels.shape == mask.shape
        own = np.zeros((k, k), np.int64)
        for t, p in zip(mask.ravel().tolist(), labels.ravel().tolist(), strict=True):
            if t != 0:
                own[t // 10 - 1, p] += 1
        counts += own
        here = [own[c, c] / (own[c].sum() + own[:, c].sum() - own[c, c]) for c in range(k) if own[c].sum()]
        scores.append(float(np.mean(here)) if here else math.nan)
    return counts, scores


@pytest.mark.parametrize("short_side", [None, 8])
def test_equals_a_plain_loop(
    model: nn.Module, taxonomy: Taxonomy, samples: list[Sample], short_side: int | None
) -> None:
    predictor = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.3,) * 3, short_side), taxonomy, device="cpu")
    measured = evaluate(predictor, samples, DATA)
    counts, scores = loop(predictor, samples)
    np.testing.assert_array_equal(measured.evaluation.confusion.counts, counts)
    assert counts.sum() == sum((np.asarray(Image.open(s.mask)) != 0).sum() for s in samples)
    assert (counts.sum(0) > 0).sum() > 1  # a network that says one thing would prove little
    iou = np.diag(counts) / (counts.sum(0) + counts.sum(1) - np.diag(counts))
    assert measured.results["mean_iou"] == pytest.approx(iou.mean())
    assert measured.results["iou"] == pytest.approx(iou.tolist())
    assert measured.results["pixel_accuracy"] == pytest.approx(np.trace(counts) / counts.sum())
    np.testing.assert_allclose([i.image_mean_iou for i in measured.images], scores)
    assert measured.results["images"] == 4
    assert "3 of 3 classes" in measured.results["convention"]
    assert {"boundary_f1", "boundary_iou", "trimap", "calibration"} <= measured.results.keys()


def test_flip_is_the_predictors(predictor: Predictor, samples: list[Sample]) -> None:
    plain = evaluate(predictor, samples, DATA, ("confusion",)).evaluation.confusion.counts
    flipped = evaluate(predictor, samples, DATA, ("confusion",), flip=True).evaluation.confusion.counts
    wanted = np.zeros_like(flipped)
    for s in samples:
        mask = np.asarray(Image.open(s.mask))
        labels = predictor.predict(s.image, flip=True).labels
        np.add.at(wanted, (mask[mask > 0] // 10 - 1, labels[mask > 0]), 1)
    np.testing.assert_array_equal(flipped, wanted)
    assert (plain != flipped).any()


def test_worst_and_median(predictor: Predictor, samples: list[Sample]) -> None:
    measured = evaluate(predictor, samples, DATA, ("confusion",))
    order = sorted(measured.images[:3], key=lambda i: i.image_mean_iou)
    assert measured.worst(2) == order[:2]
    assert measured.worst(9) == order  # the image without labels has no rank
    assert measured.median(1) == [order[1]]
    assert measured.median(3) == order


def test_windows_are_images_of_their_own(predictor: Predictor, samples: list[Sample]) -> None:
    sample = samples[2]
    window = Sample("w", sample.image, sample.mask, (5, 7, 12, 20))
    counts = evaluate(predictor, [window], DATA, ("confusion",)).evaluation.confusion.counts
    image = np.asarray(Image.open(sample.image))[5:17, 7:27]
    mask = np.asarray(Image.open(sample.mask))[5:17, 7:27]
    wanted = np.zeros_like(counts)
    np.add.at(wanted, (mask[mask > 0] // 10 - 1, predictor.predict(image).labels[mask > 0]), 1)
    np.testing.assert_array_equal(counts, wanted)


def test_other_class_names_are_refused(predictor: Predictor, samples: list[Sample]) -> None:
    wrong = {
        "the data 2 (road, sky)": ["road", "sky"],
        'class 0 is "road"': ["sky", "road", "car"],
        '"truck"': ["road", "sky", "truck"],
    }
    for said, names in wrong.items():
        other = Taxonomy.of(names)
        with pytest.raises(UserError, match="classes") as caught:
            evaluate(predictor, samples, other)
        assert "\n" not in str(caught.value)
        assert said in str(caught.value)


def test_long_lists_of_classes_show_where_they_differ(model: nn.Module, samples: list[Sample]) -> None:
    names = [f"class {i}" for i in range(12)]
    predictor = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.3,) * 3), Taxonomy.of(names), device="cpu")
    with pytest.raises(UserError, match="other eleven"):
        evaluate(predictor, samples, Taxonomy.of([*names[:11], "other eleven"]))


def test_a_bad_file_is_named(predictor: Predictor, samples: list[Sample]) -> None:
    assert samples[1].mask is not None
    Image.fromarray(np.full(SIZES[1], 77, np.uint8)).save(samples[1].mask)
    with pytest.raises(UserError, match=r"1_mask.png.*77"):
        evaluate(predictor, samples, DATA)


def test_progress_tells_and_may_stop(predictor: Predictor, samples: list[Sample]) -> None:
    class Stop(Exception):
        pass

    class Told(Silent):
        def __init__(self, last: int) -> None:
            self.last, self.heard = last, []

        def step(self, done: int, total: int, text: str = "") -> None:
            self.heard.append((done, total))
            if done == self.last:
                raise Stop

    told = Told(last=5)
    evaluate(predictor, samples, DATA, ("confusion",), report=told)
    assert told.heard == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(Stop):
        evaluate(predictor, samples, DATA, ("confusion",), report=Told(last=2))


def test_the_share_that_is_ignored_is_told(predictor: Predictor, samples: list[Sample]) -> None:
    masks = [np.asarray(Image.open(s.mask)) for s in samples]
    wanted = sum((m == 0).sum() for m in masks) / sum(m.size for m in masks)
    measured = evaluate(predictor, samples, DATA, ("confusion",))
    assert measured.results["ignored_share"] == measured.ignored_share == pytest.approx(wanted)


def test_masks_of_0_and_255_are_not_those_of_0_and_1(model: nn.Module, samples: list[Sample]) -> None:
    """All of the foreground would be ignored, and mIoU be of the background alone."""
    preprocessing = Preprocessing(3, (0.5,) * 3, (0.3,) * 3)
    predictor = Predictor(model, preprocessing, Taxonomy.of(["background", "cell", "wall"]), device="cpu")
    for s in samples:
        mask = np.asarray(Image.open(s.mask))
        Image.fromarray(np.where(mask > 10, 255, 0).astype(np.uint8)).save(s.mask)
    with pytest.raises(
        UserError, match=r'of the model.s 3 classes only "background" is in these masks, and ..\..%'
    ) as caught:
        evaluate(predictor, samples)
    assert "dataset.yaml" in str(caught.value)
    named = Taxonomy.of(["background", "cell", "wall"])
    assert evaluate(predictor, samples, named, ("confusion",)).ignored_share > 0.2  # whoever names them is believed


def test_a_data_set_is_measured_on_its_val_split(predictor: Predictor, samples: list[Sample], tmp_path: Path) -> None:
    dataset = Dataset(tmp_path, "flat", {"train": tuple(samples[:1]), "val": tuple(samples[1:])}, DATA)
    counts = evaluate(predictor, dataset, metrics=("confusion",)).evaluation.confusion.counts
    wanted = evaluate(predictor, samples[1:], DATA, ("confusion",)).evaluation.confusion.counts
    np.testing.assert_array_equal(counts, wanted)


@pytest.mark.parametrize("given", [["a.png"], [np.zeros((4, 4, 3), np.uint8)]])
def test_images_without_masks_are_told_apart_from_samples(predictor: Predictor, given: Any) -> None:
    with pytest.raises(UserError, match=r"expected samples with masks, got (str|ndarray); give open_dataset"):
        evaluate(predictor, given)


def test_calibration_is_that_of_whole_images(
    model: nn.Module, taxonomy: Taxonomy, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The probabilities go by in pieces; the figures are those of all pixels."""
    monkeypatch.setattr("perpixel.infer.pieces.PIECE", 100)
    predictor = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.3,) * 3, 8), taxonomy, device="cpu")
    measured = evaluate(predictor, samples, DATA)
    whole = CalibrationError()
    for s in samples:
        whole.update(predictor.predict(s.image).probabilities, DATA.encode(np.asarray(Image.open(s.mask))))
    assert measured.results["calibration"]["error"] == pytest.approx(whole.error)
