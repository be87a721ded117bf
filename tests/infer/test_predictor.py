"""A Predictor takes any image and answers at its size; what it saves can be read back."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.core.image import read_image, read_mask
from perpixel.infer import Prediction, Predictor, load
from perpixel.infer.images import display_image
from perpixel.infer.prediction import Probabilities
from perpixel.infer.predictor import pick_device
from perpixel.labels import Taxonomy
from perpixel.models import build


def image_of(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def prediction_of(labels: np.ndarray, taxonomy: Taxonomy, image: np.ndarray) -> Prediction:
    """One that nobody asks for its probabilities."""

    def ask() -> Probabilities:
        raise AssertionError

    return Prediction(labels, taxonomy, image, 0.5, ask)


def normalised(image: np.ndarray, preprocessing: Preprocessing) -> torch.Tensor:
    """What a network with these figures must see, by the definition."""
    pixels = image.astype(np.float64) / 255
    return torch.from_numpy(((pixels - preprocessing.mean) / preprocessing.std).transpose(2, 0, 1)[None]).float()


def by_hand(predictor: Predictor, image: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits = predictor.model(normalised(image, predictor.preprocessing))["logits"][0].double().numpy()
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1, 40), (33, 64), (200, 300)])
def test_any_size_at_its_own_size(predictor: Predictor, size: tuple[int, int]) -> None:
    image = image_of(*size)
    prediction = predictor.predict(image)
    assert prediction.labels.shape == size
    assert prediction.labels.dtype == np.uint8
    assert prediction.probabilities.shape == (3, *size)
    assert prediction.probabilities.dtype == np.float32
    np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-5)
    np.testing.assert_allclose(prediction.probabilities, by_hand(predictor, image), atol=1e-5)
    np.testing.assert_array_equal(prediction.labels, prediction.probabilities.argmax(0))
    assert prediction.image.shape == (*size, 3)


def test_every_network_of_the_catalog_predicts_one_pixel() -> None:
    for name, options in (("fast_scnn", {}), ("unet", {"width": 2})):
        model = build(name, num_classes=4, in_channels=1, **options)
        predictor = Predictor(model, Preprocessing(1, (0.5,), (0.5,)), Taxonomy.of("abcd"), device="cpu")
        assert predictor.predict(image_of(1, 1, 1)).labels.shape == (1, 1)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1", "I;16"])
def test_path_picture_and_array_agree(predictor: Predictor, tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        picture = Image.fromarray(np.random.default_rng(0).integers(0, 65536, (12, 10), dtype=np.uint16))
    else:
        picture = Image.fromarray(image_of(12, 10)).convert(mode)
    file = tmp_path / "x.png"
    picture.save(file)
    from_path = predictor.predict(file)
    np.testing.assert_array_equal(from_path.probabilities, predictor.predict(str(file)).probabilities)
    np.testing.assert_array_equal(from_path.probabilities, predictor.predict(picture).probabilities)
    np.testing.assert_array_equal(from_path.probabilities, predictor.predict(Image.open(file)).probabilities)
    np.testing.assert_array_equal(from_path.probabilities, predictor.predict(read_image(file)).probabilities)


def test_grey_becomes_three_equal_channels(predictor: Predictor) -> None:
    grey = image_of(9, 8, 1)
    three = np.concatenate([grey] * 3, axis=2)
    for image in (grey, grey[..., 0]):
        np.testing.assert_array_equal(predictor.predict(image).probabilities, predictor.predict(three).probabilities)


def test_alpha_is_dropped_from_files(predictor: Predictor, tmp_path: Path) -> None:
    image = image_of(9, 8, 4)
    Image.fromarray(image, "RGBA").save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(
        predictor.predict(tmp_path / "alpha.png").probabilities, predictor.predict(image[..., :3]).probabilities
    )


def test_sixteen_bits_are_scaled_by_65535(predictor: Predictor) -> None:
    eight = image_of(11, 9)
    sixteen = eight.astype(np.uint16) * 257  # 255 * 257 = 65535
    np.testing.assert_allclose(
        predictor.predict(sixteen).probabilities, predictor.predict(eight).probabilities, atol=1e-5
    )


def test_exif_turns_file_and_picture_alike(predictor: Predictor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image_of(10, 20)).save(tmp_path / "turned.png", exif=exif)
    assert predictor.predict(tmp_path / "turned.png").labels.shape == (20, 10)
    assert predictor.predict(Image.open(tmp_path / "turned.png")).labels.shape == (20, 10)


def test_not_a_number_counts_as_zero_in_file_and_array(predictor: Predictor, tmp_path: Path) -> None:
    image = image_of(6, 7).astype(np.float32) / 255
    image[2, 3] = np.nan
    np.save(tmp_path / "x.npy", image)
    from_array = predictor.predict(image)
    assert np.isfinite(from_array.probabilities).all()
    np.testing.assert_array_equal(predictor.predict(tmp_path / "x.npy").probabilities, from_array.probabilities)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (image_of(5, 5, 4), "takes 3 channels, this image has 4"),
        (image_of(5, 5, 2), "takes 3 channels, this image has 2"),
        (np.zeros((5, 5, 3), np.int64), "int64"),
        (np.zeros((5, 5, 3), np.float64), "float64"),
        (np.zeros((0, 5, 3), np.uint8), "(0, 5, 3)"),
        (np.zeros((2, 5, 5, 3), np.uint8), "(2, 5, 5, 3)"),
        (np.zeros(5, np.uint8), "(5,)"),
        ("nowhere.png", "nowhere.png"),
    ],
)
def test_what_cannot_be_predicted(predictor: Predictor, image: np.ndarray | str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        predictor.predict(image)
    assert said in str(caught.value)


def test_a_wrong_file_is_named(predictor: Predictor, tmp_path: Path) -> None:
    np.save(tmp_path / "five.npy", image_of(5, 5, 5))
    with pytest.raises(UserError, match=r"five.npy.*3 channels.*has 5"):
        predictor.predict(tmp_path / "five.npy")


def test_short_side(model: nn.Module, taxonomy: Taxonomy) -> None:
    """The network sees the short side; the answer has the image's size."""
    seen = []
    model.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    preprocessing = Preprocessing(3, (0.5,) * 3, (0.25,) * 3, short_side=20)
    prediction = Predictor(model, preprocessing, taxonomy, device="cpu").predict(image_of(40, 60))
    assert seen == [(1, 3, 20, 30)]
    assert prediction.labels.shape == (40, 60)
    assert prediction.image.shape == (40, 60, 3)
    np.testing.assert_allclose(prediction.probabilities.sum(0), 1, atol=1e-5)


class Passing(nn.Module):
    """Scores are the three channels that it is given."""

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": image}


def between(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(K, h, w) at (K, H, W), pixel by pixel: the middle of a pixel lies half a pixel from its edge, at both sizes."""
    _, h, w = values.shape
    result = np.empty((len(values), *size))
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) * h / size[0] - 0.5, 0), h - 1)
            u = min(max((x + 0.5) * w / size[1] - 0.5, 0), w - 1)
            top, left = int(v), int(u)
            low, right = min(top + 1, h - 1), min(left + 1, w - 1)
            above = values[:, top, left] * (left + 1 - u) + values[:, top, right] * (u - left)
            below = values[:, low, left] * (left + 1 - u) + values[:, low, right] * (u - left)
            result[:, y, x] = above * (top + 1 - v) + below * (v - top)
    return result


@pytest.mark.parametrize(("short_side", "scale"), [(None, 1.5), (8, 1.0), (40, 1.0), (None, 0.3)])
def test_the_answer_lies_where_the_image_does(short_side: int | None, scale: float) -> None:
    """With a working size, every pixel's probabilities are those between the network's, by hand."""
    preprocessing = Preprocessing(3, (0.5,) * 3, (0.1,) * 3, short_side, scale)
    image = image_of(16, 23)
    prediction = Predictor(Passing(), preprocessing, Taxonomy.of("abc"), device="cpu").predict(image)
    working = np.exp(preprocessing(image)[0].double().numpy())
    wanted = between(working / working.sum(0), (16, 23))
    np.testing.assert_allclose(prediction.probabilities, wanted, atol=1e-5)
    np.testing.assert_array_equal(prediction.labels, wanted.argmax(0))
    assert prediction.mean_confidence == pytest.approx(wanted.max(0).mean(), abs=1e-5)


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


class Strided(nn.Module):
    """Sees the image at every 16th pixel, as networks of that stride do."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.up = nn.Conv2d(3, 4, 16, stride=16), nn.ConvTranspose2d(4, 3, 16, stride=16)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        height, width = image.shape[-2:]
        padded = nn.functional.pad(image, (0, -width % 16, 0, -height % 16))
        return {"logits": 5 * self.up(self.down(padded))[..., :height, :width]}


@pytest.mark.parametrize("size", [(200, 401), (90, 250), (131, 129)])
def test_tiles_of_the_mirrored_image_lie_on_its_own_grid(size: tuple[int, int]) -> None:
    predictor = Predictor(Strided(), Preprocessing(3, (0.5,) * 3, (0.1,) * 3), Taxonomy.of("abc"), device="cpu")
    image = image_of(*size)
    whole = predictor.predict(image, flip=True).probabilities
    tiled = predictor.predict(image, flip=True, tile=128, probabilities=True).probabilities
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    assert np.abs(whole - predictor.predict(image).probabilities).max() > 0.01


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (io.BytesIO(b"x"), "got BytesIO; write its bytes to a file and give its path"),
        ([[1, 2], [3, 4]], "got list; give one image at a time"),
        (["a.png", "b.png"], "got list; give one image at a time"),
        (torch.zeros(3, 4, 4), "got Tensor; give .H, W, C.: tensor.permute"),
        (None, "got NoneType"),
        (7, "got int"),
    ],
)
def test_what_is_no_image_is_told_in_one_line(predictor: Predictor, given: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        predictor.predict(given)
    assert "\n" not in str(caught.value)


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


def test_flip_averages_with_the_mirrored_image(predictor: Predictor) -> None:
    image = image_of(13, 17)
    wanted = (by_hand(predictor, image) + by_hand(predictor, image[:, ::-1].copy())[..., ::-1]) / 2
    np.testing.assert_allclose(predictor.predict(image, flip=True).probabilities, wanted, atol=1e-5)
    symmetric = np.concatenate([image, image[:, ::-1]], axis=1)
    result = predictor.predict(symmetric, flip=True).probabilities
    np.testing.assert_allclose(result, result[..., ::-1], atol=1e-6)


def test_a_batch_norm_network_predicts_in_eval_mode() -> None:
    model = build("fast_scnn", num_classes=2).train()
    predictor = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.5,) * 3), Taxonomy.of("ab"), device="cpu")
    image = image_of(40, 40)
    first = predictor.predict(image).probabilities
    predictor.predict(image_of(40, 40, seed=1))
    np.testing.assert_array_equal(predictor.predict(image).probabilities, first)


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
    eight = image_of(4, 4, 5)
    np.testing.assert_array_equal(display_image(eight), eight[..., :3])
    np.testing.assert_array_equal(display_image(eight[..., :1]), eight[..., :1].repeat(3, 2))
    assert display_image(np.zeros((3, 3, 1), np.float32)).max() == 0
    ramp = np.linspace(0, 60000, 400).reshape(20, 20, 1).astype(np.uint16)
    shown = display_image(ramp)
    assert shown.shape == (20, 20, 3)
    assert shown.min() == 0
    assert shown.max() == 255


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(UserError, match="banana"):
        pick_device("banana")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="not available"):
            pick_device("cuda")


def test_loaded_predictor_equals_the_model(bundle: Path, predictor: Predictor) -> None:
    image = image_of(30, 30)
    loaded = load(bundle, device="cpu")
    assert loaded.info is not None
    assert loaded.info.metrics == {"mean_iou": 0.5}
    np.testing.assert_array_equal(loaded.predict(image).probabilities, predictor.predict(image).probabilities)


def test_a_large_image_goes_in_tiles(predictor: Predictor) -> None:
    """The tiny U-Net's receptive field is 188 pixels at most: tiles with 256 pixels of overlap equal the whole."""
    image = image_of(300, 700)
    seen = []
    predictor.model.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape[-2:])))
    whole = predictor.predict(image, probabilities=True).probabilities
    tiled = predictor.predict(image, tile=416, probabilities=True).probabilities
    assert seen[0] == (300, 700)
    assert len(seen) > 2
    assert all(h * w <= 416 * 416 for h, w in seen[1:])
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
