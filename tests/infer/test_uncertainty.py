"""Sampled predictions: mean and variance over answers with dropout on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.infer import Predictor
from perpixel.infer.monte_carlo import RunningMoments
from perpixel.labels import Taxonomy
from perpixel.models import build


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    model = build("bayesian_segnet_basic", 3, width=8)
    return Predictor(model, Preprocessing(3, (0.5,) * 3, (0.25,) * 3), Taxonomy.of("abc"), device="cpu")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def test_moments_are_those_of_numpy() -> None:
    values = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0))
    moments = RunningMoments()
    for value in values:
        moments.add(value)
    torch.testing.assert_close(moments.mean, values.mean(0))
    torch.testing.assert_close(moments.variance, values.var(0, correction=0))


def test_the_same_samples_every_time_and_none_left_on(predictor: Predictor, image: np.ndarray) -> None:
    first, second = predictor.predict(image, samples=5), predictor.predict(image, samples=5)
    assert np.array_equal(first.probabilities, second.probabilities)
    assert first.variance is not None and first.variance.shape == (3, 24, 32)
    assert 0 < first.uncertainty().max() <= 0.25
    np.testing.assert_allclose(first.probabilities.sum(0), 1, atol=1e-5)
    plain = predictor.predict(image)
    assert np.array_equal(plain.probabilities, predictor.predict(image).probabilities)
    assert np.abs(plain.probabilities - first.probabilities).max() > 1e-4


def test_it_is_saved_as_a_picture(predictor: Predictor, image: np.ndarray, tmp_path: Path) -> None:
    prediction = predictor.predict(image, samples=3)
    files = prediction.save(tmp_path, "photo")
    grey = np.asarray(Image.open(tmp_path / files["uncertainty"]))
    assert grey.shape == (24, 32)
    np.testing.assert_allclose(grey / 510, np.sqrt(prediction.uncertainty()), atol=1 / 510)


def test_what_cannot_be_said_says_why(image: np.ndarray) -> None:
    model = build("segnet_basic", 3, width=8)
    plain = Predictor(model, Preprocessing(3, (0.5,) * 3, (0.25,) * 3), Taxonomy.of("abc"), device="cpu")
    with pytest.raises(UserError, match="SegNetBasic has no dropout to sample"):
        plain.predict(image, samples=2)
    with pytest.raises(UserError, match="was not sampled"):
        plain.predict(image).uncertainty()
