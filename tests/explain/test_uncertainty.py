"""Where a model is unsure: networks of which it is known by construction."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpixel.bundle import Preprocessing
from perpixel.data.samples import Dataset, Sample
from perpixel.explain.error_results import uncertainty_results
from perpixel.explain.uncertainty import SAMPLES, SHOWN, UncertaintyStudy, Unsure, study_uncertainty, view_spread
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy

NAMES = Taxonomy.of(["road", "sky", "car"])
PLAIN = Preprocessing(3, (0.5,) * 3, (0.25,) * 3)


class PixelByPixel(nn.Module):
    """Scores from a pixel's own colour, and, where asked, from how far right it is, or with dropout."""

    def __init__(self, ramp: float = 0.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.ramp, self.dropout = ramp, nn.Dropout(dropout)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        right = torch.linspace(-1, 1, image.shape[-1]).expand_as(image[:, :1]) * self.ramp
        scores = self.dropout(2 * image)
        return {"logits": torch.cat([scores[:, :1] + right, scores[:, 1:]], dim=1)}


def predictor_of(model: nn.Module) -> Predictor:
    return Predictor(model, PLAIN, NAMES, device="cpu")


def test_a_network_that_sees_one_pixel_agrees_with_itself_in_every_view() -> None:
    image = np.full((24, 32, 3), (40, 120, 200), np.uint8)
    assert view_spread(predictor_of(PixelByPixel()), image).max() < 1e-10


def test_one_that_knows_right_from_left_does_not() -> None:
    image = np.full((24, 32, 3), 128, np.uint8)
    spread = view_spread(predictor_of(PixelByPixel(ramp=3.0)), image)
    assert spread.shape == (24, 32)
    assert spread[:, 0].min() > 20 * spread[:, 15:17].max()
    # at the left edge half of the views say softmax(-3, 0, 0) and half softmax(3, 0, 0), a little less at other sizes
    low, high = (np.exp(x) / (np.exp(x) + 2) for x in (-3.0, 3.0))
    of_class = ((high - low) / 2) ** 2
    assert spread[12, 0] == pytest.approx((of_class + 2 * (of_class / 4)) / 3, rel=0.1)


class SizeOnly(nn.Module):
    """Is the surer of class 0 the wider its image is."""

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits = torch.zeros_like(image)
        logits[:, 0] = image.shape[-1] / 16
        return {"logits": logits}


def test_the_views_are_of_three_sizes() -> None:
    spread = view_spread(predictor_of(SizeOnly()), np.zeros((24, 32, 3), np.uint8))
    sure = np.array([np.exp(w / 16) / (np.exp(w / 16) + 2) for w in (24, 32, 40)])  # each twice: mirrored too
    assert spread == pytest.approx((sure.var() + 2 * (sure / 2).var()) / 3)


def test_a_network_with_dropout_has_all_three_measures(dataset: Dataset) -> None:
    study = study_uncertainty(predictor_of(PixelByPixel(dropout=0.5)), dataset.split("val"), NAMES)
    assert set(study.curves) == {"confidence", "dropout", "views"}
    assert (study.note, study.images, len(study.shown)) == ("", 4, SHOWN)
    valid = sum(int((u.truth != 255).sum()) for u in study.shown)
    assert all(c.count.sum() > valid for c in study.curves.values())
    assert len({round(c.risk, 9) for c in study.curves.values()}) == 1  # the same wrong pixels
    for unsure in study.shown:
        assert unsure.maps["dropout"].max() > 0.05
        assert all(m.min() >= 0 and m.max() <= 1 and m.shape == unsure.truth.shape for m in unsure.maps.values())
    measures = uncertainty_results(study)["uncertainty"]["measures"]
    assert measures["views"]["area"] == study.curves["views"].area
    assert SAMPLES > 1


def test_a_network_without_dropout_says_so(dataset: Dataset) -> None:
    study = study_uncertainty(predictor_of(PixelByPixel()), dataset.split("val")[:1], NAMES)
    assert set(study.curves) == {"confidence", "views"}
    assert "no dropout" in uncertainty_results(study)["uncertainty"]["note"]


def test_the_area_is_of_the_wrong_pixels_by_hand() -> None:
    study = UncertaintyStudy()
    truth, labels = np.array([[0, 0, 0, 255]]), np.array([[0, 0, 1, 1]])
    maps = {"good": np.array([[0.1, 0.2, 0.9, 0.0]]), "bad": np.array([[0.5, 0.4, 0.1, 0.0]])}
    study.add(Unsure(Sample("x", Path("x"), None), np.zeros((1, 4, 3), np.uint8), truth, labels, maps))
    assert study.curves["good"].curve()[1].tolist() == [0, 0, pytest.approx(1 / 3)]
    assert study.curves["bad"].curve()[1].tolist() == [1, 0.5, pytest.approx(1 / 3)]
    assert study.curves["good"].area < study.curves["bad"].area


def test_nothing_asked_is_nothing_said() -> None:
    assert uncertainty_results(None) == {}
