"""--taxonomy of evaluate, predict and train, and convert taxonomy."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import save_file

from perpixel.bundle import read_info
from perpixel.data.folders import open_dataset
from perpixel.train import load_recipe

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
sys.path.insert(0, str(Path(__file__).parent.parent / "models" / "ports"))
from command_line import Perpixel, assert_one_line, picture
from filling import fill, shapes_in


@pytest.fixture(scope="session")
def taxonomy(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle knows road, sky, car; the scenes have more; what they share is way and sky."""
    own = open_dataset(str(scenes)).taxonomy
    assert own is not None
    scene = {n: {"road": "way", "sky": "sky"}.get(n, "ignore") for n in own.names}
    sets = {"scenes": scene, "three": {"road": "way", "sky": "sky", "car": "ignore"}}
    file = tmp_path_factory.mktemp("taxonomy") / "street.yaml"
    file.write_text(yaml.safe_dump({"name": "street", "classes": ["way", "sky"], "sets": sets}), encoding="utf-8")
    return file


def test_evaluate_two_sets(run: Perpixel, bundle: Path, scenes: Path, taxonomy: Path, tmp_path: Path) -> None:
    out, also = tmp_path / "figures.json", tmp_path / "also.yaml"
    stems = [image.stem for image in (scenes / "images" / "train").iterdir()]
    where = {"root": str(scenes), "images": "images/train", "masks": "masks/train", "splits": {"val": stems}}
    also.write_text(yaml.safe_dump({**where, **_classes(scenes)}), encoding="utf-8")
    done = run(
        "evaluate", bundle, scenes, also, "--taxonomy", taxonomy, "--data-as", "scenes", "--only-miou", "--out", out
    )
    assert done.status == 0, done.err
    found = json.loads(out.read_text())
    assert list(found["sets"]) == [str(scenes), str(also)]
    each = [results["mean_iou"] for results in found["sets"].values()]
    assert all(results["classes"] == ["road", "sky"] for results in found["sets"].values())
    assert each[0] != each[1]
    assert found["mean"] == pytest.approx(sum(each) / 2)
    assert found["harmonic_mean"] == pytest.approx(2 * each[0] * each[1] / sum(each))
    assert f"over 2 sets, each counted once: mIoU mean {found['mean']:.4f}" in done.out
    assert "count for nothing: car" in done.out


def _classes(scenes: Path) -> dict[str, object]:
    return {"classes": yaml.safe_load((scenes / "dataset.yaml").read_text(encoding="utf-8"))["classes"]}


def test_predict_in_common_classes(run: Perpixel, bundle: Path, scenes: Path, taxonomy: Path, tmp_path: Path) -> None:
    image = next((scenes / "images" / "val").iterdir())
    done = run(
        "predict", image, "--model", bundle, "--taxonomy", taxonomy, "--out", tmp_path / "out", "--probabilities"
    )
    assert done.status == 0, done.err
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["classes"] == ["way", "sky"]
    values = np.load(next((tmp_path / "out").rglob("*_probabilities.npy")))
    assert values.shape[0] == 2
    labels = np.asarray(Image.open(next(p for p in (tmp_path / "out").rglob("*.png"))))
    assert labels.max() <= 1


def test_predict_in_a_sets_classes(run: Perpixel, bundle: Path, scenes: Path, taxonomy: Path, tmp_path: Path) -> None:
    image = next((scenes / "images" / "val").iterdir())
    arguments = ("--taxonomy", taxonomy, "--classes-of", "three", "--model-as", "three", "--out", tmp_path / "out")
    assert run("predict", image, "--model", bundle, *arguments).status == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["classes"] == ["road", "sky"]


def test_train_and_go_on(run: Perpixel, scenes: Path, taxonomy: Path, tmp_path: Path) -> None:
    text = yaml.safe_load(taxonomy.read_text(encoding="utf-8"))
    text["sets"]["again"] = text["sets"]["scenes"]
    (tmp_path / "street.yaml").write_text(yaml.safe_dump(text), encoding="utf-8")
    also = tmp_path / "again.yaml"
    also.write_text(yaml.safe_dump({"root": str(scenes), "name": "again", **_classes(scenes)}), encoding="utf-8")
    named = tmp_path / "scenes.yaml"
    named.write_text(yaml.safe_dump({"root": str(scenes), "name": "scenes", **_classes(scenes)}), encoding="utf-8")
    options = (
        "--crop",
        "32",
        "--batch-size",
        "4",
        "--set",
        "steps=2",
        "--set",
        "data.workers=0",
        "--out",
        tmp_path / "run",
    )
    done = run("train", named, also, "--taxonomy", tmp_path / "street.yaml", "--weights", "3,1", *options)
    assert done.status == 0, done.err
    recipe = load_recipe(tmp_path / "run" / "recipe.yaml")
    assert recipe.mixture is not None
    assert [part.weight for part in recipe.mixture.sets] == [3, 1]
    assert set(read_info(tmp_path / "run" / "best").metrics["sets"]) == {"scenes", "again"}
    assert "harmonic" in done.out
    assert "each data set" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert run("train", "--resume", tmp_path / "run", named, also).status == 0
    by_recipe = ("--recipe", tmp_path / "run" / "recipe.yaml", "--out", tmp_path / "again", "--no-report")
    assert run("train", *by_recipe).status == 0
    first, again = ((tmp_path / r / "best" / "model.safetensors").read_bytes() for r in ("run", "again"))
    assert first == again
    assert_one_line(
        run("train", named, *by_recipe[:2], "--out", tmp_path / "other"), "the recipe is of 2 data sets, 1 were"
    )


def test_convert_taxonomy(run: Perpixel, tmp_path: Path) -> None:
    table = tmp_path / "small.tsv"
    table.write_text("universal\ttown\ncat\tpet\nroad\t{way, path}\nunlabeled\tvoid\n", encoding="utf-8")
    out = tmp_path / "made" / "small.yaml"
    done = run("convert", "taxonomy", table, "--out", out)
    assert (done.status, done.out) == (0, f"{out}: 2 common classes, 1 sets: town\n")
    sets = {"town": {"pet": "cat", "way": "road", "path": "road", "void": "ignore"}}
    assert yaml.safe_load(out.read_text()) == {"name": "small", "classes": ["cat", "road"], "sets": sets}
    assert_one_line(run("convert", "taxonomy", table, "--out", out), "is there already")


def test_what_goes_with_a_taxonomy(run: Perpixel, bundle: Path, scenes: Path, taxonomy: Path, tmp_path: Path) -> None:
    assert_one_line(run("evaluate", bundle, scenes, scenes), "go with --taxonomy FILE")
    assert_one_line(run("evaluate", bundle, scenes, "--data-as", "scenes"), "go with --taxonomy FILE")
    assert_one_line(run("evaluate", bundle, scenes, scenes, "--taxonomy", taxonomy), "one DATA is given twice")
    assert_one_line(run("predict", scenes, "--model", bundle, "--classes-of", "three"), "go with --taxonomy FILE")
    assert_one_line(run("train", scenes, scenes, "--out", tmp_path / "a"), "go with --taxonomy FILE")
    assert_one_line(run("train", scenes, "--taxonomy", taxonomy, "--weights", "one"), "a number for each DATA")
    assert_one_line(run("train", "--taxonomy", taxonomy), "--taxonomy FILE goes with DATA")
    assert_one_line(run("train", scenes, "--taxonomy", tmp_path / "none.yaml"), "none.yaml")
    assert_one_line(
        run("evaluate", bundle, scenes, "--taxonomy", taxonomy, "--data-as", "scene"), 'Did you mean "scenes"?'
    )


def test_public_weights_answer_for_a_set_by_name(run: Perpixel, tmp_path: Path) -> None:
    """A checkpoint of 19 common classes, named by the taxonomy's file, is asked in the two classes of a set."""
    names = [f"common {i}" for i in range(19)]
    sets = {"pair": {"left": names[:9], "right": names[9:18]}}
    file = tmp_path / "nineteen.yaml"
    file.write_text(yaml.safe_dump({"name": "n", "classes": names, "sets": sets}), encoding="utf-8")
    save_file(fill(shapes_in("fyu_drn_drn_d_22_seg")), tmp_path / "drn.safetensors")
    arguments = ("--from", "fyu/drn", "--classes", file, "--out", tmp_path / "drn")
    assert run("convert", "weights", tmp_path / "drn.safetensors", *arguments).status == 0
    assert read_info(tmp_path / "drn").classes.names == tuple(names)
    image, out = picture(tmp_path / "image.png"), tmp_path / "out"
    options = ("--taxonomy", file, "--out", out, "--probabilities")
    assert run("predict", image, "--model", tmp_path / "drn", *options).status == 0
    own = np.load(next(out.rglob("*.npy"))).astype(np.float32)
    assert run("predict", image, "--model", tmp_path / "drn", *options, "--classes-of", "pair").status == 0
    found = np.load(next(out.rglob("*.npy"))).astype(np.float32)
    np.testing.assert_allclose(found, [own[:9].sum(0), own[9:18].sum(0)], atol=2e-3)  # both were written as float16
