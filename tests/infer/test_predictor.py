"""A Predictor takes any image and answers at its size."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.core.image import read_image
from perpixel.infer import Predictor, load
from perpixel.infer.predictor import pick_device
from perpixel.labels import Taxonomy
from perpixel.models import build


def image_of(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


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
    """The tiny U-Net sees 107 pixels to each side: its tiles, with so many around what they answer for, equal the whole."""
    image = image_of(300, 700)
    seen = []

    def note(_: torch.nn.Module, args: tuple[torch.Tensor]) -> None:
        if not args[0].is_meta:  # its field is followed on images of none
            seen.append(tuple(args[0].shape[-2:]))

    predictor.model.register_forward_pre_hook(note)
    whole = predictor.predict(image, probabilities=True).probabilities
    tiled = predictor.predict(image, tile=416, probabilities=True).probabilities
    assert seen[0] == (300, 700)
    assert len(seen) > 2
    assert all(h * w <= 416 * 416 for h, w in seen[1:])
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
