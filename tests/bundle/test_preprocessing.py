"""Normalisation by its definition, in training and prediction alike."""

import numpy as np
import pytest
import torch

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.mark.parametrize(("dtype", "most"), [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
def test_normalised_by_definition(dtype: type, most: int) -> None:
    image = (np.random.default_rng(0).random((5, 7, 3)) * most).astype(dtype)
    wanted = ((image.astype(np.float64) / most - MEAN) / STD).transpose(2, 0, 1)
    result = Preprocessing(3, MEAN, STD)(image)
    assert result.shape == (1, 3, 5, 7)
    assert result.dtype == torch.float32
    np.testing.assert_allclose(result[0].numpy(), wanted, atol=2e-6)


def test_black_white_and_mean_by_hand() -> None:
    image = np.array([[[0], [255], [51]]], np.uint8)  # 51 = 0.2 * 255
    result = Preprocessing(1, (0.2,), (0.4,))(image)[0, 0, 0]
    np.testing.assert_allclose(result, [-0.5, 2.0, 0.0], atol=1e-6)


def test_batches_are_not_changed() -> None:
    for batch in (torch.ones(2, 3, 4, 4), torch.ones(2, 3, 4, 4, dtype=torch.uint8)):
        before = batch.clone()
        Preprocessing(3, MEAN, STD).normalise(batch)
        assert torch.equal(batch, before)


def test_channels_are_matched_or_refused() -> None:
    grey = np.full((4, 4, 1), 100, np.uint8)
    assert Preprocessing(3, MEAN, STD)(grey).shape == (1, 3, 4, 4)
    with pytest.raises(UserError, match=r"photo.png.*7 channels.*has 3"):
        Preprocessing(7, (0.5,) * 7, (0.5,) * 7)(np.zeros((4, 4, 3), np.uint8), "photo.png")


@pytest.mark.parametrize(
    ("size", "wanted"), [((40, 60), (10, 15)), ((60, 40), (15, 10)), ((5, 5), (10, 10)), ((10, 33), (10, 33))]
)
def test_short_side(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    assert Preprocessing(3, MEAN, STD, short_side=10)(image).shape == (1, 3, *wanted)


def test_lengths_must_agree() -> None:
    with pytest.raises(UserError, match="3 channels need as many means"):
        Preprocessing(3, (0.5,), STD)
    with pytest.raises(UserError, match="3 channels need as many means"):
        Preprocessing(3, MEAN, (0.1, 0.1))
