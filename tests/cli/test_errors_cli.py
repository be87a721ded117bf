"""perpixel errors and perpixel compare: what they print and write, and one line for a user's fault."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.analyze import receptive_fields
from perpixel.infer import load


def write_set(folder: Path, images: int) -> Path:
    for kind in ("images", "masks"):
        (folder / kind / "val").mkdir(parents=True)
    for i in range(images):
        labels = np.zeros((48, 64), np.uint8)
        labels[:20], labels[40:, :8] = 1, 255
        labels[24:36, 6 + 5 * i : 26 + 5 * i] = 2
        noise = np.random.default_rng(i).integers(0, 40, (48, 64, 3))
        image = (np.minimum(labels, 3)[..., None] * 60 + noise).astype(np.uint8)
        Image.fromarray(image).save(folder / "images" / "val" / f"{'ab'[i % 2]}_{i}.png")
        Image.fromarray(labels).save(folder / "masks" / "val" / f"{'ab'[i % 2]}_{i}.png")
    (folder / "dataset.yaml").write_text("name: toy\nclasses: [road, sky, car]\nignore: [255]\n")
    return folder


class Closed(HTMLParser):
    """Asserts that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None: ...

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(file: Path) -> str:
    """A page that loads nothing from elsewhere, with its tables' words."""
    text = file.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!data:)[^"]+"', text)
    assert "{{" not in text and "{%" not in text
    closed = Closed()
    closed.feed(text)
    assert not closed.open
    return text


def test_errors_prints_and_writes(run, bundle: Path, tmp_path: Path) -> None:
    data, out = write_set(tmp_path / "data", 4), tmp_path / "out"
    status, said, _ = run("errors", bundle, data, "--out", out, "--group", "^.", "--field", "32", "--unsure", "2")
    assert status == 0
    results = json.loads((out / "errors.json").read_text())
    assert sum(k["pixels"] for k in results["kinds"].values()) == results["wrong"] > 0
    assert f"{results['wrong']:,} of {results['valid']:,} pixels are wrong" in said
    assert "2 groups of images" in said
    assert "counted on val" in said  # there is no train split
    page = page_of(out / "errors.html")
    for words in (
        "Kinds of errors",
        "By size of the object",
        "The worst regions",
        "What the figure means",
        "Where it is unsure",
    ):
        assert words in page
    assert page.count("<img") > 2 * 4  # of each unsure image, and the worst regions


@pytest.mark.parametrize(("options", "ratio"), [((), None), (("--field", "32"), 0.25)])
def test_sizes_are_shares_of_the_field(
    run, bundle: Path, tmp_path: Path, options: tuple[str, ...], ratio: float | None
) -> None:
    """The side given, else that of the theoretical field of the logits."""
    data, out = write_set(tmp_path / "data", 2), tmp_path / "out"
    status, said, _ = run("errors", bundle, data, "--out", out, *options)
    assert status == 0
    results = json.loads((out / "errors.json").read_text())
    if ratio is None:
        field = receptive_fields(load(str(bundle), "cpu").model)["logits"]
        assert field.size[0] == field.size[1] < float("inf")
        assert results["field"] == field.size[0]
        assert f"field     theoretical, {field.size[0]:.0f} pixels a side" in said
        ratio = 8 / field.size[0]
    else:
        assert "field     " not in said
    assert results["sizes"][0]["of_field"] == [0, pytest.approx(ratio)]


def test_compare_prints_and_writes(run, bundle: Path, tmp_path: Path) -> None:
    data, out = write_set(tmp_path / "data", 3), tmp_path / "out"
    status, said, _ = run("compare", bundle, bundle, data, "--out", out)
    assert status == 0
    results = json.loads((out / "compare.json").read_text())
    assert next(f["difference"] for f in results["figures"] if f["difference"] is not None) == 0.0
    assert "bootstrap over 3 images" in said
    assert "paired bootstrap over 3 images" in page_of(out / "compare.html")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--class", "cat"), 'no class "cat"; there are: road, sky, car. Did you mean "car"?'),
        (("--group", "x"), "finds no group"),
        (("--split", "tset"), 'no split "tset"'),
    ],
)
def test_faults_of_errors(run, bundle: Path, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    status, _, err = run("errors", bundle, write_set(tmp_path / "data", 2), "--out", tmp_path / "out", *arguments)
    assert (status, len(err.splitlines())) == (2, 1)
    assert words in err
    assert not (tmp_path / "out").exists()


def test_faults_of_compare(run, bundle: Path, tmp_path: Path) -> None:
    status, _, err = run("compare", bundle, bundle, write_set(tmp_path / "data", 1), "--out", tmp_path / "out")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "one image; a comparison needs two or more" in err


@pytest.mark.parametrize("verb", ["errors", "compare"])
def test_out_is_a_file(run, bundle: Path, tmp_path: Path, verb: str) -> None:
    (tmp_path / "out").write_text("mine")
    models = (bundle,) if verb == "errors" else (bundle, bundle)
    status, _, err = run(verb, *models, write_set(tmp_path / "data", 2), "--out", tmp_path / "out")
    assert (status, err) == (2, f"perpixel: {tmp_path / 'out'} is a file; --out takes the folder for the results\n")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_class_that_the_set_has_not(run, bundle: Path, tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", 1)
    file = next((data / "masks" / "val").iterdir())
    Image.fromarray(np.full((48, 64), 255, np.uint8)).save(file)
    status, _, err = run("errors", bundle, data, "--class", "car", "--out", tmp_path / "out")
    assert status == 2
    assert '"car" is in none of these 1 masks' in err.splitlines()[-1]


def test_one_image_has_errors_without_intervals(run, bundle: Path, tmp_path: Path) -> None:
    status, said, _ = run("errors", bundle, write_set(tmp_path / "data", 1), "--out", tmp_path / "out")
    assert status == 0
    assert "no intervals: there is one image" in said
