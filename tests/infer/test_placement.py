"""The answer lies where the image does, at another resolution, between the pixels and mirrored."""

import numpy as np
import pytest
import torch
from torch import nn

from perpixel.bundle import Preprocessing
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy


def image_of(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


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
