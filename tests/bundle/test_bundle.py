"""Bundles come back as they were written, and every damaged one is refused with one line."""

import hashlib
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import perpixel
from perpixel.bundle import BundleInfo, find_bundle, load_bundle, read_info, save_bundle
from perpixel.core.errors import UserError
from perpixel.infer import load
from perpixel.models import build

SOURCES = Path(perpixel.__file__).parent


def edit(bundle: Path, **changes: Any) -> None:
    data = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps(data | changes))


def replace_weights(bundle: Path, content: bytes) -> None:
    """Other weights, with a description that vouches for them."""
    (bundle / "model.safetensors").write_bytes(content)
    edit(bundle, sha256=hashlib.sha256(content).hexdigest())


def refusal(bundle: Path | str) -> str:
    with pytest.raises(UserError) as caught:
        load_bundle(bundle)
    message = str(caught.value)
    assert "\n" not in message, message
    assert len(message) < 500, message
    return message


def test_round_trip(bundle: Path, model: nn.Module, info: BundleInfo) -> None:
    loaded, read = load_bundle(bundle)
    assert read == info.model_copy(update={"sha256": read.sha256})
    assert read.sha256 == hashlib.sha256((bundle / "model.safetensors").read_bytes()).hexdigest()
    assert not loaded.training
    wanted, got = model.state_dict(), loaded.state_dict()
    assert wanted.keys() == got.keys()
    assert len(wanted) == 46  # 18 3x3, 4 up and 1 score convolution, each with weight and bias
    assert all(torch.equal(wanted[k], got[k]) for k in wanted)
    assert read.classes.names == ("road", "sky", "car")
    assert sorted(p.name for p in bundle.iterdir()) == ["model.json", "model.safetensors"]


def test_overwriting_a_bundle_gives_the_new_one(bundle: Path, info: BundleInfo) -> None:
    torch.manual_seed(2)
    other = build("unet", num_classes=3, width=2, padding="same")
    save_bundle(bundle, other, info)
    assert torch.equal(load_bundle(bundle)[0].state_dict()["score.weight"], other.state_dict()["score.weight"])


def test_found_by_folder_run_and_name(bundle: Path, tmp_path: Path) -> None:
    assert find_bundle(bundle) == bundle
    run = tmp_path / "run"
    run.mkdir()
    bundle.rename(run / "best")
    assert find_bundle(run) == run / "best"
    assert load(str(run), device="cpu").taxonomy.names == ("road", "sky", "car")
    message = refusal("streat")
    assert "streat" in message
    assert "bundle" in message
    assert "model.json" in refusal(tmp_path)


def test_a_hundred_flipped_bits_are_all_refused(bundle: Path) -> None:
    file = bundle / "model.safetensors"
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for bit in rng.choice(len(whole) * 8, 100, replace=False).tolist():
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert "SHA-256" in refusal(bundle)
        refused += 1
    assert refused == 100
    file.write_bytes(whole)
    load_bundle(bundle)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 100, -1])
def test_truncated_weights(bundle: Path, length: int) -> None:
    file = bundle / "model.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert "truncated" in refusal(bundle)


def test_missing_parts(bundle: Path) -> None:
    (bundle / "model.safetensors").unlink()
    assert "incomplete" in refusal(bundle)
    (bundle / "model.json").unlink()
    assert "model.json" in refusal(bundle)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe\x00", b"\x89PNG\r\n\x1a\n", b"{}", b'{"format": 1}']
)
def test_garbage_description(bundle: Path, content: bytes) -> None:
    (bundle / "model.json").write_bytes(content)
    assert "model.json" in refusal(bundle)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"surprise": 1}, "surprise"),
        ({"format": "perpixel bundle 2"}, "update perpixel"),
        ({"format": "perpixel bundle 2", "new_key": []}, "update perpixel"),
        ({"network": "unett"}, 'Did you mean "unet"'),
        ({"network": 5}, "network"),
        ({"options": {"wdth": 2}}, 'Did you mean "width"'),
        ({"options": {"width": "two"}}, "width"),
        ({"options": {"num_classes": 4}}, "num_classes"),
        ({"options": {"name": "fpn"}}, "name"),
        ({"options": {"width": 3, "padding": "same"}}, "not the weights of unet"),
        ({"network": "fast_scnn", "options": {}}, "not the weights of fast_scnn"),
        ({"channels": 4, "mean": [0, 0, 0, 0], "std": [1, 1, 1, 1]}, "not the weights"),
        ({"channels": 4}, "4 channels"),
        ({"channels": 0, "mean": [], "std": []}, "channels"),
        ({"mean": [0.1, 0.2]}, "3 channels"),
        ({"std": [0.0, 1.0, 1.0]}, "std"),
        ({"std": ["nan", 1.0, 1.0]}, "std"),
        ({"mean": "abc"}, "mean"),
        ({"short_side": 0}, "short_side"),
        ({"short_side": -3}, "short_side"),
        ({"short_side": 10**9}, "short_side"),
        ({"std": [-1, 1, 1]}, "std"),
        ({"std": [1e-320, 1, 1]}, "std"),
        ({"std": [float("inf"), 1, 1]}, "std"),
        ({"mean": [float("nan"), 0, 0]}, "mean"),
        ({"mean": [1e300, 0, 0]}, "mean"),
        ({"scale": float("inf")}, "scale"),
        ({"scale": 1e-9}, "scale"),
        ({"scale": 0}, "scale"),
        ({"logit_bias": [float("nan"), 0, 0]}, "logit_bias"),
        ({"logit_bias": [float("inf"), 0, 0]}, "logit_bias"),
        ({"logit_bias": [1.0, 2.0]}, "3 classes need as many logit biases or none, got 2"),
        ({"dtype": "int64"}, "uint16"),
        ({"value_range": [1, 0]}, "least, greatest"),
        ({"value_range": [0, float("nan")]}, "value_range"),
        ({"options": {"in_channels": 4}}, "in_channels"),
        ({"taxonomy": {"classes": ["x" * 5000, "sky", "car"]}}, "at most 200"),
        ({"data": {"licence": "x" * 10**6}}, "licence"),
        ({"training": {"x": "y" * 2**24}}, "no bundle's description is so long"),
        ({"taxonomy": {}}, "classes"),
        ({"taxonomy": {"classes": []}}, "classes"),
        ({"taxonomy": {"classes": [{"values": [1]}]}}, "name"),
        ({"taxonomy": {"classes": ["road", "sky"]}}, "not the weights"),
        ({"sha256": ""}, "SHA-256"),
        ({"sha256": "0" * 64}, "SHA-256"),
    ],
)
def test_wrong_description(bundle: Path, changes: dict[str, Any], said: str) -> None:
    edit(bundle, **changes)
    message = refusal(bundle)
    assert said in message, message


def test_a_pickle_by_the_name_of_safetensors(bundle: Path, tmp_path: Path) -> None:
    touched = tmp_path / "unpickled"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (open, (str(touched), "w"))

    for content in (pickle.dumps(Trap()), b"PK\x03\x04" + pickle.dumps(Trap())):
        replace_weights(bundle, content)
        assert "not a safetensors file" in refusal(bundle)
    torch.save({"state": Trap()}, bundle / "model.safetensors")
    replace_weights(bundle, (bundle / "model.safetensors").read_bytes())
    assert "not a safetensors file" in refusal(bundle)
    assert not touched.exists()


def test_other_tensors_with_a_right_hash(bundle: Path, tmp_path: Path) -> None:
    from safetensors.torch import save

    replace_weights(bundle, save({"x": torch.zeros(1)}))
    assert "not the weights of unet" in refusal(bundle)


def test_nothing_in_the_package_unpickles() -> None:
    """Weights of another code are the exception: bundle/convert.py, which asks for --unsafe-pickle first. An encoder's weights in
    a .pth are read by torch's reader of tensors alone, which runs no code."""
    files = [f for f in SOURCES.rglob("*.py") if f.relative_to(SOURCES) != Path("bundle/convert.py")]
    assert len(files) > 50
    loads = re.compile(r"torch\.load\b|\bpickle\b(?!=)|\bunpickle|joblib|allow_pickle=True")
    found = [f"{f.name}: {line.strip()}" for f in files for line in f.read_text().splitlines() if loads.search(line)]
    said = [f for f in found if "import" in f or "torch.load" in f or "pickle.load" in f or "=True" in f]
    tensors_alone = [f for f in said if f.startswith("timm_weights.py: ") and "weights_only=True" in f]
    assert len(tensors_alone) == 1
    assert [f for f in said if f not in tensors_alone] == []


def test_read_info_needs_no_weights(bundle: Path) -> None:
    (bundle / "model.safetensors").unlink()
    assert read_info(bundle).metrics == {"mean_iou": 0.5}


def test_a_bundle_of_a_pretrained_encoder_downloads_nothing(
    tmp_path: Path, info: BundleInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pretrained` says where weights start, not what the network is: loading must not ask for them again."""
    asked = []

    def building(name: str, **options: Any) -> nn.Module:
        asked.append(options.pop("pretrained"))
        return build(name, **options)

    monkeypatch.setattr("perpixel.bundle.network.build", building)
    options = {**info.options, "pretrained": True}
    save_bundle(tmp_path, build("unet", num_classes=3, **info.options), info.model_copy(update={"options": options}))
    assert load_bundle(tmp_path)[1].options == options
    assert asked == [False]
