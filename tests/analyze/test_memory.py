"""Memory by hand, against what was read off real tensors (benchmarks/unpooling.md), and against the allocator."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import inference_memory, training_memory
from perpixel.core.errors import UserError
from perpixel.models import build

ROOT = Path(__file__).resolve().parents[2]


def on_meta(name: str, **options: Any) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=11, **options)


@pytest.mark.parametrize(
    ("line", "name", "options"),
    [
        ("SegNet, positions in 2 bits", "segnet", {}),
        ("SegNet, int64 indices", "segnet", {"packed_indices": False}),
        ("U-Net, feature maps", "unet", {"padding": "same"}),
    ],
)
def test_what_crosses_is_what_was_read_off_tensors(line: str, name: str, options: dict[str, Any]) -> None:
    text = (ROOT / "benchmarks/unpooling.md").read_text(encoding="utf-8")
    found = re.search(rf"\| {line}[^|]*\| ([\d,]+) \|", text)
    assert found is not None
    crossing = inference_memory(on_meta(name, **options), (360, 480)).carried
    assert sum(c.size for c in crossing) == int(found[1].replace(",", ""))
    assert len(crossing) == (4 if name == "unet" else 5)


class TwoBranches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.Conv2d(4, 6, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)  # 4 channels
        z = F.avg_pool2d(y, 2)
        z = F.interpolate(self.b(z), x.shape[2:], mode="nearest")  # 6 channels at a quarter, then whole
        return torch.cat([y, z], dim=1)


def test_inference_by_hand() -> None:
    found = inference_memory(TwoBranches(), (8, 12), batch=2)
    pixel = 4 * 2 * 8 * 12
    assert found.weights == 4 * (4 * 27 + 24)
    assert found.activations == pixel * (3 + 4 + 6 + 10)  # image, y, z and the result
    assert found.peak_at == ""
    (carried,) = found.carried
    assert (carried.module, carried.shape, carried.size) == ("a", (2, 4, 8, 12), 4 * pixel)


def test_training_by_hand() -> None:
    """Kept are the image (for the weights of a), the pooled map (for those of b), and what cross entropy needs."""
    found = training_memory(TwoBranches(), (8, 12), batch=2, optimiser_states=1)
    pixel = 4 * 2 * 8 * 12
    assert found.weights == found.optimiser == 4 * (4 * 27 + 24)
    assert found.kept_by["a"] == 4 * pixel  # read by the pooling's backward pass for its size
    assert (
        found.kept_by[""] >= pixel * (3 + 2 + 10) + 4 * pixel // 4
    )  # image, labels, log-probabilities; the pooled map
    assert found.total == found.weights + found.optimiser + found.activations
    assert found.activations > found.kept
    doubled = training_memory(TwoBranches(), (8, 12), batch=4, optimiser_states=1)
    assert 1.9 * found.kept < doubled.kept <= 2 * found.kept


def allocated(model: nn.Module, image: Tensor, labels: Tensor | None) -> int:
    """The most that PyTorch's allocator held beside what was there, by its profiler."""
    with torch.profiler.profile(profile_memory=True) as seen:
        if labels is None:
            with torch.no_grad():
                model(image)
        else:
            F.cross_entropy(model(image)["logits"], labels).backward()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


@pytest.mark.parametrize("name", ["unet", "segnet", "fast_scnn", "enet"])
def test_within_a_tenth_of_what_is_allocated(name: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"unet": {"width": 8}, "segnet": {"width": 8}}.get(name, {})
    model, image = build(name, num_classes=5, **options), torch.rand(2, 3, 96, 128)
    labels = torch.randint(0, 5, (2, 96, 128))
    found = training_memory(model, (96, 128), batch=2)
    given = image.nbytes + labels.nbytes
    assert allocated(model.train(), image, labels) + given == pytest.approx(found.activations, rel=0.1)
    model.zero_grad(set_to_none=True)
    found_here = inference_memory(model, (96, 128), batch=2)
    assert allocated(model.eval(), image, None) + image.nbytes == pytest.approx(found_here.activations, rel=0.1)


class ByValue(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum().item() > 0 else -x


def test_a_network_that_looks_at_values_is_refused() -> None:
    for wanted in (inference_memory, training_memory):
        with pytest.raises(UserError, match="ByValue cannot run without values"):
            wanted(ByValue(), (8, 8))


def test_the_model_is_left_as_it_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    training_memory(model, (9, 9), batch=2)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training and all(p.grad is None and p.requires_grad for p in model.parameters())
