"""The dilated encoder has the stride asked for, and gives timm's own features."""

import pytest
import timm
import torch

from perpixel.core.errors import UserError
from perpixel.models import build


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_scores_are_as_dense_as_the_output_stride_says(stride: int) -> None:
    model = build("drn_timm", 4, encoder="resnet18", output_stride=stride).eval()
    seen = []
    model.score.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape[-2:])))
    model(torch.zeros(1, 3, 96, 128))
    assert seen == [(96 // stride, 128 // stride)]


def test_features_are_those_of_timm_and_its_weights_fit() -> None:
    model = build("drn_timm", 4, encoder="resnet18").double().eval()
    plain = timm.create_model("resnet18", output_stride=8, num_classes=0, global_pool="").double().eval()
    own = {k.removeprefix("encoder.encoder."): v for k, v in model.state_dict().items() if k.startswith("encoder.")}
    plain.load_state_dict(own)
    image = torch.randn(1, 3, 64, 96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model.encoder(image)[-1], plain(image))


def test_strides_that_do_not_exist_say_so() -> None:
    with pytest.raises(UserError, match="output_stride must be one of 8, 16, 32; got 4"):
        build("drn_timm", 4, output_stride=4)
    with pytest.raises(UserError, match="with an output stride of 8"):
        build("drn_timm", 4, encoder="convnextv2_atto", output_stride=8) and build(
            "drn_timm", 4, encoder="swin_tiny_patch4_window7_224", output_stride=8
        )
