"""DeconvNet's sizes, for the paper's crop and beyond."""

import pytest
import torch
from torch import nn

from perpixel.models.deconvnet import DeconvNet


def sizes_of_convs(side: int) -> list[tuple[int, int]]:
    """The channels and rows of every convolution's map in the full network, on the meta device."""
    with torch.device("meta"):
        model, image = DeconvNet(21).eval(), torch.empty(1, 3, side, side)
    seen: list[tuple[int, int]] = []
    for part in model.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.register_forward_hook(lambda _, __, out: seen.append((out.shape[1], out.shape[2])))
    assert model(image)["logits"].shape == (1, 21, side, side)
    return seen


def test_the_full_network_has_the_papers_sizes() -> None:
    down = [(64, 224)] * 2 + [(128, 112)] * 2 + [(256, 56)] * 3 + [(512, 28)] * 3 + [(512, 14)] * 3
    middle = [(4096, 1), (4096, 1), (512, 7)]
    up = [(512, 14)] * 3 + [(512, 28), (512, 28), (256, 28), (256, 56), (256, 56), (128, 56)]
    up += [(128, 112), (64, 112), (64, 224), (64, 224), (21, 224)]
    assert sizes_of_convs(224) == down + middle + up


@pytest.mark.parametrize(("side", "coarsest", "vectors"), [(1, 7, 1), (97, 7, 1), (225, 8, 2), (500, 16, 10)])
def test_other_sizes_are_slid_over(side: int, coarsest: int, vectors: int) -> None:
    assert sizes_of_convs(side)[13:16] == [(4096, vectors), (4096, vectors), (512, coarsest)]


def test_from_193_rows_on_nothing_is_padded() -> None:
    """A smaller image: what fc6 sees beyond the last pooling repeats its border, and none of it is left in the end."""
    torch.manual_seed(0)
    model = DeconvNet(2, width=1).eval()
    for part in model.modules():
        if isinstance(part, nn.ConvTranspose2d):
            nn.init.normal_(part.weight)
    seen: list[torch.Tensor] = []
    model.fc6.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    for rows, columns in ((193, 224), (192, 40)):
        pool5 = torch.rand(1, 8, -(-rows // 32), -(-columns // 32))
        found = model.through_a_vector(pool5)
        assert found.shape == pool5.shape
        assert seen[-1].shape == (1, 8, 7, 7)
        assert torch.equal(seen[-1][..., : pool5.shape[-2], : pool5.shape[-1]], pool5)
        assert torch.equal(seen[-1][..., -1, : pool5.shape[-1]], pool5[..., -1, :])
        whole = model.fc6_deconv(model.fc7(model.fc6(seen[-1])))
        assert torch.equal(found, whole[..., : pool5.shape[-2], : pool5.shape[-1]])
        assert found.any()


def test_packed_positions_change_nothing() -> None:
    torch.manual_seed(0)
    packed, plain = DeconvNet(3, width=1).train(), DeconvNet(3, width=1, packed_indices=False)
    image = torch.randn(2, 3, 225, 230)
    with torch.no_grad():
        packed(image)  # else batch norms at rest let nothing of the image through
        plain.load_state_dict(packed.state_dict())
        found, expected = packed.eval()(image)["logits"], plain.eval()(image)["logits"]
    assert torch.equal(found, expected)


def test_weights_start_as_the_authors() -> None:
    torch.manual_seed(0)
    model = DeconvNet(21, width=16)
    for part in (model.fc6_deconv[0], model.deconvolutions[0][0][0], model.score):
        assert part.weight.std().item() == pytest.approx(0.01, rel=0.15)
        assert not part.bias.any()
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert len(norms) == 13 + 3 + 13
    assert {norm.eps for norm in norms} == {1e-9}
    assert {round(value, 9) for norm in norms for value in norm.bias.tolist()} == {0.001}
    assert not any(isinstance(part, nn.Dropout) for part in model.modules())
