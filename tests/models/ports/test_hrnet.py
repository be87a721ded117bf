"""HRNet/HRNet-Semantic-Segmentation and mseg-dataset/mseg-semantic, recorded from their code.

The authors' networks are `lib/models/seg_hrnet.py` at commit 0bbb288 (branch HRNet-OCR), the small ones that of the branch
pytorch-v1.1. They answer at a quarter of the image's size; what is recorded is after the resize of the authors' test code,
`F.interpolate` with the configuration's `ALIGN_CORNERS` in `lib/datasets/base_dataset.py`, but for `..._quarter`. MSeg's is
`mseg_semantic/model/seg_hrnet.py` at commit ac92617, which resizes itself.
"""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.hrnet import HRNet
from perpixel.models.ports import port, read_port

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import difference, fill, shapes_in

SOURCE = "HRNet/HRNet-Semantic-Segmentation"
MSEG = "mseg-dataset/mseg-semantic"
SMALL = "hrnet_w18_small_v1_19"


@pytest.mark.parametrize(
    ("name", "network"),
    [
        (SMALL, "hrnet_w18_small_v1"),
        ("hrnet_w18_small_v2_19", "hrnet_w18_small_v2"),
        ("hrnet_w32_19", "hrnet_w32"),
        ("hrnet_w40_59", "hrnet_w40"),
        ("hrnet_w48_19", "hrnet_w48"),
    ],
)
def test_the_networks_give_the_recorded_logits(name: str, network: str) -> None:
    found = read_port(SOURCE, fill(shapes_in(name)))
    assert found.reading.network == network
    assert difference(name, found.model) < 1e-6


def test_aligned_corners_are_an_option() -> None:
    state = fill(shapes_in("hrnet_w18_19_aligned"))
    assert difference("hrnet_w18_19_aligned", port(SOURCE, state, options={"align_corners": True})) < 1e-6
    assert difference("hrnet_w18_19_aligned", port(SOURCE, state)) > 1e-2


def test_models_of_ade20k_have_aligned_corners_as_their_configuration() -> None:
    found = read_port(SOURCE, fill(shapes_in("hrnet_w18_150")))
    assert found.options == {"align_corners": True}
    assert difference("hrnet_w18_150", found.model) < 1e-6


class Quarter(nn.Module):
    """The scores before the last resize."""

    def __init__(self, model: HRNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        kept: list[Tensor] = []
        hook = self.model.head.register_forward_hook(lambda module, inputs, scores: kept.append(scores))
        self.model(image)
        hook.remove()
        return {"logits": kept[0]}


def test_scores_at_a_quarter_of_the_size_are_the_recorded_ones() -> None:
    model = port(SOURCE, fill(shapes_in(SMALL)))
    assert isinstance(model, HRNet)
    assert difference(f"{SMALL}_quarter", Quarter(model)) < 1e-6


def test_the_training_wrappers_names_and_class_weights_do_not_matter() -> None:
    state = {f"model.{key}": tensor for key, tensor in fill(shapes_in(SMALL)).items()}
    model = port(SOURCE, {"state_dict": state | {"loss.criterion.weight": torch.ones(19)}})
    assert difference(SMALL, model) < 1e-6


def test_an_imagenet_trunk_goes_under_a_fresh_head() -> None:
    state = {key: tensor for key, tensor in fill(shapes_in(SMALL)).items() if not key.startswith("last_layer.")}
    state |= {"incre_modules.0.0.conv1.weight": torch.zeros(1), "classifier.weight": torch.zeros(1000, 2048)}
    own = port(SOURCE, state, num_classes=7).state_dict()
    assert own["head.3.weight"].shape[0] == 7
    assert own["stages.2.0.fuse.0.3.conv.weight"].equal(state["stage4.0.fuse_layers.0.3.0.weight"])
    with pytest.raises(UserError, match="no segmentation head; say num_classes"):
        port(SOURCE, state)


def test_another_number_of_classes_leaves_the_scores_fresh() -> None:
    state = fill(shapes_in(SMALL))
    own = port(SOURCE, state, num_classes=5).state_dict()
    assert own["head.3.weight"].shape[0] == 5 and own["head.0.weight"].equal(state["last_layer.0.weight"])


def test_mseg_gives_the_recorded_logits() -> None:
    state = fill(shapes_in("mseg_hrnet_w48_194"))
    found = read_port(MSEG, state)
    assert found.reading.network == "hrnet_w48" and found.num_classes == 194
    assert difference("mseg_hrnet_w48_194", found.model) < 1e-6


def test_what_is_not_theirs_is_refused() -> None:
    state = fill(shapes_in(SMALL))
    with pytest.raises(UserError, match="HRNet with OCR"):
        port(SOURCE, state | {"model.ocr_distri_head.object_context_block.f_pixel.0.weight": torch.zeros(1)})
    with pytest.raises(UserError, match="none of HRNet/HRNet-Semantic-Segmentation's networks: 16 channels"):
        port(SOURCE, {key: tensor for key, tensor in state.items() if not key.startswith("stage3.")})
    with pytest.raises(UserError, match=r"missing: stage2\.0\.branches\.1\.1\.bn2\.weight"):
        port(SOURCE, {key: tensor for key, tensor in state.items() if key != "stage2.0.branches.1.1.bn2.weight"})
    with pytest.raises(UserError, match="PSPNet; of that source only its HRNet-W48"):
        port(MSEG, {"layer0.0.weight": torch.zeros(64, 3, 3, 3), "cls.4.weight": torch.zeros(194, 512, 1, 1)})
    with pytest.raises(UserError, match="this is no state dict of mseg-dataset/mseg-semantic"):
        port(MSEG, {"conv1.weight": torch.zeros(64, 3, 7, 7)})
