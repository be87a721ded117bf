"""Bundles written when a network had another name still load."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import perpixel


@pytest.mark.parametrize(
    ("former", "today", "options"),
    [("fcn", "fcn_resnet", {"width": 4}), ("dilated_resnet", "drn_timm", {"encoder": "resnet18"})],
)
def test_a_bundle_of_a_former_name_answers_as_the_network_of_today(
    former: str, today: str, options: dict, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = perpixel.build(today, 2, **options).eval()
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    description = {
        "format": "perpixel bundle 1",
        "network": former,
        "options": options,
        "taxonomy": perpixel.Taxonomy.of(["sea", "land"]).to_dict(),
        "channels": 3,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "sha256": hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest(),
    }
    (tmp_path / "model.json").write_text(json.dumps(description))
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    found = perpixel.load(tmp_path, device="cpu").predict(image).probabilities
    with torch.no_grad():
        expected = model(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)["logits"].softmax(1)[0]
    np.testing.assert_allclose(found, expected, atol=1e-3)
