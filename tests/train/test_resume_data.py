"""A run that goes on knows its data: it does not look twice, refuses other classes by name, and says which samples changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.core.errors import Interrupted, UserError
from perpixel.data import fingerprint
from perpixel.train import Recipe, resume, train


class Told:
    def __init__(self, stop_at: int | None = None) -> None:
        self.lines: list[str] = []
        self.stop_at = stop_at

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, done: int, total: int, text: str = "") -> None:
        if done == self.stop_at and "loss" in text:
            raise Interrupted


def flat(root: Path, n: int = 8, channels: int = 3) -> Path:
    rng = np.random.default_rng(1)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for i in range(n):
        image = rng.integers(0, 255, (32, 40, channels), np.uint8).squeeze()
        Image.fromarray(image).save(root / f"images/{i}.png")
        Image.fromarray(rng.integers(0, 3, (32, 40), np.uint8)).save(root / f"masks/{i}.png")
    (root / "train.txt").write_text("\n".join(map(str, range(n - 2))))
    (root / "val.txt").write_text(f"{n - 2}\n{n - 1}")
    name(root, ["ground", "tree", "house"])
    return root


def name(root: Path, classes: list[object]) -> None:
    (root / "dataset.yaml").write_text(yaml.safe_dump({"images": "images", "masks": "masks", "classes": classes}))


@pytest.fixture(scope="module")
def stopped(tiny: Recipe, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data folder, and a run on it that was interrupted."""
    root = tmp_path_factory.mktemp("resume_data")
    data, run = flat(root / "data"), root / "run"
    with pytest.raises(Interrupted):
        train(tiny.changed({"data.path": str(data), "steps": 4, "evaluate_every": 100.0}), run, Told(stop_at=2))
    return data, run


def go_on(stopped: tuple[Path, Path], place: Path, change: Callable[[Path], object]) -> list[str]:
    """The lines of a run that goes on with a changed copy of its data."""
    data, run = (Path(shutil.copytree(p, place / p.name)) for p in stopped)
    change(data)
    told = Told()
    assert resume(run, told, str(data)).steps == 4
    return [line for line in told.lines if "the samples" in line]


def test_what_is_kept_is_the_survey_and_a_digest_of_every_sample(stopped: tuple[Path, Path]) -> None:
    kept = json.loads((stopped[1] / "data.json").read_text())
    assert [c["name"] for c in kept["facts"]["taxonomy"]["classes"]] == ["ground", "tree", "house"]
    masks = [np.asarray(Image.open(stopped[0] / f"masks/{i}.png")) for i in range(6)]
    assert kept["facts"]["counts"]["pixels"] == [sum(int((m == k).sum()) for m in masks) for k in range(3)]
    assert {s: sorted(found) for s, found in kept["samples"].items()} == {"train": list("012345"), "val": list("67")}


def test_nothing_is_measured_again_and_moved_data_is_the_same(
    stopped: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a second look")

    monkeypatch.setattr(fingerprint, "survey_training", refuse)
    assert go_on(stopped, tmp_path, lambda data: None) == []


def test_data_that_is_gone_says_how_to_name_its_new_place(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    data, run = (Path(shutil.copytree(p, tmp_path / p.name)) for p in stopped)
    recipe = (run / "recipe.yaml").read_text()
    (run / "recipe.yaml").write_text(recipe.replace(str(stopped[0]), str(data)))
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=f"{data}: no such folder; .*perpixel train --resume {run} DATA"):
        resume(run)


def remove(data: Path) -> None:
    for folder in ("images", "masks"):
        (data / folder / "1.png").unlink()
    (data / "train.txt").write_text("0\n2\n3\n4\n5")


def add(data: Path) -> None:
    for folder in ("images", "masks"):
        shutil.copy(data / folder / "0.png", data / folder / "new.png")
    (data / "train.txt").write_text("0\n1\n2\n3\n4\n5\nnew")


def alter(folder: str) -> Callable[[Path], None]:
    def change(data: Path) -> None:
        pixels = np.asarray(Image.open(data / folder / "3.png")).copy()
        pixels[0, 0] = (pixels[0, 0] + 1) % 3
        Image.fromarray(pixels).save(data / folder / "3.png")

    return change


def move(data: Path) -> None:
    (data / "train.txt").write_text("0\n1\n2\n3\n4\n6")
    (data / "val.txt").write_text("5\n7")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove, "1 removed (1)"),
        (add, "1 added (new)"),
        (alter("images"), "1 altered (3)"),
        (alter("masks"), "1 altered (3)"),
        (move, "2 moved to another split (5, 6)"),
    ],
)
def test_changed_samples_are_said_in_one_line(
    stopped: tuple[Path, Path], tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    (line,) = go_on(stopped, tmp_path, change)
    assert line.endswith(f"not those that the run began with: {words}")


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (["ground", "house", "tree"], "order of the classes was ground, tree, house and is ground, house, tree"),
        (["ground", "tree", "barn"], "now without house and with barn"),
        (["ground", "tree", "house", "car"], "now with car"),
        (["ground", "tree"], "now without house"),
        (
            [{"name": "ground", "values": 0}, {"name": "tree", "values": 2}, {"name": "house", "values": 1}],
            'mask values of "tree" were 1 and are 2',
        ),
    ],
)
def test_other_classes_are_refused_by_name(
    stopped: tuple[Path, Path], tmp_path: Path, classes: list[object], words: str
) -> None:
    before = sorted((p.name, p.stat().st_size) for p in stopped[1].rglob("*"))
    with pytest.raises(UserError, match=words) as caught:
        go_on(stopped, tmp_path, lambda data: name(data, classes))
    assert "--from RUN" in str(caught.value)
    assert sorted((p.name, p.stat().st_size) for p in (tmp_path / "run").rglob("*")) == before


def test_values_to_ignore_belong_to_the_classes(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    text = "images: images\nmasks: masks\nclasses: [ground, tree, house]\nignore: [7]\n"
    with pytest.raises(UserError, match="values to ignore were 255 and are 7"):
        go_on(stopped, tmp_path, lambda data: (data / "dataset.yaml").write_text(text))


def test_images_of_other_channels_are_the_reason_that_is_told(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has 4 channels, and the run was trained on images of 3"):
        go_on(stopped, tmp_path, lambda data: flat_tiff(data))


def flat_tiff(data: Path) -> None:
    import tifffile

    for i in range(8):
        (data / f"images/{i}.png").unlink()
        values = np.random.default_rng(i).integers(0, 255, (32, 40, 4), np.uint8)
        tifffile.imwrite(data / f"images/{i}.tif", values, photometric="rgb", extrasamples=["unspecified"])


def test_a_recipe_for_other_channels_says_so(tiny: Recipe, tmp_path: Path) -> None:
    flat(tmp_path / "data", channels=1)
    with pytest.raises(UserError, match=r"images have 1 channels, but data.mean of the recipe is for 3"):
        train(tiny.changed({"data.path": str(tmp_path / "data"), "data.mean": [0.5] * 3}), tmp_path / "run")


def test_a_run_that_kept_nothing_looks_again(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped[1], tmp_path / "old"))
    (run / "data.json").unlink()
    assert resume(run, Told()).steps == 4


def test_a_damaged_file_is_named(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(stopped[1], tmp_path / "torn"))
    (run / "data.json").write_text('{"format": "perpixel data 1", "fac')
    with pytest.raises(UserError, match=r"data\.json: damaged"):
        resume(run, Told())
