"""The report: what is on the page is what the model does, and nothing on it comes from elsewhere."""

import base64
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.core.image import read_image
from perpixel.infer import load
from perpixel.labels import Taxonomy
from perpixel.report import write_report
from perpixel.report.pictures import WRONG, error_picture

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from made_run import IMAGES, NAMES, Page, make_data, make_run, read

ERRORS = ("kinds", "errors-by-class", "errors-by-size", "look-alikes", "worst-regions", "what-the-figure-means")
SECTIONS = ("headline", "classes", "curves", "per-class", "confusion", "edges", "images", *ERRORS, "confidence", "how")


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
