"""The report: what is on the page is what the model does, and nothing on it comes from elsewhere."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.core.errors import UserError
from perpixel.core.image import read_image
from perpixel.infer import load
from perpixel.labels import Taxonomy
from perpixel.models import build
from perpixel.report import write_report
from perpixel.report.charts import line_chart, nice_ticks
from perpixel.report.pictures import SIDE, WRONG, data_uri, error_picture, shrink
from perpixel.train import Recipe

NAMES = ("sky", "road", "<script>alert(1)</script>", "never there")
IMAGES = [f"{i} a&b <i>" for i in range(10)]
ERRORS = ("kinds", "errors-by-class", "errors-by-size", "look-alikes", "worst-regions", "what-the-figure-means")
SECTIONS = ("headline", "classes", "curves", "per-class", "confusion", "edges", "images", *ERRORS, "confidence", "how")
VOID = {"meta", "link", "img", "br"}
HISTORY = (
    "step,epoch,loss,lr,images_per_second,seconds,val_mean_iou,val_pixel_accuracy\n"
    "1,0.5,2.0,0.001,9,1,,\n2,1.0,nan,0.0005,9,2,0.125,0.5\n3,1.5,1.0,0.0001,9,3,0.25,0.75\n"
)


class Page(HTMLParser):
    """The page's elements: text by id, all attributes, all rows; and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        self.tags.append((tag, found))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append((tag, found.get("id", "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            if name:
                self.text[name] = self.text.get(name, "") + data
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.rows[-1][-1] += data

    def row(self, first: str, cells: int) -> list[str]:
        """The one table row of so many cells that begins with a word."""
        found = [[c.strip() for c in r] for r in self.rows if r[0].strip() == first and len(r) == cells]
        assert len(found) == 1, (first, found)
        return found[0]

    def all(self, tag: str) -> list[dict[str, str]]:
        return [a for t, a in self.tags if t == tag]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def make_data(folder: Path, split: str = "val") -> Path:
    """Random images with masks of three of the four classes and a stripe of ignored pixels."""
    random = np.random.default_rng(0)
    for i, name in enumerate(IMAGES):
        mask = np.kron(random.integers(0, 3, (5, 7)), np.ones((12, 12))).astype(np.uint8)
        mask[:6] = 255
        image = random.integers(0, 256, (*mask.shape, 3), dtype=np.uint8) // (i + 1)
        for kind, array in (("images", image), ("masks", mask)):
            place = folder / kind / split
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(place / f"{name}.png")
    description = {"name": "tiles & <b>co</b>", **Taxonomy.of(list(NAMES)).to_dict()}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(description))
    return folder


def make_run(folder: Path, data: Path, model: bool = True) -> Path:
    """A run folder as training leaves it, with a model that has learned nothing."""
    folder.mkdir()
    Recipe(steps=3).changed({"data.path": str(data)}).save(folder / "recipe.yaml")
    (folder / "environment.json").write_text(json.dumps({"command": "perpixel train 'a<b'", "devices": []}))
    (folder / "history.csv").write_text(HISTORY)
    if model:
        torch.manual_seed(1)
        info = BundleInfo(
            network="fast_scnn",
            taxonomy=Taxonomy.of(list(NAMES)).to_dict(),
            channels=3,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            training={"step": 2, "steps": 3, "seconds": 90.0},
            metrics={"mean_iou": 0.4321, "num_present": 3, "num_classes": 4, "pixel_accuracy": 0.5, "images": 7,
                     "split": "val", "convention": "as training said", "iou": [0.9, 0.3, 0.0964, None]},
            data={"name": "tiles", "licence": "CC0", "train_images": 5},
        )  # fmt: skip
        save_bundle(folder / "best", build("fast_scnn", num_classes=len(NAMES)), info)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run", data)


@pytest.fixture(scope="module")
def page(run: Path) -> Page:
    path = write_report(run)
    assert path == run / "report.html"
    assert path.stat().st_size < 6e6
    return read(path)


@pytest.fixture(scope="module")
def truth(run: Path, data: Path) -> tuple[np.ndarray, dict[str, float]]:
    """The confusion counts, and each image's own mean IoU, by loops over what the model predicts."""
    predictor, counts, scores = load(run / "best"), np.zeros((4, 4)), {}
    for name in IMAGES:
        predicted = predictor.predict(read_image(data / "images/val" / f"{name}.png")).labels
        labels = np.array(Image.open(data / "masks/val" / f"{name}.png"))
        mine = np.zeros((4, 4))
        for t, p in zip(labels.ravel(), predicted.ravel(), strict=True):
            if t != 255:
                mine[t, p] += 1
        counts += mine
        scores[name] = float(np.mean([ious(mine)[k] for k in range(4) if mine[k].sum()]))
    return counts, scores


def ious(counts: np.ndarray) -> list[float]:
    unions = [counts[k].sum() + counts[:, k].sum() - counts[k, k] for k in range(4)]
    return [counts[k, k] / u if u else float("nan") for k, u in enumerate(unions)]


def test_every_section_is_there(page: Page) -> None:
    assert [a["id"] for t, a in page.tags if t in ("section", "header")] == list(SECTIONS)
    charts = [a for a in page.all("svg") if a["role"] == "img" and a["aria-label"]]
    assert len(charts) == 5 + 1 + len(NAMES)  # curves, images, calibration; risk; reliability by class


def test_the_kinds_of_errors_are_those_of_the_set(page: Page, truth: tuple[np.ndarray, dict[str, float]]) -> None:
    counts, _ = truth
    kinds = [page.row(kind, 6) for kind in ("mismatched", "confused", "inconspicuous", "boundary", "rest")]
    assert sum(int(row[1].replace(",", "")) for row in kinds) == int(counts.sum() - np.trace(counts))


def test_headline_is_what_the_model_does(page: Page, truth: tuple[np.ndarray, dict[str, float]]) -> None:
    counts, _ = truth
    assert page.text["mean-iou"] == f"{np.nanmean(ious(counts)):.4f}"
    assert page.text["pixel-accuracy"] == f"{np.trace(counts) / counts.sum():.4f}"
    present = np.count_nonzero(~np.isnan(ious(counts)))
    assert f"over {present} of 4 classes" in page.text["headline"]
    assert "cityscapesScripts" in page.text["convention"]
    # Fast-SCNN has 1,137,795 parameters with 19 classes; a class is a 1x1 convolution's 128 weights and a bias
    assert f"{1137795 - 15 * 129:,}" in page.text["headline"]


def test_class_rows_and_matrix(page: Page, truth: tuple[np.ndarray, dict[str, float]]) -> None:
    counts, _ = truth
    for k, name in enumerate(NAMES[:3]):
        row = page.row(name, 7)
        assert row[2] == f"{ious(counts)[k]:.3f}"
        assert row[3] == f"{counts[k, k] / counts[k].sum():.3f}"
        cells = page.row(name, 5)[1:]
        expected = counts[k] / counts[k].sum() * 100
        assert [float({"": 0, "·": 0}.get(c, c)) for c in cells] == pytest.approx(expected, abs=0.51)
    absent = page.row(NAMES[3], 7)
    assert absent[1] == absent[3] == "-"
    assert page.row(NAMES[3], 5)[1:] == ["-"] * 4


def test_confusions_in_words(page: Page, truth: tuple[np.ndarray, dict[str, float]]) -> None:
    counts, _ = truth
    shares = counts[:3] / counts[:3].sum(axis=1, keepdims=True)
    np.fill_diagonal(shares, 0)
    t, p = np.unravel_index(shares.argmax(), shares.shape)
    first = page.text["confusions"].strip().splitlines()[0].replace("\N{NO-BREAK SPACE}", " ")
    assert first == f"{NAMES[t]} taken for {NAMES[p]}: {shares[t, p] * 100:.0f} % of {NAMES[t]} pixels"


def test_worst_images_come_first_and_none_twice(page: Page, truth: tuple[np.ndarray, dict[str, float]]) -> None:
    _, scores = truth
    shown = [a["alt"].removeprefix("error of ") for a in page.all("img") if a["alt"].startswith("error of ")]
    ranked = sorted(scores, key=lambda name: scores[name])
    assert shown[:4] == ranked[:4]
    assert len(set(shown)) == len(shown) == 8
    assert f"{ranked[0]}image mean IoU {scores[ranked[0]]:.3f}" in page.text["images"]


def test_pictures_are_inside_and_show_the_truth(page: Page, data: Path) -> None:
    regions = sum(a.get("class") == "panels triple" for a in page.all("div"))
    images = page.all("img")
    assert 4 <= regions <= 10
    assert len(images) == 32 + 3 * regions
    assert all(a["src"].startswith("data:image/webp;base64,") for a in images)
    name, address = next((a["alt"][9:], a["src"]) for a in images if a["alt"].startswith("truth of "))
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(address.split(",")[1]))))
    labels = np.array(Image.open(data / "masks/val" / f"{name}.png"))
    expected = Taxonomy.of(list(NAMES)).colourise(labels)
    assert np.abs(shown.astype(int) - expected).mean() < 12  # WebP is not exact


def test_nothing_comes_from_elsewhere(run: Path, page: Page) -> None:
    html = (run / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", html)
    sources = [a[k] for _, a in page.tags for k in ("src", "href", "srcset", "data", "action") if k in a]
    assert len(sources) == 1 + len(page.all("img"))
    assert all(s.startswith("data:") for s in sources)
    assert not page.all("script")


def test_users_words_are_escaped(run: Path, page: Page) -> None:
    html = (run / "report.html").read_text()
    for word in ("<script>alert", "<b>co</b>", "b <i>", "a<b'"):
        assert word not in html
    assert "tiles & <b>co</b>" in page.text["headline"]
    assert NAMES[2] in page.text["classes"]
    assert page.text["images"].count("a&b <i>") == 8
    assert yaml.safe_load(page.text["recipe"])["model"]["name"] == "fast_scnn"


def test_history_and_facts(page: Page) -> None:
    assert page.row("2", 5) == ["2", "1.0", "-", "0.1250", "0.5000"]
    loss, rate, val = (a["aria-label"] for a in page.all("svg")[:3])
    assert loss == "training loss to step 3: from 2 to 1"  # the step with NaN is left out
    assert rate.endswith("from 0.001 to 0.0001")
    assert val.endswith("best 0.2500")
    assert "perpixel train 'a<b'" in page.text["headline"]
    assert "3 steps, 1.5 min, the model is of step 2" in page.text["headline"]


def test_moved_data_leaves_what_training_wrote(tmp_path: Path) -> None:
    page = read(write_report(make_run(tmp_path / "run", tmp_path / "moved")))
    assert f"{tmp_path / 'moved'}: no such folder" in page.text["note"]
    assert page.text["mean-iou"] == "0.4321"
    assert page.row("road", 2) == ["road", "0.300"]
    assert len(page.all("svg")) == 3
    assert "images" not in page.text
    with pytest.raises(UserError, match="no such folder"):
        write_report(tmp_path / "run", str(tmp_path / "elsewhere"))


def test_data_without_the_split(tmp_path: Path, run: Path) -> None:
    data = make_data(tmp_path / "data", "train")
    description = yaml.safe_load((data / "dataset.yaml").read_text())
    folders = {"images": "images/train", "masks": "masks/train", "splits": {"train": IMAGES[:2]}}
    (data / "dataset.yaml").write_text(yaml.safe_dump({**description, **folders}))
    page = read(write_report(make_run(tmp_path / "run", data)))
    assert 'no split "val"' in page.text["note"]
    assert "train (2)" in page.text["note"]
    assert len(page.all("svg")) == 3
    other = read(write_report(tmp_path / "run", split="train"))
    assert "note" not in other.text
    assert "2 images of split train" in other.text["headline"]


def test_run_without_a_model_yet(tmp_path: Path, data: Path) -> None:
    page = read(write_report(make_run(tmp_path / "run", data, model=False)))
    assert "no model was kept yet" in page.text["note"]
    assert len(page.all("svg")) == 3


def test_what_is_no_run(tmp_path: Path, run: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe\.yaml.*perpixel train"):
        write_report(tmp_path)
    with pytest.raises(UserError, match="part of the run"):
        write_report(run / "best")


def test_error_picture() -> None:
    truth = np.zeros((24, 24), np.uint8)
    truth[:, 12:] = 255
    predicted = np.zeros((24, 24), np.uint8)
    predicted[:6] = 1
    picture = error_picture(predicted, truth, np.full((24, 24, 3), 200, np.uint8))
    assert (picture[:6, :12] == WRONG).all()
    assert (picture[6:, :12] == 25 + 90).all()
    assert set(np.unique(picture[:, 12:])) == {0, 70}


def test_shrink_keeps_thin_things_and_small_pictures() -> None:
    picture = np.zeros((10, 4 * SIDE, 3), np.uint8)
    picture[:, 402] = 200
    small = np.array(shrink(picture))
    assert small.shape == (2, SIDE, 3)
    assert (small[:, 100] == 50).all()
    assert shrink(picture[:, :30]).size == (30, 10)


def test_even_noise_stays_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert len(data_uri(Image.fromarray(noise))) * 32 < 6e6


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 60, [0, 10, 20, 30, 40, 50, 60]), (-3, 3, [-3, -2, -1, 0, 1, 2, 3])],
)
def test_nice_ticks(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected)


def test_line_chart_of_one_point_and_of_a_flat_line() -> None:
    for points in ([(5.0, 0.0)], [(1.0, 2.0), (2.0, 2.0)], [(1.0, -1.0), (2.0, 3e-7)]):
        chart = line_chart(points, "a <chart>", "step", mark_best=True)
        assert "nan" not in chart
        assert 'aria-label="a &lt;chart&gt;"' in chart
