"""The network of a bundle: the same as one built and filled the long way, and never larger than its weights."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from perpixel.bundle import BundleInfo, load_bundle, save_bundle
from perpixel.bundle.network import build_empty
from perpixel.core.errors import UserError
from perpixel.models import build

SMALL: dict[str, dict[str, Any]] = {
    "enet": {},
    "fast_scnn": {},
    "unet": {"width": 2, "padding": "same"},
    "segformer": {"variant": "b0"},
    "drn_c_26": {},
    "hrnet_w18_small_v1": {},
    "bayesian_segnet_basic": {"width": 8},
}


@pytest.mark.parametrize("large", [0, 2**40], ids=["by meta", "in memory"])
@pytest.mark.parametrize("name", SMALL)
def test_bit_equal_to_a_network_filled_by_hand(
    tmp_path: Path, info: BundleInfo, monkeypatch: pytest.MonkeyPatch, name: str, large: int
) -> None:
    monkeypatch.setattr("perpixel.bundle.network._LARGE", large)
    torch.manual_seed(0)
    model = build(name, num_classes=3, **SMALL[name]).eval()
    save_bundle(tmp_path, model, info.model_copy(update={"network": name, "options": SMALL[name]}))
    loaded, read = load_bundle(tmp_path)
    image = torch.randn(1, 3, 65, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(image)["logits"], model(image)["logits"])
    assert [p.requires_grad for p in loaded.parameters()] == [p.requires_grad for p in model.parameters()]
    assert all(p.is_meta for p in build_empty(read).parameters())
    optimiser = torch.optim.SGD(loaded.parameters(), 0.1)
    loaded.train()(image.expand(2, -1, -1, -1))["logits"].mean().backward()
    optimiser.step()  # the weights are nobody else's memory


def test_half_precision_weights_become_the_networks_own_type(tmp_path: Path, info: BundleInfo) -> None:
    model = build("unet", num_classes=3, width=2, padding="same")
    save_bundle(tmp_path, model.half(), info)
    loaded, _ = load_bundle(tmp_path)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.state_dict()["score.weight"], model.state_dict()["score.weight"].float())


class Positions(nn.Module):
    """Holds a tensor that no file holds, and looks at a value when it is built, which torch's "meta" cannot."""

    def __init__(self, num_classes: int, in_channels: int, look: bool = False, kept: int = 5) -> None:
        super().__init__()
        self.score = nn.Conv2d(in_channels, num_classes, 1)
        self.register_buffer("places", torch.arange(kept) * 2, persistent=False)
        self.first = int(self.places[1].item()) if look else 2

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"logits": self.score(image) + self.places.sum() + self.first}


@pytest.mark.parametrize("look", [False, True])
def test_what_the_constructor_makes_is_made(
    tmp_path: Path, info: BundleInfo, monkeypatch: pytest.MonkeyPatch, look: bool
) -> None:
    monkeypatch.setattr("perpixel.bundle.network._LARGE", 0)
    monkeypatch.setattr("perpixel.bundle.network.build", lambda _, **options: Positions(**options))
    model = Positions(3, 3, look)
    save_bundle(tmp_path, model, info.model_copy(update={"options": {"look": look}}))
    loaded, _ = load_bundle(tmp_path)
    image = torch.randn(1, 3, 4, 4)
    assert torch.equal(loaded(image)["logits"], model(image)["logits"])


HOSTILE: list[dict[str, Any]] = [
    {"options": {"width": 10_000, "padding": "same"}},
    {"options": {"width": 10**12, "padding": "same"}},
    {"network": "deconvnet", "options": {}},
    {"network": "decouplednet", "options": {"width": 4096, "window": 4096}},
    {"network": "segformer", "options": {"variant": "b5"}},
    {"network": "hrnet_w48", "options": {}},
]


def test_a_description_of_a_giant_takes_no_memory(bundle: Path) -> None:
    """Loaded in a process of its own, whose peak says what was taken beyond torch itself."""
    code = (
        "import json, resource, sys\nfrom pathlib import Path\nfrom perpixel.bundle import load_bundle\n"
        "from perpixel.core.errors import UserError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "folder = Path(sys.argv[1])\ndescription = json.loads((folder / 'model.json').read_text())\n"
        "load_bundle(folder)\nbefore = peak()\n"
        "for changes in json.loads(sys.argv[2]):\n"
        "    (folder / 'model.json').write_text(json.dumps(description | changes))\n"
        "    try: load_bundle(folder)\n"
        "    except UserError as error: print(peak() - before, str(error).count(chr(10)), len(str(error)) < 500)\n"
    )
    arguments = [sys.executable, "-c", code, str(bundle), json.dumps(HOSTILE)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    said = [line.split() for line in done.stdout.splitlines()]
    assert len(said) == len(HOSTILE), done.stderr
    assert [more for mb, *more in said if int(mb) > 300] == [], said  # MB
    assert {tuple(more) for _, *more in said} == {("0", "True")}


def test_a_constructor_that_never_ends_is_stopped(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Endless(nn.Module):
        def __init__(self, **_: Any) -> None:
            super().__init__()
            for i in range(10**6):
                made.append(i)
                setattr(self, f"part{i}", nn.Identity())

    monkeypatch.setattr("perpixel.bundle.network.build", lambda _, **options: Endless(**options))
    with pytest.raises(UserError, match=r"not the weights of unet .* far larger"):
        load_bundle(bundle)
    assert len(made) < 10_000
    nn.Sequential(*(nn.Identity() for _ in range(20_000)))  # afterwards everything may be built again
