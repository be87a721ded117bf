"""What a bundle changes at prediction alone: the image's scale, and what class weights had added."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.infer import Predictor
from perpixel.labels import Taxonomy
from perpixel.train.recipe import default_recipe
from perpixel.train.setup import set_up


class Constant(nn.Module):
    """Logits 0 and 1 everywhere; remembers the sizes that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.sizes.append((image.shape[-2], image.shape[-1]))
        return {"logits": torch.tensor([0.0, 1.0]).view(1, 2, 1, 1).expand(1, 2, *image.shape[-2:])}


@pytest.mark.parametrize(
    ("short_side", "scale", "seen"),
    [(None, 1.0, (20, 30)), (None, 1.5, (30, 45)), (10, 1.0, (10, 15)), (10, 2.0, (20, 30))],
)
def test_scale_is_seen_by_the_network_alone(short_side: int | None, scale: float, seen: tuple[int, int]) -> None:
    model = Constant()
    preprocessing = Preprocessing(3, (0.0,) * 3, (1.0,) * 3, short_side, scale)
    prediction = Predictor(model, preprocessing, Taxonomy.of("ab"), device="cpu").predict(
        np.zeros((20, 30, 3), np.uint8)
    )
    assert model.sizes == [seen]
    assert prediction.labels.shape == (20, 30)


def test_logit_bias_moves_the_odds() -> None:
    model, preprocessing = Constant(), Preprocessing(3, (0.0,) * 3, (1.0,) * 3)
    biased = Predictor(model, preprocessing, Taxonomy.of("ab"), (math.log(9), 0.0), "cpu")
    prediction = biased.predict(np.zeros((2, 2, 3), np.uint8))
    np.testing.assert_allclose(prediction.probabilities[0], 9 / (9 + math.e), rtol=1e-6)
    with pytest.raises(UserError, match="as many logit biases"):
        Predictor(model, preprocessing, Taxonomy.of("ab"), (1.0, 2.0, 3.0), "cpu")


def test_a_plan_takes_back_half_of_the_logarithm_of_its_weights(tmp_path) -> None:  # type: ignore[no-untyped-def]
    from perpixel.data.scenes import write_scenes

    write_scenes(tmp_path, train=3, val=1, size=(32, 48))
    recipe = default_recipe("fast_scnn").changed({"data.path": str(tmp_path), "loss.class_weights": [1, 4] + [1] * 6})
    plan = set_up(recipe)
    assert plan.logit_bias == pytest.approx((0.0, -0.5 * math.log(4), *[0.0] * 6))
    assert plan.preprocessing.scale == 1.5
    assert plan.bundle_info({}, {}).logit_bias == plan.logit_bias
    assert set_up(recipe.changed({"loss.logit_adjustment": 0})).logit_bias == ()
