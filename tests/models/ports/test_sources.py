"""Every source says which keys of a state dict are at fault, by the names that they have there.

All is on the meta device: shapes alone decide.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from perpixel.core.errors import UserError
from perpixel.models.ports import FAMILIES, SOURCES, port, read_port
from perpixel.models.ports.faults import their_names
from perpixel.models.ports.source import Source, is_counter, unwrap

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from filling import RECORDED, shapes_in

Shapes = dict[str, tuple[int, ...]]


def shapes_of(build: Callable[[], nn.Module]) -> Shapes:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in build().state_dict().items()}


SAMPLES: dict[str, tuple[Callable[[], Shapes], dict[str, Any]]] = {
    "davidtvs/PyTorch-ENet": (lambda: shapes_in("davidtvs_enet_20"), {}),
    "Eromera/erfnet_pytorch": (lambda: shapes_in("eromera_erfnet_20"), {}),
    "fyu/drn": (lambda: shapes_in("fyu_drn_drn_d_22_seg"), {}),
    "HRNet/HRNet-Semantic-Segmentation": (lambda: shapes_in("hrnet_w18_small_v1_19"), {}),
    "hszhao/semseg": (lambda: shapes_in("semseg_pspnet50_19"), {}),
    "huggingface/segformer": (lambda: shapes_in("huggingface_segformer_b0_version4"), {}),
    "mseg-dataset/mseg-semantic": (lambda: shapes_in("mseg_hrnet_w48_194"), {}),
    "timm/resnet": (
        lambda: shapes_of(lambda: timm.create_model("resnet50s")),
        {"num_classes": 2, "network": "encnet"},
    ),
    "torchvision/resnet": (
        lambda: shapes_of(lambda: torchvision.models.resnet34(weights=None)),
        {"num_classes": 2, "network": "drn_a_34"},
    ),
    "torchvision/segmentation": (
        lambda: shapes_of(
            lambda: torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)
        ),
        {},
    ),
    "torchvision/vgg16": (
        lambda: shapes_of(lambda: torchvision.models.vgg16(weights=None)),
        {"num_classes": 2, "network": "fcn8s"},
    ),
    "torchvision/vgg16_bn": (
        lambda: shapes_of(lambda: torchvision.models.vgg16_bn(weights=None)),
        {"num_classes": 2, "network": "dilation8"},
    ),
    "Tramac/Fast-SCNN-pytorch": (lambda: shapes_in("tramac_fast_scnn_19"), {}),
    "VainF/DeepLabV3Plus-Pytorch": (lambda: shapes_in("vainf_deeplabv3plus_resnet50_16_21"), {}),
    "wkentaro/pytorch-fcn": (lambda: shapes_in("pytorch_fcn_fcn16s"), {}),
    "zhanghang1989/PyTorch-Encoding": (lambda: shapes_in("encnet_50s_59"), {}),
}
"""Source -> the shapes of one of its state dicts, and what `port` is told beside it."""


def test_every_source_has_a_sample() -> None:
    assert len(SOURCES) >= 16
    assert sorted(SAMPLES) == sorted(SOURCES)


def test_the_page_has_every_source() -> None:
    page = (Path(__file__).parents[3] / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)) == sorted(SOURCES)


def meta(shapes: Shapes) -> dict[str, Tensor]:
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def state_of(source: str) -> tuple[dict[str, Tensor], str]:
    """A state dict without numbers, and a key in the middle of it."""
    state = meta(SAMPLES[source][0]())
    keys = [key for key in state if not is_counter(key)]
    return state, keys[len(keys) // 2]


def error_of(source: str, state: dict[str, Tensor]) -> str:
    with torch.device("meta"), pytest.raises(UserError) as error:
        port(source, state, **SAMPLES[source][1])
    return str(error.value)


@pytest.mark.parametrize("source", SAMPLES)
def test_whole_weights_are_taken(source: str) -> None:
    state, _ = state_of(source)
    with torch.device("meta"):
        port(
            source,
            {"epoch": 3, "state_dict": {f"module.{key}": tensor for key, tensor in state.items()}},
            **SAMPLES[source][1],
        )


@pytest.mark.parametrize("source", SAMPLES)
def test_a_missing_key_is_listed(source: str) -> None:
    state, key = state_of(source)
    del state[key]
    assert re.search(rf"missing: {re.escape(key)}$", error_of(source, state))


@pytest.mark.parametrize("source", SAMPLES)
def test_a_key_too_many_is_listed(source: str) -> None:
    state, _ = state_of(source)
    state["extra.weight"] = torch.empty(3, device="meta")
    assert re.search(r"unknown: extra\.weight$", error_of(source, state))


@pytest.mark.parametrize("source", SAMPLES)
def test_another_shape_is_listed(source: str) -> None:
    state, key = state_of(source)
    rows, *rest = state[key].shape
    state[key] = torch.empty(rows + 1, *rest, device="meta")
    assert re.search(rf"of another shape: {re.escape(key)} \({rows + 1}", error_of(source, state))


def test_faults_are_told_together_and_cut_short() -> None:
    state, _ = state_of("hszhao/semseg")
    for key in [key for key in state if key.startswith("layer4.2.")]:
        state[key.replace("layer4", "layer5")] = state.pop(key)
    state["layer4.2.conv1.weight"] = torch.empty(1)
    said = error_of("hszhao/semseg", state)
    assert re.search(r"missing: layer4\.2\.bn1\.weight, .* and 8 more; unknown: layer5\.2\.conv1\.weight, ", said)
    assert said.endswith("of another shape: layer4.2.conv1.weight (1,), expected (512, 2048, 1, 1)")


RECORDED_BY = {
    "davidtvs": "davidtvs/PyTorch-ENet",
    "encnet": "zhanghang1989/PyTorch-Encoding",
    "eromera": "Eromera/erfnet_pytorch",
    "fyu": "fyu/drn",
    "hrnet": "HRNet/HRNet-Semantic-Segmentation",
    "huggingface": "huggingface/segformer",
    "mseg": "mseg-dataset/mseg-semantic",
    "pytorch": "wkentaro/pytorch-fcn",
    "semseg": "hszhao/semseg",
    "tramac": "Tramac/Fast-SCNN-pytorch",
    "vainf": "VainF/DeepLabV3Plus-Pytorch",
}
"""How the names of a source's recordings begin."""
UNUSED = {
    "fc.weight",
    "fc.bias",
    "classifier.weight",
    "classifier.bias",
    "classifier.linear.weight",
    "classifier.linear.bias",
}
"""A classifier's last layer, which nothing here needs."""


class Watched(dict[str, Tensor]):
    """A state dict that remembers which of its keys were looked for by name."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self.asked: set[str] = set()

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def hard_keys(origin: Source, state: dict[str, Tensor], network: str | None) -> list[str]:
    """Keys that a source looks for by name, the first, and those like which there is no other, numbers aside."""
    watched = Watched(state)
    origin.read(watched, network)
    kinds = [re.sub(r"\d+", "#", key) for key in state]
    hard = watched.asked | {key for key, kind in zip(state, kinds, strict=True) if kinds.count(kind) == 1}
    return [key for i, key in enumerate(state) if (key in hard or i == 0) and key not in UNUSED and not is_counter(key)]


def is_named(origin: Source, state: dict[str, Tensor], network: str | None, key: str) -> bool:
    """Whether a state dict without that key is refused by its name, or still taken for the same network, and then so."""
    rest, whole = {k: tensor for k, tensor in state.items() if k != key}, origin.read(state, network)
    try:
        reading = origin.read(rest, network)
    except UserError as error:
        return f'it has no "{key}", but ' in str(error)
    same = (reading.network, reading.options, reading.num_classes) == (whole.network, whole.options, whole.num_classes)
    return same and their_names([whole.rename(key)], rest, reading.rename, reading.single) == [key]


RECORDINGS = sorted(file.stem for file in RECORDED.glob("*.npz"))
OTHERS = [name for name in SAMPLES if name not in RECORDED_BY.values()]


@pytest.mark.parametrize("name", [*RECORDINGS, *OTHERS])
def test_any_missing_key_is_named_as_its_file_names_it(name: str) -> None:
    if name in OTHERS:
        shapes, told = SAMPLES[name]
        origin, state, network = SOURCES[name], meta(shapes()), told.get("network")
    else:
        origin, state, network = SOURCES[RECORDED_BY[name.partition("_")[0]]], meta(shapes_in(name)), None
    tried = hard_keys(origin, state, network)
    assert [key for key in tried if not is_named(origin, state, network, key)] == []
    assert len(tried) >= 1


def test_every_recording_was_tried() -> None:
    assert {name.partition("_")[0] for name in RECORDINGS} == set(RECORDED_BY)
    assert {*RECORDED_BY.values(), *OTHERS} == set(SOURCES)


def test_what_cannot_be_told_keeps_our_name() -> None:
    assert their_names(["somewhere.else"], {"a.0.weight": torch.empty(0)}, lambda key: key) == ["somewhere.else"]


def test_what_is_no_state_dict_is_refused() -> None:
    with pytest.raises(UserError, match=r"expected a state dict .* got keys epoch, best"):
        unwrap({"epoch": 3, "best": 0.5})
    with pytest.raises(UserError, match=r'There is no source "fyu/drm"\. Did you mean "fyu/drn"'):
        port("fyu/drm", {})


FAMILY_NAMES = [name for name in SAMPLES if name.split("/")[0] in FAMILIES]


@pytest.mark.parametrize("source", FAMILY_NAMES)
def test_a_family_finds_which_of_its_networks_it_is(source: str) -> None:
    state, _ = state_of(source)
    with torch.device("meta"):
        found = read_port(source.split("/")[0], state, **SAMPLES[source][1])
    assert found.source is SOURCES[source]


def test_families_were_tested() -> None:
    assert {name.split("/")[0] for name in FAMILY_NAMES} == set(FAMILIES)
    assert len(FAMILY_NAMES) >= 5


CLASSIFIERS = {"pspnet": "resnet50s", "encnet": "resnet50s", "drn_a_18": "resnet18", "drn_a_34": "resnet34"}
"""timm's classifier for a network where that is no resnet50."""
FILLED = [
    *((source, name) for source in ("torchvision/vgg16", "torchvision/vgg16_bn") for name in SOURCES[source].networks),
    *(("timm/resnet", name) for name in SOURCES["timm/resnet"].networks),
]


@pytest.mark.parametrize(("source", "network"), FILLED)
def test_what_a_classifier_fills_is_the_declared_backbone(source: str, network: str) -> None:
    if source == "timm/resnet":
        state = meta(shapes_of(lambda: timm.create_model(CLASSIFIERS.get(network, "resnet50"))))
    else:
        state = meta(SAMPLES[source][0]())
    with torch.device("meta"):
        found = read_port(source, state, 2, network)
    parts = tuple(f"{part}." for part in found.model.backbone_names)  # type: ignore[union-attr]
    outside = [key for key, _ in found.model.named_parameters() if not key.startswith(parts)]
    assert outside and all(key.startswith(found.reading.heads) for key in outside)


def test_every_network_that_a_classifier_fills_was_tried() -> None:
    assert len(FILLED) >= 30


def test_a_network_may_be_asked_for_by_its_former_name() -> None:
    state = meta(shapes_of(lambda: torchvision.models.resnet50(weights=None)))
    with torch.device("meta"):
        assert read_port("torchvision/resnet", state, 2, "fcn").reading.network == "fcn_resnet"


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("source", SAMPLES)
def test_images_of_other_channels_have_as_many_means(source: str, channels: int) -> None:
    """The first convolution, the only one of 3 channels, says it; beside a pooled image it gives out the rest."""
    shapes, told = SAMPLES[source]
    state = dict(shapes())
    first = [key for key, shape in state.items() if len(shape) == 4 and shape[1] == 3]
    assert len(first) == 1
    rows, _, *kernel = state[first[0]]
    if rows == 13:
        rows = 16 - channels
        bias = first[0].replace("weight", "bias")
        state |= {bias: (rows,)} if bias in state else {}
    state[first[0]] = (rows, channels, *kernel)
    with torch.device("meta"):
        found = read_port(source, meta(state), **told)
    assert found.reading.in_channels == channels
    assert len(found.pixels.mean) == len(found.pixels.std) == channels
    assert any(f"each of these {channels} gets their average" in note for note in found.notes)
