"""Weights of another code become a bundle that predicts."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import perpixel
from perpixel.bundle import Preprocessing, read_info
from perpixel.bundle.convert import convert_weights, read_checkpoint
from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.models.ports import port

sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "ports"))  # the tests are no package
from filling import fill, shapes_in

NAME = "fyu_drn_drn_d_22_seg"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return fill(shapes_in(NAME))


@pytest.fixture(scope="module")
def checkpoint(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("weights") / "drn.safetensors"
    save_file(state, file)
    return file


def test_the_bundle_predicts_as_the_network_does(checkpoint: Path, state: dict[str, Tensor], tmp_path: Path) -> None:
    convert_weights(checkpoint, "fyu/drn", tmp_path / "drn", licence="BSD-3-Clause")
    image = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    predicted = perpixel.load(tmp_path / "drn", device="cpu").predict(image)
    mean, std = torch.tensor([0.29010095, 0.32808144, 0.28696394]), torch.tensor([0.18295405, 0.18656561, 0.18447509])
    pixels = (torch.from_numpy(image).float() / 255 - mean) / std  # info.json of fyu/drn, datasets/cityscapes
    with torch.no_grad():
        logits = perpixel.port("fyu/drn", state)(pixels.permute(2, 0, 1)[None])["logits"][0]
    np.testing.assert_allclose(predicted.probabilities, logits.softmax(0), atol=1e-4)
    info = read_info(tmp_path / "drn")
    assert info.classes.names[:3] == ("road", "sidewalk", "building")
    assert info.training["ported_from"] == "fyu/drn"
    assert info.data["licence"] == "BSD-3-Clause"


def test_bgr_networks_see_blue_first() -> None:
    image = np.zeros((1, 1, 3), np.uint8)
    image[..., 0] = 255  # red
    mean = (104.00699 / 255, 116.66877 / 255, 122.67892 / 255)  # blue, green, red
    found = Preprocessing(3, mean, (1 / 255,) * 3, bgr=True)(image)
    expected = [-104.00699, -116.66877, 255 - 122.67892]
    np.testing.assert_allclose(found.flatten(), expected, atol=1e-4)
    with pytest.raises(UserError, match="only images of 3 channels can be taken as BGR, got 1"):
        Preprocessing(1, (0.5,), (0.5,), bgr=True)


def test_pickles_are_read_only_with_leave(state: dict[str, Tensor], tmp_path: Path) -> None:
    file = tmp_path / "drn.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, file)
    with pytest.raises(UserError, match=r"drn.pth: a pickle, which can run code while it is read.*--unsafe-pickle"):
        convert_weights(file, "fyu/drn", tmp_path / "drn")
    assert not (tmp_path / "drn").exists()
    convert_weights(file, "fyu/drn", tmp_path / "drn", unsafe_pickle=True)
    assert (tmp_path / "drn" / "model.safetensors").is_file()


def test_other_numbers_of_classes_get_a_fresh_head(checkpoint: Path, tmp_path: Path) -> None:
    ported, taxonomy = convert_weights(checkpoint, "fyu/drn", tmp_path / "drn", classes="sea, land", num_classes=2)
    assert ported.fresh_head
    assert taxonomy.names == ("sea", "land")
    assert read_info(tmp_path / "drn").training["fresh_head"] is True


def test_nothing_is_downloaded_that_the_file_replaces(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def building(name: str, k: int, channels: int, **options: Any) -> nn.Module:
        asked.append(options.pop("pretrained"))
        return build(name, k, channels, **options)

    monkeypatch.setattr("perpixel.models.ports.build", building)
    convert_weights(checkpoint, "fyu/drn", tmp_path / "drn", options={"pretrained": True})
    port("fyu/drn", read_checkpoint(checkpoint, False), options={"pretrained": True})
    assert asked == [False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"source": "fyu/dnr"}, 'There is no source "fyu/dnr". Did you mean "fyu/drn"?'),
        ({"network": "fcn8s"}, 'fyu/drn has no weights for "fcn8s"'),
        ({"classes": "cityscape"}, '"cityscape" is no known taxonomy'),
        ({"classes": "voc"}, "the network has 19 classes, voc has 21"),
        ({"classes": "a,b"}, "the network has 19 classes, the list has 2"),
        ({"options": {"depth": 3}}, 'drn_d_22 has no option "depth"'),
    ],
)
def test_what_cannot_be_done_says_why(checkpoint: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    given = {"source": "fyu/drn"} | arguments
    with pytest.raises(UserError) as error:
        convert_weights(checkpoint, out=tmp_path / "out", **given)
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02}q\x00.", b"PK\x03\x04nothing", b"hello"])
def test_files_that_are_no_weights_are_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "strange.pth"
    file.write_bytes(content)
    with pytest.raises(UserError) as error:
        convert_weights(file, "fyu/drn", tmp_path / "out", unsafe_pickle=True)
    assert "\n" not in str(error.value)


def test_whole_modules_are_taken_too(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(UserError, match="this is no state dict of fyu/drn"):
        convert_weights(tmp_path / "module.pt", "fyu/drn", tmp_path / "out", unsafe_pickle=True)
