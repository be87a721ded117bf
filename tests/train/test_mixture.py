"""Training on two sets in a common taxonomy: resumed bit for bit, told by set, and on its own val as by hand."""

import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perpixel.bundle import read_info
from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.measured import default_split
from perpixel.infer import evaluate, load
from perpixel.infer.compared import compared
from perpixel.labels import CommonTaxonomy, Taxonomy
from perpixel.report import write_report
from perpixel.train import Interrupted, Recipe, load_recipe, resume, train
from perpixel.train.mixture import mixture_of
from perpixel.train.set_losses import SharesAndSets
from perpixel.train.shares import STRIDE, ClassShares

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from stopping import Told, assert_equal, outcome

NAMES = ("ground", "things", "sky")
TINY = {
    "data.crop": [32, 32],
    "data.workers": 0,
    "optimiser.ema": 0.9,
    "batch_size": 4,
    "precision": "fp32",
    "steps": 4,
    "evaluate_every": 0.7,  # of 12 images by 4: every 2 steps
}


@pytest.fixture(scope="session")
def common(scenes: Path) -> CommonTaxonomy:
    own = open_dataset(str(scenes)).taxonomy
    assert own is not None
    ground = {"road", "pavement", "grass"} & set(own.names)
    assert ground
    scene = {n: ("sky",) if n == "sky" else ("ground",) if n in ground else ("things",) for n in own.names}
    return CommonTaxonomy(
        "made", Taxonomy.of(NAMES), {"scenes": scene, "halves": {"up": ("sky",), "down": ("ground",)}}
    )


@pytest.fixture(scope="session")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of another size, light above and dark below, and masks by colours; another layout than the scenes'."""
    folder, rng = tmp_path_factory.mktemp("halves"), np.random.default_rng(0)
    for i in range(9):
        place = folder / ("train" if i < 7 else "val")
        image = rng.integers(0, 80, (40, 72, 3), dtype=np.uint8)
        mask = np.zeros((40, 72, 3), np.uint8)
        mask[:], mask[: 12 + i] = (0, 200, 0), (200, 0, 0)
        image[: 12 + i] += 150
        for what, picture in (("images", image), ("masks", mask)):
            (place / what).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(place / what / f"{i}.png")
    classes = [{"name": "up", "values": [[200, 0, 0]]}, {"name": "down", "values": [[0, 200, 0]]}]
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"name": "halves", "classes": classes, "ignore": []}))
    return folder


@pytest.fixture(scope="session")
def recipe(scenes: Path, halves: Path, common: CommonTaxonomy) -> Recipe:
    mixture = mixture_of(common, [str(scenes), str(halves)])
    mixture["sets"][0]["block"] = "scenes"
    return Recipe().changed({**TINY, "mixture": mixture})


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe) -> tuple[Path, Told]:
    run, told = tmp_path_factory.mktemp("runs") / "mixed", Told()
    train(recipe, run, told)
    return run, told


def test_interrupted_and_resumed(mixed: tuple[Path, Told], recipe: Recipe, tmp_path: Path) -> None:
    for stop in (1, 3):
        with pytest.raises(Interrupted):
            train(recipe, tmp_path / f"{stop}", Told(stop))
        resume(tmp_path / f"{stop}")
        assert_equal(tmp_path / f"{stop}", mixed[0])


def test_the_history_tells_each_set(mixed: tuple[Path, Told]) -> None:
    rows = outcome(mixed[0])[1]["rows"]
    assert all({"set_loss_scenes", "set_loss_halves", "gradient_sky"} <= row.keys() for row in rows)
    judged = [row for row in rows if "val_mean_iou" in row]
    assert [row["step"] for row in judged] == [2, 4]
    for row in judged:
        each = [row["set_mean_iou_scenes"], row["set_mean_iou_halves"]]
        assert row["sets_mean"] == pytest.approx(sum(each) / 2)
        assert row["sets_harmonic_mean"] == pytest.approx(2 * each[0] * each[1] / sum(each) if sum(each) else 0)
    line = next(x for x in mixed[1].lines if x.startswith("step 2/4"))
    assert "val mIoU scenes 0." in line
    assert "halves 0." in line


def test_the_best_is_that_of_the_harmonic_mean(mixed: tuple[Path, Told]) -> None:
    state, info = outcome(mixed[0])[1], read_info(mixed[0] / "best")
    assert state["best"] == max(r["sets_harmonic_mean"] for r in state["rows"] if "sets_harmonic_mean" in r)
    sets = info.metrics["sets"]
    assert info.metrics["over_sets"]["harmonic_mean"] == pytest.approx(
        statistics.harmonic_mean([sets["scenes"]["mean_iou"], sets["halves"]["mean_iou"]])
    )
    assert info.classes.names == NAMES


def test_evaluated_by_its_taxonomy_it_is_the_same(
    mixed: tuple[Path, Told], common: CommonTaxonomy, halves: Path
) -> None:
    """On the set as it is on disk, through `evaluate --taxonomy`."""
    predictor, dataset = load(mixed[0], "cpu"), open_dataset(str(halves))
    asked = compared(predictor, dataset, common)
    results = evaluate(asked.predictor, dataset.split("val"), asked.taxonomy, ("confusion",)).results
    assert asked.predictor.taxonomy.names == ("up", "down")
    known = read_info(mixed[0] / "best").metrics["sets"]["halves"]
    assert known["num_present"] <= 3
    assert 0 <= results["mean_iou"] <= 1
    assert results["pixels"] == known["pixels"]


def test_the_bundle_knows_its_sets_by_themselves(mixed: tuple[Path, Told], halves: Path) -> None:
    """Data that nobody divided and that it was trained on is measured on val alone."""
    about, dataset = read_info(mixed[0] / "best").data, open_dataset(str(halves))
    assert about["name"] == "scenes + halves"
    undivided = type(dataset)(dataset.root, "flat", dataset.splits, dataset.classes, name="moved", hashed=True)
    assert default_split(undivided, about) == "val"
    assert default_split(undivided, {**about, "sets": {}}) == "all"


def test_the_recipe_of_the_run_needs_no_other_file(mixed: tuple[Path, Told], recipe: Recipe, tmp_path: Path) -> None:
    kept = load_recipe(mixed[0] / "recipe.yaml")
    assert kept.mixture is not None
    assert kept.mixture.taxonomy == recipe.mixture.taxonomy  # type: ignore[union-attr]


def test_moved_data(mixed: tuple[Path, Told], recipe: Recipe, halves: Path, scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", Told(1))
    with pytest.raises(UserError, match="the recipe is of 2 data sets, 1 were given"):
        resume(tmp_path / "run", data=[str(scenes)])
    halves.rename(tmp_path / "elsewhere")
    try:
        with pytest.raises(UserError, match=r"halves0: no such folder; .* the place of every set"):
            resume(tmp_path / "run")
        resume(tmp_path / "run", data=[str(scenes), str(tmp_path / "elsewhere")])
    finally:
        (tmp_path / "elsewhere").rename(halves)
    assert_equal(tmp_path / "run", mixed[0])


def test_the_report_tells_each_set(mixed: tuple[Path, Told]) -> None:
    text = write_report(mixed[0]).read_text(encoding="utf-8")
    over = read_info(mixed[0] / "best").metrics["over_sets"]
    assert f"mean {over['mean']:.4f}, harmonic mean {over['harmonic_mean']:.4f}" in text
    assert "scenes + halves" in text


def test_the_loss_of_a_set_is_that_of_its_images() -> None:
    """The weighted cross entropy of torch over each set's images, of every STRIDE-th row and column."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 9, 10, generator=generator)
    labels = torch.randint(0, 4, (4, 9, 10), generator=generator).to(torch.uint8)
    labels[labels == 3] = 255
    weights, sets = [0.5, 1.0, 2.0], ["a", "b", "a", "b"]
    tally = SharesAndSets(ClassShares(NAMES, weights), ["a", "b", "never"], weights)
    for half in (slice(0, 2), slice(2, 4)):
        again = SharesAndSets(ClassShares(NAMES, weights), ["a", "b", "never"], weights)
        again.restore(tally.sums())  # as a run that is resumed between
        again.watch(logits[half], labels[half], sets[half])
        tally = again
    found: Any = tally.columns()
    few, known = logits[:, :, ::STRIDE, ::STRIDE], labels[:, ::STRIDE, ::STRIDE].long()
    for name, images in (("a", [0, 2]), ("b", [1, 3])):
        wanted = torch.nn.functional.cross_entropy(few[images], known[images], torch.tensor(weights), ignore_index=255)
        assert found[f"set_loss_{name}"] == pytest.approx(float(wanted), rel=1e-4)
    assert "set_loss_never" not in found
    assert "set_loss_a" not in tally.columns()


def test_what_cannot_be_trained(recipe: Recipe, scenes: Path, common: CommonTaxonomy, tmp_path: Path) -> None:
    twice = mixture_of(common, [str(scenes), str(scenes)])
    twice["sets"][0]["block"] = twice["sets"][1]["block"] = "scenes"
    with pytest.raises(UserError, match='block "scenes" of the taxonomy: two sets have it'):
        train(recipe.changed({"mixture": twice}), tmp_path / "a")
    with pytest.raises(UserError, match="2 DATA need as many weights"):
        mixture_of(common, ["a", "b"], [1.0])
    for wrong in (0, -1, "nan"):
        with pytest.raises(UserError, match="weight"):
            recipe.changed({"mixture": {**twice, "sets": [{"path": "a", "weight": wrong}]}})
    detector = {"model.name": "rfcn", "detection": {}}
    with pytest.raises(UserError, match="segmentation alone"):
        train(recipe.changed(detector), tmp_path / "b")


def test_one_set_in_the_common_classes(recipe: Recipe, scenes: Path, common: CommonTaxonomy, tmp_path: Path) -> None:
    one = mixture_of(common, [str(scenes)])
    one["sets"][0]["block"] = "scenes"
    train(recipe.changed({"mixture": one, "steps": 1}), tmp_path / "run")
    assert load(tmp_path / "run", "cpu").taxonomy.names == NAMES
