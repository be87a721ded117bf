"""What a prediction gives: probabilities when they are looked at, pictures, and files that can be read back."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.image import read_mask
from perpixel.data.bands import Bands
from perpixel.infer import Prediction, Predictor, load
from perpixel.infer.images import display_image
from perpixel.infer.prediction import Probabilities
from perpixel.labels import Taxonomy


def image_of(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def prediction_of(labels: np.ndarray, taxonomy: Taxonomy, image: np.ndarray) -> Prediction:
    """One that nobody asks for its probabilities."""

    def ask() -> Probabilities:
        raise AssertionError

    return Prediction(labels, taxonomy, image, 0.5, ask)


def test_probabilities_are_computed_when_they_are_looked_at(predictor: Predictor) -> None:
    asked = []
    predictor.model.register_forward_pre_hook(lambda *_: asked.append(1))
    image = image_of(20, 30)
    lean = predictor.predict(image)
    lean.summary(), lean.overlay(), repr(lean)
    assert len(asked) == 1
    first = lean.probabilities
    assert lean.probabilities is first
    assert len(asked) == 2
    kept = predictor.predict(image, probabilities=True)
    np.testing.assert_array_equal(kept.probabilities, first)
    assert len(asked) == 3
    assert kept.variance is None


def test_what_a_person_sees_of_them(predictor: Predictor, bundle: Path) -> None:
    assert repr(predictor) == "Predictor(UNet, 3 classes (road, sky, car), 3 channels, cpu)"
    assert repr(load(bundle, device="cpu")).startswith("Predictor(unet, 3 classes")
    labels = np.array([[0, 0, 2], [0, 1, 0]], np.uint8).repeat(900, 0)
    prediction = prediction_of(labels, predictor.taxonomy, image_of(1800, 3))
    assert repr(prediction) == "Prediction(1800x3, road 67%, sky 17%, car 17%)"
    shown = Image.open(io.BytesIO(prediction._repr_png_()))
    assert shown.format == "PNG"
    assert max(shown.size) == 1024
    many = prediction_of(np.arange(9, dtype=np.uint8)[None], Taxonomy.of("abcdefghi"), image_of(1, 9))
    assert repr(many) == "Prediction(1x9, a 11%, b 11%, c 11% and 6 more)"


def test_saved_files(predictor: Predictor, taxonomy: Taxonomy, tmp_path: Path) -> None:
    image = image_of(21, 34)
    prediction = predictor.predict(image)
    files = prediction.save(tmp_path / "new" / "folder", "photo", probabilities=True)
    folder = tmp_path / "new" / "folder"
    assert sorted(p.name for p in folder.iterdir()) == sorted(files.values())
    assert files == {
        "labels": "photo.png",
        "overlay": "photo_overlay.jpg",
        "summary": "photo.json",
        "probabilities": "photo_probabilities.npy",
    }
    mask = read_mask(folder / "photo.png")
    np.testing.assert_array_equal(mask.values, prediction.labels)
    assert mask.palette is not None
    np.testing.assert_array_equal(mask.palette[:3], taxonomy.colours)
    assert Image.open(folder / "photo.png").mode == "P"
    assert Image.open(folder / "photo_overlay.jpg").size == (34, 21)
    saved = np.load(folder / "photo_probabilities.npy")
    assert saved.dtype == np.float16
    np.testing.assert_allclose(saved, prediction.probabilities, atol=1e-3)
    summary = json.loads((folder / "photo.json").read_text())
    assert (summary["height"], summary["width"]) == (21, 34)
    for label, name in enumerate(taxonomy.names):
        share = (prediction.labels == label).mean()
        assert summary["share"].get(name, 0) == pytest.approx(share)
    assert list(summary["share"].values()) == sorted(summary["share"].values(), reverse=True)
    assert summary["mean_confidence"] == pytest.approx(prediction.probabilities.max(0).mean(), rel=1e-5)


def test_index_png_of_many_and_of_few_classes(tmp_path: Path) -> None:
    """Pillow chooses a PNG's bits a pixel by its palette: no label may be lost to that."""
    for k in (1, 2, 3, 17, 254):
        labels = np.arange(k, dtype=np.uint8)[None].repeat(2, 0)
        prediction_of(labels, Taxonomy.of(map(str, range(k))), image_of(2, k)).save(tmp_path, str(k))
        np.testing.assert_array_equal(read_mask(tmp_path / f"{k}.png").values, labels)


def test_overlay_mixes(taxonomy: Taxonomy) -> None:
    image = image_of(2, 2)
    labels = np.array([[0, 1], [2, 1]], np.uint8)
    prediction = prediction_of(labels, taxonomy, image)
    np.testing.assert_array_equal(np.asarray(prediction.overlay(0.0)), image)
    np.testing.assert_array_equal(np.asarray(prediction.overlay(1.0)), np.array(taxonomy.colours, np.uint8)[labels])
    half = (image.astype(float) + np.array(taxonomy.colours)[labels]) / 2
    np.testing.assert_allclose(np.asarray(prediction.overlay(0.5)), half, atol=1)


def test_display_image() -> None:
    eight = image_of(4, 4, 4)
    np.testing.assert_array_equal(display_image(eight), eight[..., :3])
    np.testing.assert_array_equal(display_image(eight[..., :1]), eight[..., :1].repeat(3, 2))
    assert display_image(np.zeros((3, 3, 1), np.float32)).max() == 0
    ramp = np.linspace(0, 60000, 400).reshape(20, 20, 1).astype(np.uint16)
    shown = display_image(ramp)
    assert shown.shape == (20, 20, 3)
    assert shown.min() == 0
    assert shown.max() == 255


def test_what_is_shown_of_many_bands() -> None:
    """The bands that are taken, in their order; bytes of a scene are dark and are stretched, those of a photo are not."""
    scene = np.stack([np.full((8, 8), v, np.uint8) for v in (10, 20, 30, 40, 50)], -1)
    scene[:4] += 40
    shown = display_image(scene, Bands((5, 1), 5))
    assert (shown[0, 0].tolist(), shown[7, 7].tolist()) == ([255] * 3, [0] * 3)
    first, last = display_image(scene, Bands((1, 3, 5), 5))[[0, 7], [0, 7]].tolist()
    assert first == [127, 191, 255]  # 50, 70, 90 between 10 and 90
    assert last == [0, 63, 127]
