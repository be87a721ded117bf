"""Memory by hand, against what was read off real tensors (benchmarks/unpooling.md), and against the allocator."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import inference_memory, training_memory
from perpixel.analyze.ledger import OUTSIDE, Workspace
from perpixel.analyze.workspace import on_cpu
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
    assert found.kept_by["a"] == 4 * pixel  # the pooling's backward pass asks for its size
    assert found.kept_by[""] == 4 * pixel // 4  # the pooled map; the result goes when its log-probabilities are there
    assert found.kept_by[OUTSIDE] == pytest.approx((3 + 2 + 10) * pixel, abs=99)  # image, labels, log-probabilities
    assert sum(found.kept_by.values()) == found.kept
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


class Plain(nn.Module):
    """Of operators that take nothing for their own work on any machine."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.dropout = nn.BatchNorm2d(3), nn.Dropout(0.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = F.max_pool2d(self.norm(x).relu_(), 2)
        y = F.interpolate(torch.cat([y, y.tanh(), self.dropout(y)], dim=1), x.shape[2:], mode="bilinear")
        return {"logits": y * x.mean(dim=1, keepdim=True)}


def compare(model: nn.Module, size: tuple[int, int], workspace: Workspace | None, most: float) -> None:
    """Both predictions against the allocator, to a share `most`."""
    torch.manual_seed(0)
    image, labels = torch.rand(2, 3, *size), torch.randint(0, 5, (2, *size))
    training = training_memory(model.train(), size, batch=2, workspace=workspace).activations
    assert allocated(model, image, labels) + image.nbytes + labels.nbytes == pytest.approx(training, rel=most)
    model.zero_grad(set_to_none=True)
    inference = inference_memory(model, size, batch=2, workspace=workspace).activations
    assert allocated(model.eval(), image, None) + image.nbytes == pytest.approx(inference, rel=most)


def test_what_the_allocator_holds() -> None:
    compare(Plain(), (96, 128), None, 0.01)


@pytest.mark.parametrize("name", ["unet", "segnet", "enet"])
def test_what_the_allocator_holds_for_convolutions(name: str) -> None:
    capability = torch.backends.cpu.get_cpu_capability()
    if capability != "AVX512" or not torch.backends.mkldnn.is_available():
        pytest.skip(f"how convolutions work was seen on AVX512 alone; this is {capability}")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        compare(build(name, num_classes=5, **{"enet": {}}.get(name, {"width": 16})), (96, 128), on_cpu, 0.1)
    finally:
        torch.set_num_threads(threads)


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
