"""FCN: the authors' sizes, crops that put every score where it belongs, and a classifier made convolutional."""

import pytest
import torch
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.layers.init import bilinear_init, bilinear_kernel
from perpixel.models.fcn import FCN, fcn8s, fcn8s_at_once, fcn16s, fcn32s, fill_from_classifier, fill_from_coarser

BUILDERS = {32: fcn32s, 16: fcn16s, 8: fcn8s}


def sizes_of_parts(model: FCN, size: tuple[int, int]) -> dict[str, tuple[int, ...]]:
    """The channels and size of what every part gives for one image, on the meta device: no number is computed."""
    seen: dict[str, tuple[int, ...]] = {}
    for name, part in model.named_modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            part.register_forward_hook(lambda _, __, out, name=name: seen.update({name: tuple(out.shape[1:])}))
    with torch.device("meta"):
        assert model(torch.empty(1, 3, *size))["logits"].shape == (1, 21, *size)
    return seen


def test_the_full_network_has_the_authors_sizes() -> None:
    with torch.device("meta"):
        model = fcn8s(21)
    seen = sizes_of_parts(model, (500, 500))
    assert len(seen) == 13 + 3 + 2 + 3
    assert seen["stages.0.conv1_1"] == (64, 698, 698)
    poolings = {"stages.1.conv2_1": (128, 349), "stages.2.conv3_1": (256, 175), "stages.3.conv4_1": (512, 88)}
    poolings |= {"stages.4.conv5_1": (512, 44), "skip4.score": (21, 44), "skip3.score": (21, 88)}
    scores = {"fc6": (4096, 16), "fc7": (4096, 16), "score_fr": (21, 16)}  # pool5 is 22: fc6 takes 6
    ups = {"skip4.upscore": (21, 34), "skip3.upscore": (21, 70), "upscore": (21, 568)}
    for name, (channels, side) in (poolings | scores | ups).items():
        assert seen[name] == (channels, side, side), name


@pytest.mark.parametrize(("stride", "side"), [(32, 16 * 32 + 32), (16, 34 * 16 + 16)])
def test_the_coarser_networks_upsample_enough(stride: int, side: int) -> None:
    with torch.device("meta"):
        model = BUILDERS[stride](21)
    assert sizes_of_parts(model, (500, 500))["upscore"] == (21, side, side)


@pytest.mark.parametrize("padding", ["paper", "same"])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_every_size_has_scores_enough(stride: int, padding: str) -> None:
    with torch.device("meta"):
        model = BUILDERS[stride](21, padding=padding)
        for side in [*range(1, 36), 63, 64, 65, 225, 500]:
            assert model(torch.empty(1, 3, side, 2 * side))["logits"].shape == (1, 21, side, 2 * side)


@pytest.mark.parametrize("padding", ["paper", "same"])
@pytest.mark.parametrize("stride", [32, 16, 8])
def test_crops_put_every_score_on_the_centre_of_what_it_saw(stride: int, padding: str) -> None:
    """Maps that hold the coordinates of their own receptive fields' centres, upsampled and added: what comes out
    holds every pixel's own coordinate, once for each map, wherever bilinear interpolation has neighbours."""
    model = BUILDERS[stride](2, padding=padding, width=1).double()
    border = 99 if padding == "paper" else 0  # rows that the first padding puts before the image, less the usual 1
    fields = 3 if padding == "paper" else 0  # cells of pool5 before the centre of the first window of fc6
    side = 320

    def centres(step: int, first: float) -> Tensor:
        count = (side + 2 * border) // step
        line = step * (torch.arange(count) + first) + (step - 1) / 2 - border
        return torch.stack([line[:, None].expand(count, count), line[None].expand(count, count)])[None].double()

    pool4, pool3 = (torch.zeros(1, c, 1, 1).double() for c in (8, 4))
    for skip, step in ((model.skip4, 16), (model.skip3, 8)):
        if skip is not None:
            skip.score.weight.data[:, :2] = torch.eye(2).view(2, 2, 1, 1)
            skip.score.bias.data.zero_()
            coordinates = centres(step, 0)
            padded = torch.zeros(1, skip.score.in_channels, *coordinates.shape[-2:]).double()
            padded[:, :2] = coordinates
            pool4, pool3 = (padded, pool3) if step == 16 else (pool4, padded)
    windows = (side + 2 * border) // 32 - 2 * fields
    scores = centres(32, fields)[..., :windows, :windows]
    found = model.decode(scores, pool4, pool3, (side, side))[0] / {32: 1, 16: 2, 8: 3}[stride]
    pixels = torch.arange(side).double()
    inner = slice(64, side - 64)
    torch.testing.assert_close(found[0, inner, inner], pixels[inner, None].expand(192, 192), atol=1e-9, rtol=0)
    torch.testing.assert_close(found[1, inner, inner], pixels[None, inner].expand(192, 192), atol=1e-9, rtol=0)


def test_a_classifier_slid_over_the_map_is_the_convolution() -> None:
    """The linear layers on every 7x7 window of the last pooling, one after another, against fc6 and fc7."""
    torch.manual_seed(0)
    model = fcn32s(3, width=1).double().eval()
    classifier = nn.Sequential(nn.Linear(8 * 49, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()).double()
    fill_from_classifier(model, [classifier[0], classifier[2]])
    pool5 = torch.randn(2, 8, 9, 12).double()
    with torch.no_grad():
        found = model.classify(pool5)
        assert found.shape == (2, 64, 3, 6)
        for row in range(3):
            for column in range(6):
                window = pool5[:, :, row : row + 7, column : column + 7]
                torch.testing.assert_close(found[:, :, row, column], classifier(window.flatten(1)), atol=1e-12, rtol=0)


class Classifier(nn.Module):
    """VGG-16 as it classifies: 13 convolutions, then linear layers over the flattened map of 7 x 7."""

    def __init__(self, classes: int, width: int, padding: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for multiple, convs in ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3)):
            for _ in range(convs):
                parts += [nn.Conv2d(channels, multiple * width, 3, padding=padding), nn.ReLU()]
                channels = multiple * width
            parts.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*parts)
        self.fc6, self.fc7 = nn.Linear(49 * channels, 64 * width), nn.Linear(64 * width, 64 * width)
        self.fc8 = nn.Linear(64 * width, classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.features(image).flatten(1)
        return self.fc8(self.fc7(self.fc6(x).relu()).relu())


def classifier_and_fcn(classifier_padding: int, padding: str) -> tuple[Classifier, FCN, list[Tensor]]:
    """The two with the same weights, and a list to which FCN's coarse scores are added."""
    torch.manual_seed(0)
    classifier, model = Classifier(3, 2, classifier_padding), fcn32s(3, padding=padding, width=2)
    convs = [
        [part for part in half.modules() if isinstance(part, nn.Conv2d)] for half in (classifier.features, model.stages)
    ]
    for theirs, ours in zip(*convs, strict=True):
        nn.init.kaiming_normal_(theirs.weight)
        ours.load_state_dict(theirs.state_dict())
    fill_from_classifier(model, [classifier.fc6, classifier.fc7])
    model.score_fr.load_state_dict({"weight": classifier.fc8.weight[..., None, None], "bias": classifier.fc8.bias})
    coarse: list[Tensor] = []
    model.score_fr.register_forward_hook(lambda _, __, scores: coarse.append(scores))
    return classifier.double().eval(), model.double().eval(), coarse


def test_on_one_crop_of_224_the_middle_score_is_the_classifiers() -> None:
    """As VGG-16 was trained: zeros around the crop. Padded "same", fc6 sees all of it from the middle of 7 x 7."""
    classifier, model, coarse = classifier_and_fcn(classifier_padding=1, padding="same")
    crop = torch.randn(2, 3, 224, 224).double()
    with torch.no_grad():
        model(crop)
        expected = classifier(crop)
    assert coarse[0].shape == (2, 3, 7, 7)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    torch.testing.assert_close(coarse[0][:, :, 3, 3], expected, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(("padding", "border"), [("paper", 99), ("same", 3 * 32)])
def test_a_classifier_slid_over_the_image_is_the_coarse_scores(padding: str, border: int) -> None:
    """The classifier on one crop after another, 32 pixels apart, is FCN-32s before its upsampling.

    A crop's 224 pixels have 90 more around them, which 13 convolutions see: 404, FCN's receptive field. The image is
    there, where a lone crop has zeros, so the classifier is slid without padding. The first crop whose surroundings lie
    in the image is the seventh: those before it begin up to `border` pixels outside.
    """
    classifier, model, coarse = classifier_and_fcn(classifier_padding=0, padding=padding)
    image = torch.randn(1, 3, 480, 450).double()
    with torch.no_grad():
        model(image)
        tested = []
        for row in range(6, 9):
            for column in range(6, 8):
                top, left = (32 * cell - border - 90 for cell in (row, column))
                window = image[..., top : top + 404, left : left + 404]
                assert window.shape[-2:] == (404, 404)
                expected = classifier(window)
                torch.testing.assert_close(coarse[0][:, :, row, column], expected, atol=1e-12, rtol=1e-9)
                tested.append(expected)
    assert torch.cat(tested).std(dim=0).min() > 1e-4  # no two places look alike


def test_layers_of_another_shape_are_refused() -> None:
    layers = [nn.Linear(8 * 36, 64), nn.Linear(64, 64)]
    with pytest.raises(UserError, match=r"fc6 takes the weights of a Linear\(392, 64\); got Linear\(288, 64\)"):
        fill_from_classifier(fcn32s(3, width=1), layers)


def test_a_finer_network_begins_as_the_coarser_one() -> None:
    """Skips start at zero, so that nothing that they see matters; what remains is the coarser network's answer."""
    torch.manual_seed(0)
    coarse = fcn32s(3, width=2).double().eval()
    coarse.score_fr.weight.data.normal_()
    image = torch.randn(1, 3, 97, 130).double()
    for builder in (fcn16s, fcn8s):
        fine = builder(3, width=2).double().eval()
        assert not fine(image)["logits"].any()
        fill_from_coarser(fine, coarse)
        expected, found = coarse(image)["logits"], fine(image)["logits"]
        away = (found - expected).abs().mean() / expected.std()
        assert away < 0.1  # interpolating twice differs from once where the slope changes, and there alone
        coarse = fine
    with pytest.raises(UserError, match="skip"):
        fill_from_coarser(fcn32s(3, width=2), coarse)


def test_at_once_scales_what_the_skips_see() -> None:
    torch.manual_seed(0)
    plain, at_once = fcn8s(3, width=2).eval(), fcn8s_at_once(3, width=2).eval()
    for name, scale in (("skip4", 0.01), ("skip3", 0.0001)):
        at_once.load_state_dict(plain.state_dict())
        score = getattr(at_once, name).score.weight
        score.data.normal_()
        reference = fcn8s(3, width=2).eval()
        reference.load_state_dict(at_once.state_dict())
        getattr(reference, name).score.weight.data.mul_(scale)
        image = 100 * torch.randn(1, 3, 40, 40)
        found, expected = at_once(image)["logits"], reference(image)["logits"]
        assert expected.abs().max() > 1e-5
        torch.testing.assert_close(found, expected, atol=0.0, rtol=1e-3)


def test_upsampling_is_fixed_unless_asked_for() -> None:
    for learn in (False, True):
        model = fcn8s(3, width=1, learn_upsampling=learn)
        ups = [part for part in model.modules() if isinstance(part, nn.ConvTranspose2d)]
        assert [up.kernel_size[0] for up in ups] == [4, 4, 16]
        assert all(part.weight.requires_grad is learn for part in ups)
        assert sum(not p.requires_grad for p in model.parameters()) == (0 if learn else 3)


@pytest.mark.parametrize("size", [3, 4, 16, 32, 63, 64])
def test_the_kernel_is_the_papers_formula(size: int) -> None:
    factor = -(-size // 2)
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    for i in range(size):
        for j in range(0, size, 5):
            expected = (1 - abs(i - centre) / factor) * (1 - abs(j - centre) / factor)
            assert bilinear_kernel(size)[i, j].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("stride", [2, 8, 16, 32])
def test_inside_it_is_bilinear_resizing_of_each_class_alone(stride: int) -> None:
    conv = nn.ConvTranspose2d(3, 3, 2 * stride, stride, bias=False)
    bilinear_init(conv)
    x = torch.randn(1, 3, 5, 6)
    cut = stride // 2
    found = conv(x)[..., cut : cut + 5 * stride, cut : cut + 6 * stride]
    expected = nn.functional.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    inner = (..., slice(cut, -cut), slice(cut, -cut))
    torch.testing.assert_close(found[inner], expected[inner], atol=1e-5, rtol=1e-5)


def test_what_bilinear_init_cannot_fill_is_refused() -> None:
    for conv in (nn.ConvTranspose2d(2, 3, 4), nn.ConvTranspose2d(2, 2, (4, 2)), nn.ConvTranspose2d(2, 2, 4, groups=2)):
        with pytest.raises(ValueError, match="bilinear upsampling needs"):
            bilinear_init(conv)


def test_dropout_drops_single_values() -> None:
    torch.manual_seed(0)
    model = fcn32s(2, width=4).train()
    dropped = model.classify(torch.rand(1, 32, 12, 12)) == 0
    share = dropped.float().mean(dim=(2, 3))[0]  # of each channel: a dropped channel would have 1
    assert (share < 1).float().mean() > (model.eval().classify(torch.rand(1, 32, 12, 12)) != 0).float().mean() / 2
    assert type(model.dropout) is nn.Dropout
    assert model.dropout.p == 0.5


def test_an_unknown_padding_says_why() -> None:
    with pytest.raises(UserError, match='fcn16s: padding must be one of paper, same; got "valid"'):
        fcn16s(2, padding="valid")
