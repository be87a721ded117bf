"""The dilated context module: what it sees, what it passes on at first, and its sizes."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.layers.context import ContextModule, Padding, Width, identity_init


def footprints(module: ContextModule, length: int) -> list[int]:
    """After each layer: how many columns of a map of `length` the middle value depends on."""
    for parameter in module.parameters():
        nn.init.ones_(parameter)  # positive weights: no ReLU cuts a gradient, no two paths cancel
    seen: list[Tensor] = []
    for conv in (*module.convs, module.project):
        conv.register_forward_hook(lambda _, __, output: seen.append(output))
    image = torch.ones(1, 1, length, length, dtype=torch.float64, requires_grad=True)
    module.double()(image)
    columns = []
    for output in seen:
        middle = output[0, 0, output.shape[-2] // 2, output.shape[-1] // 2]
        (gradient,) = torch.autograd.grad(middle, image, retain_graph=True)
        assert gradient.ne(0).any(dim=-2).sum() == gradient.ne(0).any(dim=-1).sum()
        columns.append(int(gradient.ne(0).any(dim=-2).sum()))
    return columns


@pytest.mark.parametrize("padding", ["each", "once"])
@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (7, [3, 5, 9, 17, 33, 35, 35]),
        (8, [3, 5, 9, 17, 33, 65, 67, 67]),  # the paper's table 1
        (10, [3, 5, 9, 17, 33, 65, 129, 257, 259, 259]),
    ],
)
def test_receptive_fields(depth: int, expected: list[int], padding: Padding) -> None:
    assert footprints(ContextModule(1, depth, padding=padding), length=expected[-1] + 4) == expected


@pytest.mark.parametrize(
    ("channels", "depth", "width", "expected"),
    [
        (11, 8, "basic", 7_832),
        (21, 8, "large", 6_803_139),
        (19, 10, "basic", 134_373_043 - 134_338_387 - 4_864),  # Dilation10 less its front-end and upsampling
        (11, 7, "basic", 7_832 - 11 * 11 * 9 - 11),
    ],
)
def test_parameters_are_the_authors(channels: int, depth: int, width: Width, expected: int) -> None:
    assert sum(p.numel() for p in ContextModule(channels, depth, width).parameters()) == expected


def test_widths_of_the_papers_table() -> None:
    module = ContextModule(3, width="large")
    widths = [conv.out_channels // 3 for conv in (*module.convs, module.project)]
    assert widths == [2, 2, 4, 8, 16, 32, 32, 1]
    assert [conv.dilation[0] for conv in module.convs] == [1, 1, 2, 4, 8, 16, 1]


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 3), (3, 6), (6, 6), (6, 12), (12, 3)])
def test_identity_weights_follow_the_formula(inputs: int, outputs: int) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(inputs, outputs, 3)
    identity_init(conv, groups=3, std=0.01)
    noise = []
    for b in range(outputs):
        for a in range(inputs):
            for y in range(3):
                for x in range(3):
                    value = conv.weight[b, a, y, x].item()
                    if (y, x) == (1, 1) and (a * 3) // inputs == (b * 3) // outputs:
                        assert value == pytest.approx(3 / outputs)
                    else:
                        noise.append(value)
    assert not conv.bias.any()
    deviation = torch.tensor(noise).std().item()
    assert deviation == pytest.approx(0.01 * 3 / max(inputs, outputs), rel=0.2)
    assert all(noise)


@pytest.mark.parametrize(("depth", "width"), [(7, "basic"), (8, "basic"), (10, "basic"), (8, "large")])
@pytest.mark.parametrize("padding", ["each", "once"])
def test_without_the_noise_features_pass_unchanged(depth: int, width: Width, padding: Padding) -> None:
    module = ContextModule(5, depth, width, padding)
    for conv in (*module.convs, module.project):
        identity_init(conv, groups=5, std=0.0)
    features = torch.rand(2, 5, 6, 9)
    torch.testing.assert_close(module(features), features)
    torch.testing.assert_close(module(features - 0.5), (features - 0.5).relu())


@pytest.mark.parametrize("width", ["basic", "large"])
def test_with_the_noise_features_are_still_there(width: Width) -> None:
    torch.manual_seed(0)
    features = torch.rand(1, 11, 12, 12)
    output = ContextModule(11, width=width)(features)
    correlation = torch.corrcoef(torch.stack([features.flatten(), output.flatten()]))[0, 1]
    assert correlation > 0.9
    assert not torch.equal(features, output)


def test_padding_once_differs_at_the_border_only() -> None:
    torch.manual_seed(0)
    each, once = ContextModule(2, padding="each").double(), ContextModule(2, padding="once").double()
    for parameter in each.parameters():
        nn.init.normal_(parameter)
    once.load_state_dict(each.state_dict())
    features = torch.rand(1, 2, 75, 75, dtype=torch.float64)
    a, b = each(features), once(features)
    assert a.shape == b.shape == features.shape
    torch.testing.assert_close(a[..., 33:42, 33:42], b[..., 33:42, 33:42])  # what sees nothing beyond the map
    assert (a - b)[..., 0, :].abs().max() > 1e-3 * a.abs().max()


@pytest.mark.parametrize("padding", ["each", "once"])
@pytest.mark.parametrize("size", [(1, 1), (2, 9), (33, 4)], ids=str)
def test_any_size_stays(size: tuple[int, int], padding: Padding) -> None:
    assert ContextModule(3, padding=padding)(torch.rand(1, 3, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("wrong", [{"depth": 9}, {"width": "wide"}, {"padding": "reflect"}], ids=str)
def test_what_does_not_exist_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="depth 7, 8 or 10"):
        ContextModule(3, **wrong)


@pytest.mark.parametrize("conv", [nn.Conv2d(4, 6, 3), nn.Conv2d(6, 4, 3), nn.Conv2d(6, 6, 2)], ids=str)
def test_identity_needs_groups_that_divide_and_a_centre(conv: nn.Conv2d) -> None:
    with pytest.raises(ValueError, match="identity_init needs"):
        identity_init(conv, groups=3)
