"""Images in other numbers than those of training: the same answer by the written rule, or one line."""

import numpy as np
import pytest

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.core.number_types import in_trained_numbers

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
COUNTS = RNG.integers(0, 4096, (6, 5, 3)).astype(np.uint16)
"""Of a camera of 12 bits."""

SAME = [
    ("float32", (0, 4095), COUNTS.astype(np.float32), COUNTS),  # case 21: the same counts in another type
    ("float32", (0, 255), BYTES.astype(np.float32), BYTES),
    ("float32", (0, 4095), COUNTS.astype(np.float32) // 200, COUNTS // 200),  # a tile of little contrast
    ("uint8", (0, 255), BYTES, BYTES.astype(np.uint16) * 257),
    ("uint8", (0, 255), BYTES, BYTES.astype(np.float32) / 255),
    ("uint16", (0, 65535), BYTES.astype(np.uint16) * 257, BYTES),
    ("uint16", (0, 65535), BYTES.astype(np.uint16) * 257, BYTES.astype(np.float32) / 255),
    ("uint8", (0, 255), BYTES, BYTES.astype(np.float32)),  # a float image of 0 to 255
    ("uint16", (0, 4095), COUNTS, COUNTS.astype(np.float32)),
    ("uint8", (0, 40), BYTES, BYTES),  # bytes are bytes, brighter ones too
    ("uint16", (0, 4095), COUNTS, COUNTS),
]


@pytest.mark.parametrize(("dtype", "value_range", "trained", "came"), SAME)
def test_the_same_picture_is_the_same_to_the_network(dtype, value_range, trained, came) -> None:  # type: ignore[no-untyped-def]
    mean, std = (trained.mean(), trained.std()) if dtype == "float32" else (0.4, 0.2)
    known = Preprocessing(3, (mean,) * 3, (std,) * 3, dtype=dtype, value_range=value_range)
    unknown = Preprocessing(3, (mean,) * 3, (std,) * 3)
    np.testing.assert_allclose(known(came), unknown(trained), rtol=1e-5, atol=1e-5)


REFUSED = [
    ("uint8", (0, 255), BYTES.astype(np.float32) + 0.5),
    ("uint8", (0, 255), COUNTS.astype(np.float32)),
    ("uint8", (0, 255), BYTES.astype(np.float32) - 128),
    ("uint8", (0, 255), BYTES.astype(np.uint16)),  # bytes in 16 bits: nearly black by the full scale
    ("uint8", (0, 255), COUNTS),
    ("uint16", (0, 4095), BYTES),  # by the full scale far brighter than any training image
    ("uint16", (0, 4095), COUNTS.astype(np.float32) / 3),
    ("uint16", (0, 4095), BYTES.astype(np.uint16) * 257),
    ("float32", (0, 1), BYTES),
    ("float32", (0, 1), COUNTS),
    ("float32", (0, 1), BYTES.astype(np.float32)),  # of the right type, in other units
    ("float32", (0, 60000), BYTES),
]


@pytest.mark.parametrize(("dtype", "value_range", "came"), REFUSED)
def test_what_cannot_mean_the_same_is_refused(dtype, value_range, came) -> None:  # type: ignore[no-untyped-def]
    known = Preprocessing(3, (0.4,) * 3, (0.2,) * 3, dtype=dtype, value_range=value_range)
    with pytest.raises(UserError) as caught:
        known(came, "photo.tif")
    message = str(caught.value)
    assert "\n" not in message
    own = f"{came.dtype} of {came.min():g} to {came.max():g}"
    trained = f"photo.tif: the model was trained on {dtype} images of {value_range[0]} to {value_range[1]}"
    assert message.startswith(f"{trained}, this one is {own}; give it in the same numbers"), message


def test_an_older_bundle_takes_everything_as_it_did() -> None:
    for image in (BYTES, COUNTS, BYTES.astype(np.float32)):
        assert in_trained_numbers(image, None, None) is image


def test_a_constant_image_has_nothing_to_be_told_by() -> None:
    """A black tile at the edge of a mosaic is no reason to stop."""
    assert in_trained_numbers(np.zeros((4, 4, 1), np.uint16), "uint8", (0, 255)).max() == 0


def test_one_hot_pixel_is_no_other_unit() -> None:
    image = RNG.random((50, 50, 1)).astype(np.float32)
    image[3, 4] = 500.0
    assert in_trained_numbers(image, "float32", (0.0, 1.0)) is image


def test_without_a_known_range_only_the_type_counts() -> None:
    assert in_trained_numbers(COUNTS, "float32", None).dtype == np.float32
    with pytest.raises(UserError, match=r"trained on uint8 images, this one is float32"):
        in_trained_numbers(BYTES.astype(np.float32) - 0.5, "uint8", None)


def test_an_image_may_be_darker_or_brighter_by_the_width_of_what_was_seen() -> None:
    for value, fits in ((500, False), (2100, True), (3000, True), (4900, True), (5100, False)):
        image = np.full((4, 4, 1), value, np.uint16)
        if fits:
            assert in_trained_numbers(image, "uint16", (3000, 4000)) is image
        else:
            with pytest.raises(UserError, match="trained on uint16 images of 3000 to 4000"):
                in_trained_numbers(image, "uint16", (3000, 4000))


def test_where_the_type_is_not_known_the_mean_is() -> None:
    """Bundles of earlier versions; street was one, and took a float image of 0 to 255 for one of 0 to 1."""
    photos = Preprocessing(3, (0.4,) * 3, (0.3,) * 3)
    assert photos(BYTES).shape == photos((BYTES / 255).astype(np.float32)).shape
    with pytest.raises(
        UserError, match=r"image: the model was trained on images of a mean of 0\.4, this one is float32 of"
    ):
        photos(BYTES.astype(np.float32))
    caffe = Preprocessing(3, (0.4, 0.45, 0.48), (1 / 255,) * 3, bgr=True)
    assert caffe(BYTES).shape == (1, 3, 6, 5), "a deviation of 1 / 255 is a unit, not what images vary by"
    heights = Preprocessing(1, (1500.0,), (300.0,))
    assert heights(np.full((4, 4), 2500, np.float32)[..., None]).shape == (1, 1, 4, 4)
