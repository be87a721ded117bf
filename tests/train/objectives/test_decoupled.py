"""Decoupled training: that each stage trains its own part, and whole runs."""

import csv
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import perpixel
from perpixel.bundle import BundleInfo, Preprocessing, read_info, save_bundle
from perpixel.core.errors import Interrupted, UserError
from perpixel.core.reporter import Silent
from perpixel.models.decouplednet import DecoupledNet
from perpixel.report import write_report
from perpixel.train import Recipe, resume, train
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.objective import Place
from perpixel.train.objectives import decoupled_samples
from perpixel.train.objectives.decoupled import Classes, Masks, Setup
from perpixel.train.objectives.decoupled_job import decoupled_recipe
from perpixel.train.objectives.decoupled_samples import Strong, Weak
from perpixel.train.run import fit

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from coloured_squares import squares

SMALL = {"width": 2, "window": 2, "batch_norm": True}
GREY = Preprocessing(3, (0.5,) * 3, (0.25,) * 3)


def presence(strong: Strong) -> torch.Tensor:
    return torch.stack([decoupled_samples.classes_of(x, 3, 0.0) for x in strong.labels])


def setup(model: DecoupledNet, **changes: object) -> Setup:
    """Of three classes and samples of 40x40, from images in memory."""
    recipe = decoupled_recipe().changed({"data.crop": [40, 40], "batch_size": 3, "steps": 2, **changes})
    classes = perpixel.Taxonomy.of(["ground", "red", "blue"]).to_dict()
    info = BundleInfo(network="decouplednet", taxonomy=classes, preprocessing=GREY)
    return Setup(model, GREY, recipe, info)


@pytest.fixture
def model() -> DecoupledNet:
    torch.manual_seed(0)
    return DecoupledNet(3, width=2, window=2, batch_norm=True)


def changed(model: DecoupledNet, before: dict[str, torch.Tensor]) -> set[str]:
    """The parts of the network in which a parameter or a running average moved."""
    after = model.state_dict()
    return {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}


def copy(model: DecoupledNet) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_each_stage_trains_its_own_part(model: DecoupledNet) -> None:
    strong, s = squares(6), setup(model)
    before = copy(model)
    fit(Classes(s, Weak(strong.images, presence(strong))), s.recipe)
    assert changed(model, before) == {"classifier"}
    before = copy(model)
    fit(Masks(s, strong), s.recipe)
    assert changed(model, before) == {"norm_pool5", "norm_back", "segmentation"}


def test_both_stages_learn_their_task() -> None:
    """Coloured squares: stage 1 tells the colours apart, stage 2 finds the squares of the colour that it is asked for."""
    torch.manual_seed(0)
    model = DecoupledNet(3, width=4, window=2, batch_norm=True)
    strong, told = squares(24), Told()
    quick = {"batch_size": 8, "optimiser.lr": 0.1, "steps": 400}
    s = setup(model, **quick)
    of_classes = s.recipe.changed({"optimiser": {"lr": 3e-3, "ema": None}, "steps": 60})
    fit(Classes(s, Weak(strong.images, presence(strong))), of_classes, told)
    assert len(told.losses) == 60
    assert np.mean(told.losses[-6:]) < 0.6 * np.mean(told.losses[:6])
    fit(Masks(s, strong), s.recipe)
    both = [i for i in range(24) if presence(strong)[i].all()]
    with torch.no_grad():
        seen = model.eval().classify(GREY.normalise(torch.stack([strong.images[i] for i in both])))
        asked = [model.segment(seen, F.one_hot(torch.tensor([c] * len(both)), 2).float()) for c in (0, 1)]
    labels = torch.stack([strong.labels[i] for i in both])
    red, blue = (x.softmax(1)[:, 1] for x in asked)
    assert red[labels == 1].mean() > red[labels == 2].mean() + 0.2
    assert blue[labels == 2].mean() > blue[labels == 1].mean() + 0.2


class Told(Silent):
    """Keeps the loss of every step."""

    def __init__(self, stop_after: int = 0) -> None:
        self.losses: list[float] = []
        self.stop_after = stop_after

    def step(self, done: int, total: int, text: str = "") -> None:
        if text.startswith("loss"):
            self.losses.append(float(text.split()[1]))
        if len(self.losses) == self.stop_after:
            os.kill(os.getpid(), signal.SIGTERM)
            self.stop_after = 0


def test_batches_are_a_function_of_their_number(model: DecoupledNet) -> None:
    """Also of every process's part: two processes see what one sees with twice the batch."""
    strong, one = squares(6), Place(torch.device("cpu"))
    for objective in (Classes(s := setup(model), Weak(strong.images, presence(strong))), Masks(s, strong)):
        whole = list(objective.batches(0, 4, one))
        later = list(objective.batches(2, 4, one))
        assert all(torch.equal(a.image, b.image) for a, b in zip(whole[2:], later, strict=True))
        ranks = [next(objective.batches(1, 2, Place(torch.device("cpu"), rank, 2))) for rank in (0, 1)]
        assert torch.equal(torch.cat([ranks[0].image, ranks[1].image]), torch.cat([whole[2].image, whole[3].image]))
        assert not torch.equal(whole[0].image, whole[1].image)


def test_without_any_class_in_the_masks_there_is_nothing_to_learn(model: DecoupledNet) -> None:
    empty = Strong([torch.zeros(3, 40, 40, dtype=torch.uint8)], [torch.zeros(40, 40, dtype=torch.uint8)])
    with pytest.raises(UserError, match="no mask has a pixel of a class beside the background"):
        Masks(setup(model), empty)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    strong = squares(8)
    for i, (image, labels) in enumerate(zip(strong.images, strong.labels, strict=True)):
        split = "train" if i < 6 else "val"
        for kind, array in (("images", image.permute(1, 2, 0).numpy()), ("masks", labels.numpy())):
            path = tmp_path / "data" / kind / split / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    (tmp_path / "data/dataset.yaml").write_text("classes: [ground, red, blue]\n")
    return tmp_path / "data"


def recipe_for(data: Path, **changes: object) -> Recipe:
    small = {"data.path": str(data), "data.crop": [40, 40], "batch_size": 2, "steps": 3, "model.options": SMALL}
    stages = {"decoupled.masks_per_class": 1, "decoupled.classifier_steps": 2}
    if "minutes" in changes:
        small["steps"] = None
    return decoupled_recipe().changed({**small, **stages, **changes})


@pytest.fixture
def more(data: Path) -> Path:
    """An image of which only the class is known."""
    Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save(data / "photo.png")
    (data / "more.csv").write_text("image,classes\nphoto.png,blue\n")
    return data / "more.csv"


def weights(run: Path) -> bytes:
    return (run / "best/model.safetensors").read_bytes()


def test_a_whole_run_leaves_what_every_run_leaves(data: Path, more: Path, tmp_path: Path) -> None:
    recipe, told = recipe_for(data, **{"decoupled.image_labels": str(more)}), Lines()
    done = train(recipe, tmp_path / "run", told)
    assert done.steps == 5
    assert "7 images with classes, 2 of them with masks" in told.lines[0]
    names = {"recipe.yaml", "environment.json", "history.csv", "last", "previous", "classifier", "best", "data.json"}
    assert {p.name for p in (tmp_path / "run").iterdir()} == names
    with open(tmp_path / "run/history.csv") as file:
        rows = list(csv.DictReader(file))
    stages = ["classes"] * 2 + ["masks"] * 3
    assert [(r["stage"], int(r["step"])) for r in rows] == list(zip(stages, range(1, 6), strict=True))
    predictor = perpixel.load(tmp_path / "run")
    assert predictor.predict(data / "photo.png").labels.shape == (50, 60)
    measured = perpixel.evaluate(predictor, perpixel.open_dataset(data).split("val"))
    assert measured.evaluation.confusion.mean_iou == pytest.approx(done.best, nan_ok=True)
    train(recipe, tmp_path / "again")
    assert weights(tmp_path / "run") == weights(tmp_path / "again")
    page = write_report(tmp_path / "run").read_text()
    assert "training loss, classes" in page and "training loss, masks" in page


@pytest.mark.parametrize("stops", [(1,), (2,), (3,), (1, 3), (2, 4)])
def test_interrupted_and_resumed_it_is_the_same(data: Path, tmp_path: Path, stops: tuple[int, ...]) -> None:
    """In stage 1, at its last step, in stage 2, and in both."""
    recipe = recipe_for(data)
    train(recipe, tmp_path / "whole")
    done = 0
    for stop in stops:
        told = Told(stop - done)
        with pytest.raises(Interrupted):
            resume(tmp_path / "run", told) if done else train(recipe, tmp_path / "run", told)
        done = stop
    assert resume(tmp_path / "run").steps == 5
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
    classifiers = [(tmp_path / run / "classifier/model.safetensors").read_bytes() for run in ("run", "whole")]
    assert classifiers[0] == classifiers[1]
    ours, theirs = (load_checkpoint(tmp_path / run)[0] for run in ("run", "whole"))
    assert ours.tensors.keys() == theirs.tensors.keys()
    assert all(torch.equal(ours.tensors[k], v) for k, v in theirs.tensors.items())
    assert [r["loss"] for r in ours.state["rows"]] == [r["loss"] for r in theirs.state["rows"]]


def test_half_of_the_minutes_for_each_stage(data: Path, tmp_path: Path) -> None:
    recipe = recipe_for(data, **{"decoupled.classifier_steps": None, "minutes": 0.1})
    done = train(recipe, tmp_path / "run")
    rows = load_checkpoint(tmp_path / "run")[0].state["rows"]
    assert {r["stage"] for r in rows} == {"classes", "masks"}
    assert done.steps == rows[-1]["step"] > 2
    assert (tmp_path / "run/best/model.json").is_file()


def test_a_classifier_serves_other_masks(data: Path, tmp_path: Path) -> None:
    train(recipe_for(data), tmp_path / "one")
    later = {"decoupled.masks_per_class": 2, "decoupled.classifier_steps": 0, "init": str(tmp_path / "one/classifier")}
    train(recipe_for(data, **later), tmp_path / "two")
    assert read_info(tmp_path / "two/best").training["masks"] == 4
    first, second = (load_checkpoint(tmp_path / run)[0].tensors for run in ("one", "two"))
    same = {k for k in first if k in second and torch.equal(first[k], second[k])}
    for part, stays in (("classifier", True), ("segmentation", False)):
        keys = [k for k in first if k.startswith(f"model.model.{part}.")]
        assert len(keys) > 20 and all(k in same for k in keys) is stays
    assert not (tmp_path / "two/classifier").exists()


def test_weights_that_want_blue_first_get_it(data: Path, tmp_path: Path) -> None:
    model = perpixel.build("decouplednet", 3, **SMALL)
    blue_first = Preprocessing(3, (0.4, 0.5, 0.6), (0.1, 0.1, 0.1), bgr=True)
    classes = perpixel.Taxonomy.of(["a", "b", "c"]).to_dict()
    info = BundleInfo(network="decouplednet", options=SMALL, taxonomy=classes, preprocessing=blue_first)
    save_bundle(tmp_path / "caffe", model, info)
    train(recipe_for(data, init=str(tmp_path / "caffe"), steps=1), tmp_path / "run")
    kept = read_info(tmp_path / "run/best").preprocessing
    assert (kept.mean, kept.std, kept.bgr) == (blue_first.mean, blue_first.std, True)


def test_a_class_that_does_not_exist_is_named(data: Path, more: Path, tmp_path: Path) -> None:
    more.write_text("image,classes\nphoto.png,bleu\n")
    with pytest.raises(UserError, match=r'photo\.png: there is no class "bleu"\. Did you mean "blue"\?'):
        train(recipe_for(data, **{"decoupled.image_labels": str(more)}), tmp_path / "run")


class Lines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)
