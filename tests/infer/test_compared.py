"""A model asked in other classes: sums of probabilities, taken before the most probable is chosen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, Preprocessing
from perpixel.core.errors import UserError
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Dataset, Sample
from perpixel.infer import Predictor, evaluate
from perpixel.infer.compared import answering_as, compared
from perpixel.labels import CommonTaxonomy, Taxonomy

COMMON = CommonTaxonomy(
    "outside",
    Taxonomy.of(["car", "road", "grass", "sky", "cat"]),
    {
        "fine": {"auto": ("car",), "street": ("road",), "lawn": ("grass",), "air": ("sky",), "rest": ()},
        "coarse": {"ground": ("road", "grass"), "other": ("car", "sky"), "unsure": ()},
        "cats": {"cat": ("cat",)},
    },
)
PLAIN = Preprocessing(3, (0.0,) * 3, (1.0,) * 3)
FINE = ["auto", "street", "lawn", "air", "rest"]


class Said(nn.Module):
    """Says the same (K, H, W) logits of every image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.logits.expand(len(image), -1, -1, -1)}


def predictor_of(logits: Tensor, names: list[str], data: str = "fine", bias: tuple[float, ...] = ()) -> Predictor:
    info = BundleInfo(network="unet", taxonomy=Taxonomy.of(names).to_dict(), preprocessing=PLAIN, data={"name": data})
    return Predictor(Said(logits), PLAIN, Taxonomy.of(names), bias, "cpu", info)


@pytest.fixture
def fine() -> Predictor:
    torch.manual_seed(0)
    return predictor_of(torch.randn(5, 6, 7), FINE, bias=(0.3, -0.2, 0.0, 0.1, 0.5))


IMAGE = np.zeros((6, 7, 3), np.uint8)


def slow(logits: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """(E, H, W): pixel by pixel, class by class."""
    found = np.zeros((len(groups), *logits.shape[1:]))
    for y, x in np.ndindex(*logits.shape[1:]):
        powers = np.exp(logits[:, y, x].astype(np.float64))
        for e, labels in enumerate(groups):
            found[e, y, x] = sum(powers[k] for k in labels) / powers.sum()
    return found


def test_sums_equal_a_slow_loop(fine: Predictor) -> None:
    asked = answering_as(fine, COMMON, classes_of="coarse").predictor
    prediction = asked.predict(IMAGE)
    assert prediction.taxonomy.names == ("ground", "other")
    logits = fine.model.logits.detach().numpy() + np.array([0.3, -0.2, 0.0, 0.1, 0.5])[:, None, None]
    wanted = slow(logits, [[1, 2], [0, 3]])
    assert np.abs(prediction.probabilities - wanted).max() < 1e-6
    assert (prediction.labels == wanted.argmax(0)).all()
    assert len(np.unique(prediction.labels)) == 2
    assert prediction.probabilities.sum(0).max() < 1  # what "rest" has counts for nothing


def test_flip_tiles_and_resize_go_with_it() -> None:
    """Sums and what is linear in the probabilities may change places."""
    torch.manual_seed(0)
    network = nn.Conv2d(3, 5, 3, padding=1)

    class Convolved(nn.Module):
        def forward(self, image: Tensor) -> dict[str, Tensor]:
            return {"logits": network(image)}

    preprocessing = replace(PLAIN, scale=0.5)
    whole = Predictor(Convolved(), preprocessing, Taxonomy.of(FINE), (), "cpu")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    asked = answering_as(whole, COMMON, "fine", "coarse").predictor
    plain = whole.predict(image, flip=True).probabilities
    found = asked.predict(image, flip=True)
    assert np.abs(found.probabilities - np.stack([plain[1] + plain[2], plain[0] + plain[3]])).max() < 1e-6
    assert whole.predict(image).taxonomy.names == tuple(FINE)  # the one that was asked is as it was


def test_before_the_argmax_and_not_after() -> None:
    """0.4 car, 0.3 road, 0.3 grass: a car by the argmax, which is "other"; but ground has 0.6."""
    logits = torch.tensor([0.4, 0.3, 0.3, 1e-9, 1e-9]).log().reshape(5, 1, 1)
    model = predictor_of(logits, FINE)
    image = np.zeros((1, 1, 3), np.uint8)
    assert model.predict(image).labels.tolist() == [[0]]
    answer = answering_as(model, COMMON, classes_of="coarse").predictor.predict(image)
    assert answer.taxonomy.names[answer.labels[0, 0]] == "ground"
    assert answer.mean_confidence == pytest.approx(0.6)


def test_in_the_common_classes_that_it_knows(fine: Predictor) -> None:
    found = answering_as(fine, COMMON)
    assert found.predictor.taxonomy.names == ("car", "road", "grass", "sky")
    assert any("does not know" in line and "cat" in line for line in found.lines) is False


def test_nothing_in_common(fine: Predictor) -> None:
    with pytest.raises(UserError, match="have no common class"):
        answering_as(fine, COMMON, classes_of="cats")


@pytest.fixture
def coarse(tmp_path: Path) -> Dataset:
    """Two images whose masks hold 10, 20, 30 for ground, other, unsure, and 0 for ignore."""
    rng, samples = np.random.default_rng(0), []
    for i in range(2):
        Image.fromarray(IMAGE).save(tmp_path / f"{i}.png")
        Image.fromarray(rng.choice([0, 10, 20, 30], (6, 7)).astype(np.uint8)).save(tmp_path / f"{i}_mask.png")
        samples.append(Sample(str(i), tmp_path / f"{i}.png", MaskFile(tmp_path / f"{i}_mask.png")))
    classes = Taxonomy.of(["ground", "other", "unsure"], values=[(10,), (20,), (30,)], ignore=(0,))
    return Dataset(tmp_path, "made", {"val": tuple(samples)}, classes, name="coarse")


def test_evaluated_as_by_hand(fine: Predictor, coarse: Dataset) -> None:
    """Counts of a loop over pixels: of the slow sums' argmax, where the mask says ground or other."""
    asked = compared(fine, coarse, COMMON)
    logits = fine.model.logits.detach().numpy() + np.array([0.3, -0.2, 0.0, 0.1, 0.5])[:, None, None]
    prediction, counts = slow(logits, [[1, 2], [0, 3]]).argmax(0), np.zeros((2, 2), int)
    for sample in coarse.splits["val"]:
        mask = np.asarray(Image.open(str(sample.mask_path)))
        for y, x in np.ndindex(6, 7):
            if mask[y, x] in (10, 20):
                counts[mask[y, x] // 10 - 1, prediction[y, x]] += 1
    results = evaluate(asked.predictor, coarse.split("val"), asked.taxonomy).results
    union = counts.sum(0) + counts.sum(1) - counts.diagonal()
    assert results["iou"] == pytest.approx((counts.diagonal() / union).tolist())
    assert results["pixels"] == counts.sum()
    assert "calibration" not in results  # the probabilities do not sum to 1: "rest" counts for nothing
    assert {"boundary_f1", "trimap"} <= results.keys()
    assert any("left out" in line and "unsure" in line for line in asked.lines)


def test_a_class_that_the_model_does_not_know_has_no_hit(coarse: Dataset) -> None:
    """A model of the ground alone says ground everywhere: the IoU of other is 0, and it counts."""
    common = CommonTaxonomy("g", COMMON.classes, {**COMMON.sets, "lawns": {"lawn": ("grass",), "way": ("road",)}})
    model = predictor_of(torch.randn(2, 6, 7), ["lawn", "way"], "lawns")
    asked = compared(model, coarse, common)
    results = evaluate(asked.predictor, coarse.split("val"), asked.taxonomy).results
    assert results["iou"][1] == 0
    assert 0 < results["calibration"]["error"] < 1
    assert results["num_present"] == 2
    assert any("does not know" in line and "other" in line for line in asked.lines)
