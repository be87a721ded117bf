"""A converted bundle says of an image what its weights were trained on: channels, mean and std, their order, and classes."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import perpixel
from perpixel.bundle.convert import convert_weights
from perpixel.bundle.info import read_info
from perpixel.core.errors import UserError
from perpixel.labels import CITYSCAPES
from perpixel.models.ports import SOURCES
from perpixel.models.ports.source import Pixels

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "ports"))  # the tests are no package
from filling import fill, shapes_in

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FAST = "Tramac/Fast-SCNN-pytorch"
ERFNET = "Eromera/erfnet_pytorch"


def file_of(name: str, folder: Path, **changed: tuple[int, ...]) -> tuple[Path, dict[str, Tensor]]:
    state = fill({key: changed.get(key, shape) for key, shape in shapes_in(name).items()})
    save_file(state, folder / "weights.safetensors")
    return folder / "weights.safetensors", state


def test_blue_comes_first_where_the_source_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle's answer is the network's for blue, green, red less their means, laid out here by hand."""
    mean, std = (0.1, 0.4, 0.7), (0.2, 0.25, 0.5)
    monkeypatch.setitem(SOURCES, FAST, replace(SOURCES[FAST], pixels=Pixels(mean, std, bgr=True)))
    file, state = file_of("tramac_fast_scnn_19", tmp_path)
    convert_weights(file, FAST, tmp_path / "bundle")
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    found = perpixel.load(tmp_path / "bundle", device="cpu").predict(image).probabilities
    pixels = (torch.from_numpy(image[..., ::-1] / 255.0).float() - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        logits = perpixel.port(FAST, state)(pixels.permute(2, 0, 1)[None])["logits"][0]
    np.testing.assert_allclose(found, logits.softmax(0), atol=1e-4)


def test_caffes_fcn_is_such_a_source() -> None:
    """As the authors of FCN publish it: pixels from 0 to 255, blue first, less the mean of the training images."""
    pixels = SOURCES["wkentaro/pytorch-fcn"].pixels
    assert pixels.bgr
    assert [255 * m for m in pixels.mean] == pytest.approx([104.00699, 116.66877, 122.67892])
    assert [255 * s for s in pixels.std] == pytest.approx([1, 1, 1])


def test_grey_weights_make_a_bundle_that_loads(tmp_path: Path) -> None:
    file, state = file_of("fyu_drn_drn_d_22_seg", tmp_path, **{"base.0.0.weight": (16, 1, 7, 7)})
    convert_weights(file, "fyu/drn", tmp_path / "bundle")
    image = np.random.default_rng(0).integers(0, 256, (40, 56), np.uint8)
    found = perpixel.load(tmp_path / "bundle", device="cpu").predict(image).probabilities
    mean = (0.29010095 + 0.32808144 + 0.28696394) / 3
    std = (0.18295405 + 0.18656561 + 0.18447509) / 3
    with torch.no_grad():
        logits = perpixel.port("fyu/drn", state)((torch.from_numpy(image)[None, None] / 255 - mean) / std)["logits"][0]
    np.testing.assert_allclose(found, logits.softmax(0), atol=1e-4)


@pytest.mark.parametrize(
    ("source", "name", "own"),
    [
        ("fyu/drn", "fyu_drn_drn_d_24_classifier", IMAGENET),  # its classify.py
        (ERFNET, "eromera_erfnet_classifier_encoder", IMAGENET),  # its imagenet/main.py
        (ERFNET, "eromera_erfnet_20", ((0.0,) * 3, (1.0,) * 3)),  # its train/main.py: ToTensor alone
    ],
)
def test_a_classifiers_weights_have_imagenets_mean(
    source: str, name: str, own: tuple[tuple[float, ...], tuple[float, ...]], tmp_path: Path
) -> None:
    file, _ = file_of(name, tmp_path)
    convert_weights(file, source, tmp_path / "bundle", num_classes=2)
    preprocessing = read_info(tmp_path / "bundle").preprocessing
    assert (preprocessing.mean, preprocessing.std) == own


def test_what_is_not_labelled_is_a_class_with_a_name(tmp_path: Path) -> None:
    file, _ = file_of("eromera_erfnet_20", tmp_path)
    ported, taxonomy = convert_weights(file, ERFNET, tmp_path / "bundle")
    assert taxonomy.names == (*CITYSCAPES.names, "void")
    assert taxonomy.colours == (*CITYSCAPES.colours, (0, 0, 0))
    assert taxonomy.encode(np.array([[7, 33, 255, 4]], np.uint8)).tolist() == [[0, 18, 19, 19]]
    assert ported.notes == []


@pytest.mark.parametrize("asked", [{"classes": "cityscapes"}, {"classes": "cityscapes", "num_classes": 19}])
def test_or_is_left_out(asked: dict, tmp_path: Path) -> None:
    """The other classes' scores stay what they were."""
    file, state = file_of("eromera_erfnet_20", tmp_path)
    ported, taxonomy = convert_weights(file, ERFNET, tmp_path / "bundle", **asked)
    assert taxonomy == CITYSCAPES
    assert not ported.fresh_head
    assert ported.notes == ["class 19 of the weights, which stands for what is not labelled, is left out"]
    image = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, whole = ported.model(image), perpixel.port(ERFNET, state)(image)
    assert list(found) == ["logits", "aux"]
    for key in found:
        torch.testing.assert_close(found[key], whole[key][:, :19], atol=1e-5, rtol=1e-5)


def test_a_class_in_the_middle_can_be_left_out_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, ERFNET, replace(SOURCES[ERFNET], void={20: 3}))
    file, state = file_of("eromera_erfnet_20", tmp_path)
    image = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, whole = perpixel.port(ERFNET, state, num_classes=19)(image), perpixel.port(ERFNET, state)(image)
    kept = [i for i in range(20) if i != 3]
    torch.testing.assert_close(found["logits"], whole["logits"][:, kept], atol=1e-5, rtol=1e-5)
    _, taxonomy = convert_weights(file, ERFNET, tmp_path / "bundle")
    assert taxonomy.names[2:5] == ("building", "void", "wall")


def test_other_numbers_of_names_are_still_refused(tmp_path: Path) -> None:
    file, _ = file_of("eromera_erfnet_20", tmp_path)
    with pytest.raises(UserError, match="the network has 20 classes, voc has 21"):
        convert_weights(file, ERFNET, tmp_path / "bundle", classes="voc")
    with pytest.raises(UserError, match="the network has 20 classes, the list has 2"):
        convert_weights(file, ERFNET, tmp_path / "bundle", classes="a,b")
