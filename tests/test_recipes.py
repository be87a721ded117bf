"""The papers' trainings are recipes, and every recipe can be followed: its network, loss, optimiser and commands."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.main import get_command

from perpixel import detection
from perpixel.cli import app
from perpixel.cli.train import assignments
from perpixel.core.networks import is_detector
from perpixel.losses import build_loss, class_weights
from perpixel.models import MODELS, build
from perpixel.models.catalog import model_options, without_download
from perpixel.models.ports import SOURCES
from perpixel.train import Recipe, load_recipe
from perpixel.train.optimise import learning_rate, make_optimiser

ROOT = Path(__file__).resolve().parents[1]
RECIPES = {f.stem: load_recipe(f) for f in sorted(ROOT.glob("recipes/*.yaml"))}
NAMES = sorted(RECIPES)
FAMILIES = """
    bayesian_segnet camvid_realtime camvid_realtime_fine deconvnet decouplednet deeplabv3 deeplabv3plus
    deformable_deeplab deformable_rfcn dilated_frontend dilation8 drn_c_26 drn_d_105 drn_d_22 encnet enet enet_encoder
    erfnet erfnet_encoder fast_rcnn_vgg16 fast_scnn fast_scnn_camvid fast_scnn_camvid_fine fcn16s fcn32s fcn8s
    fcn8s_at_once fcn_resnet fpn fpn_detector hrnet_w18 hrnet_w48 hrnet_w48_ohem parsenet pspnet rfcn segformer segnet
    segnet_basic unet
""".split()


def header(name: str) -> str:
    text = (ROOT / f"recipes/{name}.yaml").read_text(encoding="utf-8")
    return text[: re.search(r"^[^#]", text, re.MULTILINE).start()]  # type: ignore[union-attr]


def commands(name: str) -> list[str]:
    """The command lines in a recipe's header."""
    return re.findall(r"\b(perpixel (?:train|convert) .+)", header(name))


def classes_of(recipe: Recipe) -> int:
    rule = recipe.loss.class_weights
    return 7 if isinstance(rule, str) else len(rule)


def network(recipe: Recipe, num_classes: int) -> nn.Module:
    make = detection.build if is_detector(recipe.model.name) else build
    with torch.device("meta"):
        return make(recipe.model.name, num_classes=num_classes, **without_download(recipe.model.options))


def test_no_recipe_is_lost() -> None:
    assert set(FAMILIES) <= set(NAMES)
    assert len(FAMILIES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_everything_that_it_names_can_be_built(name: str) -> None:
    recipe = RECIPES[name]
    count = classes_of(recipe)
    options = detection.detector_options if is_detector(recipe.model.name) else model_options
    assert set(recipe.model.options) <= set(options(recipe.model.name))
    assert is_detector(recipe.model.name) == (recipe.detection is not None)
    if recipe.detection is not None:
        detection.detection_loss(recipe.model.name, network(recipe, count), **recipe.detection.loss)
    rule = recipe.loss.class_weights
    weights = class_weights(
        rule if isinstance(rule, str) else list(rule), range(1, count + 1), [50] * count, recipe.loss.enet_constant
    )
    loss = build_loss(recipe.loss.terms, weights, recipe.loss.aux_weight, recipe.loss.presence_weight)
    target = torch.arange(count).repeat(1, 4, 1)
    assert loss({"logits": torch.zeros(1, count, 4, count)}, target)["loss"].isfinite()
    make_optimiser(network(recipe, count), recipe.optimiser)
    assert sum(x is not None for x in (recipe.steps, recipe.epochs, recipe.minutes)) == 1
    assert recipe.data.path == ""
    assert recipe.init is None


@pytest.mark.parametrize("name", NAMES)
def test_a_header_says_what_a_reader_needs(name: str) -> None:
    text = header(name)
    assert text.startswith(f"# {name}: ")
    for part in ("Command:", "Published:", "Ours:"):
        assert f"\n# {part}" in text, part
    published = " ".join(text.partition("Published:")[2].partition("Ours:")[0].replace("#", " ").split())
    known = ("confirmed in the authors' code", "cross-checked", "as recalled", "none")
    assert any(word in published for word in known), published
    assert all(len(line) <= 160 for line in text.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_its_commands_exist(name: str) -> None:
    verbs: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    lines = commands(name)
    assert any(f"--recipe recipes/{name}.yaml" in line for line in lines)
    for line in lines:
        words = shlex.split(line)
        given = dict(pairwise(words))
        if words[1] == "convert":
            verbs["convert"].commands[words[2]].make_context(words[2], [str(ROOT / "README.md"), *words[4:]])
            assert given["--from"] in SOURCES
            assert given.get("--network", "unet") in MODELS
            continue
        verbs["train"].make_context("train", words[2:])
        followed = RECIPES[Path(given["--recipe"]).stem]
        settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
        followed.changed({**assignments(settings), **({"model.name": given["--model"]} if "--model" in given else {})})


def test_what_a_header_starts_from_is_made_by_a_line_above() -> None:
    """Every --from in a training's command is the --out of an earlier command, of this header or of another."""
    made = {
        given["--out"]
        for name in NAMES
        for line in commands(name)
        if "--out" in (given := dict(pairwise(line.split())))
    }
    wanted = {
        given["--from"]
        for name in NAMES
        for line in commands(name)
        if line.startswith("perpixel train") and "--from" in (given := dict(pairwise(line.split())))
    }
    assert len(wanted) >= 10
    assert wanted - made == set()


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ("enet_encoder", "enet", {"encoder_score.weight", "encoder_score.bias"}),
        ("erfnet_encoder", "erfnet", {"encoder_score.weight", "encoder_score.bias"}),
        ("fcn32s", "fcn16s", {"upscore.weight"}),
        ("fcn16s", "fcn8s", {"upscore.weight"}),
        ("dilated_frontend", "dilation8", set()),
    ],
)
def test_stages_hand_their_weights_over(first: str, second: str, left: set[str]) -> None:
    given, own = network(RECIPES[first], 5).state_dict(), network(RECIPES[second], 5).state_dict()
    assert {k for k, v in given.items() if k not in own or own[k].shape != v.shape} == left


def test_schedules_by_hand() -> None:
    def rate(name: str, share: float) -> float:
        return learning_rate(round(share * 10_000), 10_000, RECIPES[name].optimiser)

    assert rate("drn_c_26", 99 / 250) == pytest.approx(0.01)
    assert rate("drn_c_26", 101 / 250) == pytest.approx(0.001)
    assert rate("drn_c_26", 201 / 250) == pytest.approx(0.0001)
    assert rate("enet", 150 / 300) == pytest.approx(5e-5)
    assert rate("pspnet", 0.5) == pytest.approx(0.01 * 0.5**0.9)
    assert rate("fcn8s", 0.9) == 1e-14
    assert rate("fpn", 50_000 / 65_000) == pytest.approx(1e-3)
