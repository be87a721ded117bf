"""What every network must do, whatever it is: one test a promise, each run on every network."""

import inspect
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from perpixel.core.errors import UserError
from perpixel.models import MODELS, build, model_options
from perpixel.models.catalog import FORMER_NAMES

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from cases import CASES, Case

SMALL = [case for case in CASES if case.small is not None]
CLASSES = 5


def small(case: Case, in_channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    assert case.small is not None
    return build(case.name, CLASSES, in_channels, **case.small)


def awake(model: nn.Module) -> nn.Module:
    """The network in eval, with something to say: scores that start at zero, and batch norms that have seen no image,
    may let nothing of an image through, and nothing equals nothing."""
    for part in model.modules():
        if isinstance(part, nn.Conv2d) and not part.weight.any():
            nn.init.normal_(part.weight, std=0.1)
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the average of all that it sees, and not a little of it
    with torch.no_grad():
        model.train()(images(4, 3, 64, 64))
    return model.eval()


def images(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


@pytest.fixture(params=SMALL, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


def test_cases_and_catalog_name_the_same_networks() -> None:
    assert {case.name for case in CASES} == set(MODELS)
    tested, likened = {case.name for case in SMALL}, {case.name: case.like for case in CASES if case.like}
    assert tested | set(likened) == set(MODELS)
    assert set(likened.values()) <= tested
    assert all(MODELS[name].__module__ == MODELS[like].__module__ for name, like in likened.items())
    assert len(MODELS) >= 3
    assert list(MODELS) == sorted(MODELS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_parameter_count_is_the_authors(case: Case) -> None:
    with torch.device("meta"):
        model = build(case.name, case.num_classes, case.in_channels, **case.options)
    assert sum(parameter.numel() for parameter in model.parameters()) == case.parameters, case.source


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)], ids=str)
def test_any_size_in_training_at_batch_one(case: Case, size: tuple[int, int]) -> None:
    output = small(case).train()(images(1, 3, *size))
    assert {key: value.shape for key, value in output.items()} == dict.fromkeys(output, (1, CLASSES, *size))
    assert all(torch.isfinite(value).all() for value in output.values())


def test_the_same_keys_in_train_and_eval(case: Case) -> None:
    model = small(case)
    keys = list(model.train()(images(2, 3, 32, 32)))
    assert keys == list(model.eval()(images(2, 3, 32, 32)))
    assert keys == (["logits", "aux"] if (case.small or {}).get("aux") else ["logits"])


@pytest.mark.parametrize("batch", [1, 2])
def test_every_parameter_gets_a_gradient(case: Case, batch: int) -> None:
    model = small(case).train()
    for parameter in model.parameters():  # ResNets start with blocks that a scale of 0 switches off
        parameter.data += 0.01 * torch.randn_like(parameter)
    output = model(images(batch, 3, 64, 96))
    sum((value * torch.randn_like(value)).sum() for value in output.values()).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert len(gradients) >= 30
    assert [name for name, g in gradients.items() if g is None or not torch.isfinite(g).all() or not g.any()] == []


def test_a_batch_equals_its_images_one_by_one(case: Case) -> None:
    model, batch = awake(small(case)).double(), images(3, 3, 40, 56).double()
    with torch.no_grad():
        together = model(batch)["logits"]
        alone = torch.cat([model(image[None])["logits"] for image in batch])
    torch.testing.assert_close(together, alone, atol=1e-9, rtol=1e-9)
    assert (together[0] - together[1]).abs().max() > 1e-3  # it looks at its input


@pytest.mark.parametrize("in_channels", [1, 7])
def test_any_number_of_channels(case: Case, in_channels: int) -> None:
    model = small(case, in_channels).eval()
    assert model(images(1, in_channels, 32, 32))["logits"].shape == (1, CLASSES, 32, 32)


def test_memory_format_changes_nothing(case: Case) -> None:
    model, image = awake(small(case)).double(), images(2, 3, 33, 47).double()
    with torch.no_grad():
        expected = model(image)["logits"]
        model.to(memory_format=torch.channels_last)
        found = model(image.contiguous(memory_format=torch.channels_last))["logits"]
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)


def test_two_images_can_be_overfitted(case: Case) -> None:
    model = small(case).train()
    switch_dropout_off(model)
    batch, target = two_scenes()
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(80):
        logits = model(batch)["logits"]
        if (logits.argmax(1) == target).float().mean() >= 0.95:
            return
        optimiser.zero_grad()
        F.cross_entropy(logits, target).backward()
        optimiser.step()
    pytest.fail("80 steps did not fit two images of 32 x 32 to 95 %")


def two_scenes() -> tuple[Tensor, Tensor]:
    """Two images of 32 x 32, one split in left and right and one in top and bottom, in grey with noise."""
    target = torch.zeros(2, 32, 32, dtype=torch.int64)
    target[0, :, 16:] = 1
    target[1, 16:] = 2
    grey = target[:, None].float() - 1
    return grey + 0.1 * images(2, 3, 32, 32), target


def switch_dropout_off(model: nn.Module) -> None:
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0


def test_it_can_be_exported_for_every_multiple_of_32(case: Case) -> None:
    model = awake(small(case))
    free = {0: Dim("batch"), 2: 32 * Dim("rows", min=2, max=128), 3: 32 * Dim("columns", min=2, max=128)}
    program = torch.export.export(
        model, (images(2, 3, 96, 128),), dynamic_shapes=(free,), prefer_deferred_runtime_asserts_over_guards=True
    )
    with torch.no_grad():
        for image in (images(2, 3, 96, 128), images(3, 3, 192, 64)):
            torch.testing.assert_close(program.module()(image), model(image), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_constructors_say_every_option(name: str) -> None:
    parameters = list(inspect.signature(MODELS[name]).parameters.values())
    assert [parameter.name for parameter in parameters[:2]] == ["num_classes", "in_channels"]
    assert all(parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for parameter in parameters)
    assert all(parameter.default is not inspect.Parameter.empty for parameter in parameters[1:])


@pytest.mark.parametrize("case", {case.name: case for case in CASES}.values(), ids=lambda case: case.name)
def test_the_backbone_is_declared(case: Case) -> None:
    """Parts that exist, that have parameters, of which none lies in another, and that leave a head."""
    with torch.device("meta"):
        model = build(case.name, CLASSES, **(case.small or case.options))
    names: tuple[str, ...] = model.backbone_names  # type: ignore[assignment]
    assert isinstance(names, tuple)
    inside = [{id(p) for p in model.get_submodule(name).parameters()} for name in names]
    assert all(inside)
    assert sum(map(len, inside)) == len(set().union(*inside)) < len(list(model.parameters()))
    assert bool(names) == case.backbone


@pytest.mark.parametrize("name", FORMER_NAMES)
def test_a_former_name_builds_the_same_network(name: str) -> None:
    assert name not in MODELS and FORMER_NAMES[name] in MODELS
    assert model_options(name) == model_options(FORMER_NAMES[name])
    with torch.device("meta"):
        assert type(build(name, CLASSES)) is type(build(FORMER_NAMES[name], CLASSES))


def test_no_former_name_is_lost() -> None:
    """Names that a release had, and that bundles on disk may say."""
    assert FORMER_NAMES == {"dilated_resnet": "drn_timm", "fcn": "fcn_resnet"}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_file_says_what_differs_from_the_paper(name: str) -> None:
    text = sys.modules[MODELS[name].__module__].__doc__ or ""
    assert "Differs from the paper:\n- " in text
    assert "arXiv:" in text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fast_scn", {}, 'There is no model "fast_scn". Did you mean "fast_scnn"?'),
        ("zebra", {}, 'There is no model "zebra". Known: '),
        ("fast_scnn", {"axu": True}, 'fast_scnn has no option "axu". Did you mean "aux"?'),
        ("fpn", {"zebra": 1}, 'fpn has no option "zebra". Its options are encoder, pretrained.'),
        ("unet", {"padding": "reflect"}, 'padding must be one of valid, same; got "reflect"'),
        ("unet", {"num_classes": 0}, "num_classes must be 1 or more; got 0"),
        ("unet", {"in_channels": -1}, "in_channels must be 1 or more; got -1"),
    ],
)
def test_what_cannot_be_built_says_why(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as error:
        build(name, **({"num_classes": 3} | options))
    assert message in str(error.value)


def test_options_have_their_defaults() -> None:
    assert model_options("fpn") == {"encoder": "resnet50", "pretrained": False}
