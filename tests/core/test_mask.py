"""A mask keeps its values: ids, indices or colours, never converted; what is no mask is refused."""

import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import read_mask

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from noise_pictures import DEEP, GREY, RGB


def test_a_mask_is_never_converted(tmp_path: Path) -> None:
    ids = np.array([[0, 300], [65535, 255]], np.uint16)
    tifffile.imwrite(tmp_path / "ids.tif", ids)
    Image.fromarray(ids).save(tmp_path / "ids.png")
    for file in ("ids.tif", "ids.png"):
        mask = read_mask(tmp_path / file)
        assert mask.values.dtype == np.uint16
        np.testing.assert_array_equal(mask.values, ids)


def test_ids_stored_as_rgb_are_ids_and_colours_are_colours(tmp_path: Path) -> None:
    ids = GREY % 12
    Image.fromarray(np.dstack([ids, ids, ids])).save(tmp_path / "ids.png")
    Image.fromarray(np.dstack([ids, ids, ids, ids * 0 + 255])).save(tmp_path / "rgba.png")
    Image.fromarray(RGB).save(tmp_path / "colours.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "ids.png").values, ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "rgba.png").values, ids)
    np.testing.assert_array_equal(read_mask(tmp_path / "colours.png").values, RGB)


@pytest.mark.parametrize("factor", [1, 257])
def test_8_bit_colours_stored_in_16_bits(tmp_path: Path, factor: int) -> None:
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(RGB.astype(np.uint16) * factor))
    mask = read_mask(tmp_path / "x.png").values
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, RGB)


def test_true_16_bit_colours_are_no_mask(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(DEEP[..., :3])))
    with pytest.raises(UserError, match=r"x\.png: expected a mask of .* got uint16"):
        read_mask(tmp_path / "x.png")


@pytest.mark.parametrize(
    ("stored", "dtype", "wanted"),
    [
        (np.array([[0, 3]], np.int64), np.uint16, [[0, 3]]),
        (np.array([[-1, 3]], np.int32), np.int32, [[-1, 3]]),
        (np.array([[-1, 70000]], np.int64), np.int32, [[-1, 70000]]),
        (np.array([[0.0, 2.0]], np.float64), np.uint16, [[0, 2]]),
        (np.array([[True, False]]), np.uint8, [[1, 0]]),
        (np.array([[[7], [9]]], np.uint8), np.uint8, [[7, 9]]),
        (np.array([[[1, 2, 3], [4, 5, 6]]], np.int64), np.uint8, [[[1, 2, 3], [4, 5, 6]]]),
    ],
)
def test_masks_in_npy(tmp_path: Path, stored: np.ndarray, dtype: type, wanted: list) -> None:
    np.save(tmp_path / "x.npy", stored)
    mask = read_mask(tmp_path / "x.npy").values
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, wanted)


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (np.array([[0.5, 1.0]]), "whole numbers, this one holds 0.5"),
        (np.array([[np.inf, 1.0]]), "whole numbers, this one holds inf; write the value to ignore there"),
        (np.zeros((4, 5, 7), np.uint8), r"expected a mask of \(H, W\)"),  # one-hot, not to be read as a colour
        (np.zeros((4, 5, 2), np.uint8), r"expected a mask of \(H, W\)"),
        (np.zeros((0, 5), np.uint8), r"expected a mask of \(H, W\)"),
        (np.zeros(4, np.uint8), r"expected a mask of \(H, W\)"),
        (np.array([[2**40]]), "do not fit into 32 bits"),
        (np.array([["a"]], dtype=object), "npy"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, stored: np.ndarray, words: str) -> None:
    np.save(tmp_path / "x.npy", stored)
    with pytest.raises(UserError, match=words) as caught:
        read_mask(tmp_path / "x.npy")
    assert str(tmp_path / "x.npy") in str(caught.value)
