"""Recipes: what is written is read back, and what is wrong is named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from perpixel.core.errors import UserError
from perpixel.core.networks import is_detector
from perpixel.models import MODELS, build
from perpixel.train import Recipe, default_recipe, load_recipe
from perpixel.train.recipe import MODEL_DEFAULTS

ROOT = Path(__file__).resolve().parents[2]


def test_round_trip(tmp_path: Path) -> None:
    recipe = Recipe().changed(
        {
            "model.name": "unet",
            "model.options": {"width": 8, "padding": "same"},
            "data.crop": [64, 96],
            "data.scale": [1, 1],
            "data.mean": [0.1, 0.2, 0.3],
            "loss.terms": [{"name": "cross_entropy"}, {"name": "dice", "weight": 0.5}],
            "loss.class_weights": [1.0, 2.0],
            "loss.border_weights": [10, 5],
            "optimiser.ema": None,
            "optimiser.clip_norm": None,
            "minutes": 0.5,
            "trackers": ["tensorboard"],
        }
    )
    recipe.save(tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == recipe
    assert yaml.safe_load((tmp_path / "r.yaml").read_text())["data"]["crop"] == [64, 96]
    assert recipe.data.crop == (64, 96)
    assert recipe.optimiser.ema is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("learning_rate: 1", "learning_rate"),
        ("batchsize: 4", 'Did you mean "batch_size"'),
        ("optimiser: {lrr: 1}", 'Did you mean "optimiser.lr"'),
        ("optimizer: {lr: 1}", 'Did you mean "optimiser"'),
        ("data: {crop: 64}", "data.crop"),
        ("data: {crop: [64, 0]}", "data.crop"),
        ("data: {scale: [2, 1]}", "least, most"),
        ("epochs: 0", "epochs"),
        ("epochs: -1", "epochs"),
        ("epochs: many", "epochs"),
        ("batch_size: 0", "batch_size"),
        ("batch_size: 2.5", "batch_size"),
        ("optimiser: {lr: .nan}", "optimiser.lr"),
        ("optimiser: {lr: 0}", "optimiser.lr"),
        ("optimiser: {name: lion}", "adamw"),
        ("optimiser: {schedule: stairs}", "cosine"),
        ("optimiser: {schedule: step}", "milestones"),
        ("optimiser: {schedule: step, milestones: [2]}", "between 0 and 1"),
        ("precision: int8", "bf16"),
        ("epochs: 3\nminutes: 2", "epochs and minutes"),
        ("steps: 3\nminutes: 2\nepochs: 1", "epochs and minutes and steps"),
        ("[1, 2]", "dictionary"),
        ("just words", "dictionary"),
        ("a: [", "not valid YAML"),
        ("model: {name: fast\x00_scnn}", "NUL"),
    ],
)
def test_wrong_recipes_are_one_line(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(content)
    with pytest.raises(UserError) as caught:
        load_recipe(file)
    assert said in str(caught.value), caught.value
    assert "wrong.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


SLIPS = [
    ("minutes: .inf", "minutes"),
    ("minutes: .nan", "minutes"),
    ("minutes: 1e-30", "minutes"),
    ("epochs: .inf", "epochs"),
    ("epochs: 1e-300", "epochs"),
    ("epochs: 1e300", "epochs"),
    ("steps: 10000000000", "steps"),
    ("evaluate_every: .inf", "evaluate_every"),
    ("evaluate_every: 1e-300", "evaluate_every"),
    ("checkpoint_minutes: .inf", "checkpoint_minutes"),
    ("data: {predict_scale: .inf}", "data.predict_scale"),
    ("data: {predict_scale: 1e-9}", "data.predict_scale"),
    ("data: {scale: [1e-300, 1]}", "data.scale"),
    ("data: {scale: [1, .inf]}", "data.scale"),
    ("data: {short_side: 1000000000}", "data.short_side"),
    ("data: {crop: [64, 1000000]}", "data.crop"),
    ("data: {elastic: .inf}", "data.elastic"),
    ("data: {workers: 100000}", "data.workers"),
    ("data: {mean: [.nan, 0, 0]}", "data.mean"),
    ("data: {std: [-1, 1, 1]}", "data.std"),
    ("data: {std: [0, 1, 1]}", "data.std"),
    ('data: {path: "a\\0b"}', "data.path"),
    ("data: {path: " + "a" * 5000 + "}", "data.path"),
    ('init: "a\\0b"', "init"),
    ("model: {options: {num_classes: 3}}", "model.options"),
    ("model: {options: {in_channels: 3}}", "model.options"),
    ("loss: {class_weights: [.inf, 1]}", "loss.class_weights"),
    ("loss: {class_weights: [-1, 1]}", "loss.class_weights"),
    ("loss: {border_weights: [10, 0]}", "loss.border_weights"),
    ("loss: {border_weights: [.inf, 5]}", "loss.border_weights"),
    ("loss: {enet_constant: .inf}", "loss.enet_constant"),
    ("loss: {aux_weight: .inf}", "loss.aux_weight"),
    ("loss: {logit_adjustment: .nan}", "loss.logit_adjustment"),
    ("optimiser: {lr: .inf}", "optimiser.lr"),
    ("optimiser: {weight_decay: .inf}", "optimiser.weight_decay"),
    ("optimiser: {head_lr: .inf}", "optimiser.head_lr"),
    ("optimiser: {power: .inf}", "optimiser.power"),
    ("optimiser: {clip_norm: .inf}", "optimiser.clip_norm"),
    ("optimiser: {schedule: step, milestones: [.nan]}", "optimiser"),
    ("batch_size: 10000000000", "batch_size"),
    ("accumulate: 10000000000", "accumulate"),
    ("seed: 18446744073709551616", "seed"),
    ("seed: " + "9" * 5000, "5,000 digits"),
    ("epochs: 2020-13-45", "epochs"),
    ("seed: 2020-01-01", "seed"),
    ("a: &x [*x]", "refers to what it is a part of"),
    ("a: " + "[" * 2000 + "]" * 2000, "deep"),
    (
        "a: &a [x, x, x, x]\n"
        + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}x]\n" for i in range(1, 9)).replace("*a0", "*a"),
        "entries",
    ),
    ("decoupled: {classifier_optimiser: {lr: 0}}", "decoupled.classifier_optimiser.lr"),
    ("decoupled: {masks_per_class: 0}", "decoupled.masks_per_class"),
]


@pytest.mark.parametrize(("content", "said"), SLIPS, ids=range(len(SLIPS)))
def test_what_nobody_can_mean_is_one_line(tmp_path: Path, content: str, said: str) -> None:
    """Infinities, tiny and huge numbers, what no file system takes, and YAML that is a trap."""
    test_wrong_recipes_are_one_line(tmp_path, content, said)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x9d")
    for file, said in (
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "no such file"),
        (tmp_path / "binary.yaml", "byte"),
    ):
        with pytest.raises(UserError, match=said):
            load_recipe(file)


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert load_recipe(tmp_path / "empty.yaml") == Recipe()


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("optimiser.lr", "1e-2", 0.01),  # YAML reads 1e-2 as words
        ("optimiser.lr", 1, 1.0),
        ("batch_size", 4, 4),
        ("compile", True, True),
        ("optimiser.ema", None, None),
        ("loss.class_weights", "none", "none"),
        ("loss.class_weights", [1, 2.5], (1.0, 2.5)),
        ("data.crop", [32, 64], (32, 64)),
        ("model.options.width", 16, 16),
        ("data.workers", 3, 3),
    ],
)
def test_changes_have_the_types_of_a_file(key: str, value: Any, read: Any) -> None:
    place: Any = Recipe().changed({key: value})
    for part in key.split("."):
        place = place[part] if isinstance(place, dict) else getattr(place, part)
    assert place == read
    assert type(place) is type(read)


def test_changes_leave_the_original() -> None:
    recipe = Recipe(epochs=5)
    assert recipe.changed({"model.options.width": 16, "batch_size": 3}).batch_size == 3
    assert recipe == Recipe(epochs=5)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("optimizer.lr", 'Did you mean "optimiser"'),
        ("optimiser.lrr", 'Did you mean "optimiser.lr"'),
        ("optimiser.lr.x", "optimiser.lr.x"),
        ("batchsize", 'Did you mean "batch_size"'),
        ("", "recipe"),
    ],
)
def test_changes_of_unknown_keys(key: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe().changed({key: 1})
    assert said in str(caught.value)


def test_a_new_length_replaces_the_old_one() -> None:
    assert Recipe(epochs=5).changed({"minutes": 2}) == Recipe(minutes=2)
    assert Recipe(minutes=5).changed({"epochs": 2}) == Recipe(epochs=2)
    assert Recipe(epochs=5).changed({"steps": 2}) == Recipe(steps=2)
    with pytest.raises(UserError, match="epochs and minutes"):
        Recipe().changed({"minutes": 2, "epochs": 3})


def test_every_network_has_a_default_recipe_that_builds() -> None:
    assert set(MODEL_DEFAULTS) <= set(MODELS)
    for name in MODELS:
        recipe = default_recipe(name)
        assert recipe.model.name == name
        assert recipe.optimiser.lr == MODEL_DEFAULTS.get(name, {}).get("optimiser.lr", 1e-3)
    for name in ("unet", "fast_scnn"):
        build(name, num_classes=2, **default_recipe(name).model.options)


def test_the_recipes_that_come_along() -> None:
    files = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert len(files) >= 1
    for file in files:
        recipe = load_recipe(file)
        assert recipe.model.name in MODELS or is_detector(recipe.model.name)
        assert recipe.data.path == ""
        assert file.read_text().startswith("#")  # what it is, the command, the result


def test_what_is_given_stays_as_it_was() -> None:
    """A key that reaches into a group given before it changes the recipe, not the caller's group."""
    group = {"lr": 0.5}
    recipe = Recipe().changed({"optimiser": group, "optimiser.power": 2.0})
    assert (recipe.optimiser.lr, recipe.optimiser.power) == (0.5, 2.0)
    assert group == {"lr": 0.5}
