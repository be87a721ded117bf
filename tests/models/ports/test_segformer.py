"""huggingface/segformer, recorded from `transformers` 4.46.3, whose names the files on the hub have, and 5.24.0."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.ports import port, read_port
from perpixel.models.ports.segformer import read
from perpixel.models.segformer import SegFormer

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "huggingface/segformer"
HUB = "huggingface_segformer_b0_version4"
MIT = "huggingface_mit_b0"


class LastStage(nn.Module):
    """The encoder's coarsest map."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        assert isinstance(model, SegFormer)
        self.encoder = model.encoder

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"stage4": self.encoder(image)[-1]}


@pytest.mark.parametrize(("name", "classes"), [(HUB, 19), ("huggingface_segformer_b0_version5", 7)])
def test_the_network_gives_the_recorded_logits(name: str, classes: int) -> None:
    ported = read_port(SOURCE, fill(shapes_in(name)))
    assert (ported.num_classes, ported.options) == (classes, {"variant": "b0", "norm_eps": 1e-5})
    assert difference(name, ported.model) < 1e-9
    assert difference(name, ported.model, dtype=torch.float32) < 1e-4


def test_a_classifiers_encoder_goes_under_a_fresh_head() -> None:
    state = fill(shapes_in(MIT))
    ported = read_port(SOURCE, state, num_classes=4)
    assert ported.fresh_head
    assert difference(MIT, LastStage(ported.model), key="stage4") < 1e-9
    assert ported.model.state_dict()["head.classify.bias"].shape == (4,)
    with pytest.raises(UserError, match="no segmentation head; say num_classes"):
        port(SOURCE, state)


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    state = fill(shapes_in(HUB))
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["head.classify.weight"].shape == (5, 256, 1, 1)
    assert own["head.fuse.conv.weight"].equal(state["decode_head.linear_fuse.weight"])
    assert own["encoder.stages.2.3.bias"].equal(state["segformer.encoder.layer_norm.2.bias"])


@pytest.mark.parametrize(
    ("width", "depths", "variant"),
    [(64, (2, 2, 2, 2), "b1"), (64, (3, 4, 6, 3), "b2"), (64, (3, 6, 40, 3), "b5")],
)
def test_the_weights_decide_the_variant(width: int, depths: tuple[int, ...], variant: str) -> None:
    keys = [f"segformer.encoder.block.{i}.{j}.layer_norm_1.bias" for i in range(4) for j in range(depths[i])]
    patches = {"segformer.encoder.patch_embeddings.0.proj.weight": torch.zeros(width, 3, 7, 7)}
    assert read(patches | dict.fromkeys(keys, torch.zeros(1)), None).options["variant"] == variant


def test_what_is_not_theirs_is_refused() -> None:
    state = fill(shapes_in(HUB))
    lost = "segformer.encoder.block.1.0.attention.self.key.weight"
    with pytest.raises(UserError, match=r"missing: segformer\.encoder\.block\.1\.0\.attention\.self\.key\.weight"):
        port(SOURCE, {k: v for k, v in state.items() if k != lost})
    with pytest.raises(UserError, match=r"unknown: segformer\.encoder\.zebra"):
        port(SOURCE, state | {"segformer.encoder.zebra": state[lost]})
    with pytest.raises(UserError, match=r"32 channels and \(2, 2, 2, 1\) blocks"):
        port(SOURCE, {k: v for k, v in state.items() if ".block.3.1." not in k})
    with pytest.raises(UserError, match="this is no state dict of Hugging Face's SegFormer"):
        port(SOURCE, {"conv1.weight": state[lost]})
