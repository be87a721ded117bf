"""Where training starts from: what fits is taken, what does not is named, and nothing fitting is refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from perpixel.bundle import BundleInfo, Preprocessing, load_bundle, read_info, save_bundle
from perpixel.core.errors import UserError
from perpixel.data.statistics import ImageStatistics
from perpixel.labels import Taxonomy
from perpixel.models import build
from perpixel.train import Recipe, load_recipe, resume, train
from perpixel.train.initial import expected_pixels, start_from
from perpixel.train.setup import set_up


class Lines:
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, *_: Any) -> None:
        pass


def bundle(folder: Path, name: str, num_classes: int = 3, **options: Any) -> tuple[Path, nn.Module]:
    model = build(name, num_classes=num_classes, **options)
    info = BundleInfo(
        network=name,
        options=options,
        taxonomy=Taxonomy.of([f"c{i}" for i in range(num_classes)]).to_dict(),
        channels=3,
        mean=(0.5,) * 3,
        std=(0.2,) * 3,
    )
    return save_bundle(folder, model, info), model


def test_a_decoder_joins_its_encoder(tmp_path: Path) -> None:
    """ENet's two stages: every weight of the encoder, none of its scores, and a fresh decoder."""
    source, first = bundle(tmp_path / "a", "enet", encoder_only=True)
    second = build("enet", num_classes=3)
    fresh = {k: v.clone() for k, v in second.state_dict().items()}
    line = start_from(second, source)
    for k, v in second.state_dict().items():
        assert torch.equal(v, first.state_dict()[k] if k.startswith("encoder.") else fresh[k]), k
    count = len(first.state_dict())
    assert f"{count - 2} of its {count} tensors; not taken: encoder_score.bias, encoder_score.weight;" in line
    decoder = [k for k in fresh if k.startswith("decoder.")]
    assert f"fresh here: {', '.join(decoder[:4])} and {len(decoder) - 4} more" in line


def test_other_classes_keep_all_but_the_last_layer(tmp_path: Path) -> None:
    source, _ = bundle(tmp_path / "a", "fast_scnn", num_classes=3)
    line = start_from(build("fast_scnn", num_classes=5), source)
    assert line.count("weight") + line.count("bias") == 4  # of one layer, not taken and fresh
    assert "more" not in line


def test_finer_fcns_start_from_coarser_ones(tmp_path: Path) -> None:
    source, coarse = bundle(tmp_path / "a", "fcn32s", width=2)
    fine = build("fcn16s", num_classes=3, width=2)
    line = start_from(fine, source)
    assert torch.equal(fine.state_dict()["fc6.weight"], coarse.state_dict()["fc6.weight"])
    assert "not taken: upscore.weight;" in line


def test_the_same_network_is_taken_whole(tmp_path: Path) -> None:
    source, first = bundle(tmp_path / "a", "fast_scnn")
    second = build("fast_scnn", num_classes=3)
    line = start_from(second, source)
    count = len(first.state_dict())
    assert line == f"init      {source}: {count} of its {count} tensors"
    assert all(torch.equal(v, first.state_dict()[k]) for k, v in second.state_dict().items())


def test_nothing_that_fits_is_refused(tmp_path: Path) -> None:
    source, _ = bundle(tmp_path / "a", "fast_scnn")
    with pytest.raises(UserError, match="no weight of its fast_scnn has the name and shape"):
        start_from(build("unet", num_classes=3, width=4), source)
    with pytest.raises(UserError, match="give a bundle or run folder"):
        start_from(build("fast_scnn", num_classes=3), tmp_path / "none")


def test_a_run_starts_from_another_and_resumes_without_it(tiny: Recipe, whole: Path, tmp_path: Path) -> None:
    """One step with a rate of next to nothing leaves the weights where they came from."""
    first = tmp_path / "first"
    shutil.copytree(whole, first)
    still = {"optimiser.lr": 1e-12, "optimiser.ema": None, "steps": 1, "accumulate": 1, "seed": 5, "init": str(first)}
    lines = Lines()
    train(tiny.changed(still), tmp_path / "second", lines)
    told = [line for line in lines.lines if line.startswith("init ")]
    assert len(told) == 1 and "not taken" not in told[0]
    before, after = load_bundle(first)[0].state_dict(), load_bundle(tmp_path / "second")[0].state_dict()
    for k, v in dict(load_bundle(first)[0].named_parameters()).items():
        torch.testing.assert_close(after[k], v.detach(), atol=1e-9, rtol=0)
        assert k in before
    assert load_recipe(tmp_path / "second/recipe.yaml").init == str(first)
    shutil.rmtree(first)
    assert resume(tmp_path / "second").steps == 1


def test_a_wrong_path_is_told_before_the_data_is_read(tiny: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give a bundle or run folder"):
        train(tiny.changed({"init": str(tmp_path / "none"), "data.path": str(tmp_path / "nowhere")}), tmp_path / "run")


def test_pixels_are_as_the_first_weights_expect_them(tiny: Recipe, tmp_path: Path) -> None:
    mean, std = (104.00699 / 255, 116.66877 / 255, 122.67892 / 255), (1 / 255,) * 3
    first, _ = bundle(tmp_path / "bgr", "fast_scnn", num_classes=8, dropout=0.3)
    save_bundle(
        first,
        load_bundle(first)[0],
        read_info(first).model_copy(update={"preprocessing": Preprocessing(3, mean, std, bgr=True)}),
    )
    plan = set_up(tiny.changed({"init": str(first)}))
    assert plan.preprocessing.bgr and plan.preprocessing.mean == mean and plan.preprocessing.std == std
    assert plan.bundle_info({}, {}).preprocessing.bgr
    again = set_up(load_recipe_of(plan.recipe, tmp_path))
    assert again.preprocessing == plan.preprocessing
    other = set_up(tiny.changed({"init": str(first), "data.mean": [0.5] * 3, "data.std": [0.5] * 3}))
    assert not other.preprocessing.bgr


def load_recipe_of(recipe: Recipe, folder: Path) -> Recipe:
    recipe.save(folder / "recipe.yaml")
    return load_recipe(folder / "recipe.yaml")


def test_classes_in_another_order_are_said(tmp_path: Path) -> None:
    first = build("fast_scnn", num_classes=3)
    old, new = Taxonomy.of(["ground", "tree", "house"]), Taxonomy.of(["ground", "house", "tree"])
    pixels = Preprocessing(3, (0.5,) * 3, (0.2,) * 3)
    info = BundleInfo(network="fast_scnn", options={}, taxonomy=old.to_dict(), preprocessing=pixels)
    source = save_bundle(tmp_path / "bundle", first, info)
    said = "; the order of the classes was ground, tree, house and is ground, house, tree: what it knew of each class is taken"
    assert said in start_from(build("fast_scnn", num_classes=3), source, new)
    assert "the order of" not in start_from(build("fast_scnn", num_classes=3), source, old)
    four = Taxonomy.of(["ground", "house", "tree", "car"])
    assert "the order of" not in start_from(build("fast_scnn", num_classes=4), source, four), "its last layer is fresh"


@pytest.mark.parametrize(
    ("channels", "dtype", "pretrained", "taken"),
    [
        (3, "uint8", "auto", True),
        (3, "uint8", "no", False),
        (3, "uint16", "auto", False),
        (7, "uint8", "auto", False),
    ],
)
def test_pretrained_weights_say_mean_and_deviation(channels: int, dtype: str, pretrained: str, taken: bool) -> None:
    """EfficientNet-Lite's are 0.5 (its authors' preprocessing), for the three bands of 8 bit that it knows."""
    found = ImageStatistics(channels, (0.3,) * channels, (0.1,) * channels, (8, 8), dtype)
    options = {"encoder": "tf_efficientnet_lite0", "pretrained": pretrained}
    mean, std, bgr = expected_pixels(None, "fpn", found, options)
    assert (mean, std, bgr) == (((0.5,) * 3, (0.5,) * 3, False) if taken else (found.mean, found.std, False))
