"""One pass over the files: each is decoded once, and the figures are those of the formulas written out over the pixels."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data import mask_source, pairs
from perpixel.data import survey as survey_module
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.samples import Dataset
from perpixel.data.starter import starter
from perpixel.data.statistics import IMAGES_MEASURED, SurveyFacts, survey_training
from perpixel.data.survey import survey

Array = np.ndarray


def make(root: Path, n: int = 9, values: tuple[int, ...] = (0, 1, 2, 255), dtype: str = "uint8") -> Path:
    """n pairs of several sizes; the last three are val."""
    rng = np.random.default_rng(0)
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i in range(n):
        size = (20 + i % 3, 24 - i % 2)
        image = rng.normal(60 + 5 * i, 20, (*size, 3)).clip(0, 255) / 255
        stored = image.astype("float32") if dtype == "float32" else (image * np.iinfo(dtype).max).astype(dtype)
        tifffile.imwrite(root / f"images/{i}.tif", stored, photometric="rgb")
        mask = rng.choice(np.array(values[: 2 + i % len(values)], np.uint8), size)
        Image.fromarray(mask).save(root / f"masks/{i}.png")
    (root / "train.txt").write_text("\n".join(map(str, range(n - 3))))
    (root / "val.txt").write_text("\n".join(map(str, range(n - 3, n))))
    return root


def figures(dataset: Dataset, k: int) -> dict[str, Any]:
    """What a survey must say of train, pixel by pixel, as it was computed when every figure read its own files."""
    rows, moments, sizes = [], [], []
    for sample in dataset.splits["train"]:
        labels = np.asarray(Image.open(sample.mask_path or ""))
        rows.append(np.bincount(labels.ravel(), minlength=256))
        image = tifffile.imread(sample.image)
        full = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
        pixels = image.reshape(-1, 3)[::7].astype(np.float64) / full
        moments.append((pixels.mean(0), (pixels**2).mean(0)))
        sizes.append(labels.shape)
    table = np.array(rows)
    classes, mean = table[:, :k], np.mean([m for m, _ in moments], axis=0)
    std = np.sqrt(np.mean([s for _, s in moments], axis=0) - mean**2)
    return {
        "pixels": classes.sum(0).tolist(),
        "image_pixels": [int(classes[classes[:, c] > 0].sum()) for c in range(k)],
        "images": (classes > 0).sum(0).tolist(),
        "labelled": int(classes.sum()),
        "total": int(table.sum()),
        "mean": tuple(float(f"{v:.6g}") for v in mean),
        "std": tuple(float(f"{v:.6g}") for v in std),
        "median_size": tuple(int(v) for v in np.median(sizes, axis=0)),
    }


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_the_figures_are_those_of_the_formulas(tmp_path: Path, dtype: str) -> None:
    dataset = open_dataset(make(tmp_path / "d", dtype=dtype))
    found, expected = survey_training(dataset, "train", "val"), figures(dataset, 3)
    counts = {k: v.tolist() if isinstance(v, Array) else v for k, v in vars(found.counts).items()}
    assert counts == {k: expected[k] for k in counts}
    assert found.images.channels == 3
    for key in ("median_size", "mean", "std"):
        assert getattr(found.images, key) == expected[key], key


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is decoded by anything in the data folder."""
    found: Counter[str] = Counter()
    for module, name in ((survey_module, "read_raster"), (mask_source, "read_mask"), (pairs, "read_raster")):
        reader = getattr(module, name)

        def counting(path: Path, reader: Any = reader) -> Any:
            found[f"{Path(path).parent.name}/{Path(path).name}"] += 1
            return reader(path)

        monkeypatch.setattr(module, name, counting)
    return found


def test_every_file_is_decoded_once(tmp_path: Path, decoded: Counter[str]) -> None:
    dataset = open_dataset(make(tmp_path))
    assert decoded == {}, "opening a folder of a known layout decodes nothing"
    survey_training(dataset, "train", "val")
    images, masks = ({f"images/{i}.tif" for i in range(6)}, {f"masks/{i}.png" for i in range(9)})
    assert decoded == dict.fromkeys(images | masks, 1), "the images of val are not measured"
    decoded.clear()
    check_dataset(tmp_path)
    assert decoded == dict.fromkeys({f"images/{i}.tif" for i in range(9)} | masks, 1)


def test_told_classes_spare_the_masks_of_val(tmp_path: Path, decoded: Counter[str]) -> None:
    (make(tmp_path) / "dataset.yaml").write_text("classes: [a, b, c]\n")
    survey_training(open_dataset(tmp_path), "train", "val")
    assert sum(decoded.values()) == 12
    assert not {f"masks/{i}.png" for i in (6, 7, 8)} & set(decoded)


def test_windows_of_one_image_share_one_decoding(tmp_path: Path, decoded: Counter[str]) -> None:
    make(tmp_path)
    windows = ", ".join(f"{{stem: 0, window: [0, {left}, 10, 8]}}" for left in (0, 8, 15))
    (tmp_path / "dataset.yaml").write_text(f"splits: {{train: [{windows}, 1]}}\n")
    check_dataset(tmp_path)
    assert decoded == {"images/0.tif": 1, "masks/0.png": 1, "images/1.tif": 1, "masks/1.png": 1}


def test_at_most_so_many_images_are_measured_evenly_spread(tmp_path: Path, decoded: Counter[str]) -> None:
    n = 2 * IMAGES_MEASURED + 3
    make(tmp_path, n + 3)
    survey_training(open_dataset(tmp_path), "train", "val")
    places = sorted(int(Path(p).stem) for p in decoded if p.startswith("images"))
    assert len(places) == IMAGES_MEASURED
    names = [s.name for s in open_dataset(tmp_path).split("train")]
    order = sorted(names.index(str(p)) for p in places)
    assert (order[0], order[-1]) == (0, n - 1)
    assert set(np.diff(order)) <= {2, 3}
    assert sum(p.startswith("masks") for p in decoded) == n + 3


def test_classes_are_told_by_train_and_val_together(tmp_path: Path) -> None:
    """By train alone these masks would have two classes, and class 2 of val would belong to none."""
    make(tmp_path, values=(0, 1))
    Image.fromarray(np.array([[0, 1, 2, 2]], np.uint8)).resize((24, 20), 0).save(tmp_path / "masks/6.png")
    assert survey_training(open_dataset(tmp_path), "train", "val").taxonomy.num_classes == 3
    assert survey_training(open_dataset(tmp_path), "train", "none").taxonomy.num_classes == 2
    checked = check_dataset(tmp_path).meaning.taxonomy
    assert checked is not None and checked.num_classes == 3
    taxonomy = open_dataset(tmp_path).taxonomy
    assert taxonomy is not None and taxonomy.num_classes == 3


def test_kept_as_json_it_is_the_same(tmp_path: Path) -> None:
    found = survey_training(open_dataset(make(tmp_path)), "train", "val")
    again = SurveyFacts.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    assert (again.taxonomy, again.images, again.notes) == (found.taxonomy, found.images, found.notes)
    for key, value in vars(found.counts).items():
        np.testing.assert_array_equal(getattr(again.counts, key), value)
        assert type(getattr(again.counts, key)) is type(value)
    for broken in ({}, {**found.to_dict(), "counts": {"a": 1}}, {**found.to_dict(), "taxonomy": {}}):
        with pytest.raises(UserError):
            SurveyFacts.from_dict(broken)


class Stopping:
    """A reporter that stops the work after some steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def line(self, text: str) -> None: ...

    def step(self, done: int, total: int, text: str = "") -> None:
        assert (total, text) == (9, "reading")
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_it_can_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        survey(open_dataset(make(tmp_path)).splits, Stopping(4))


def test_the_first_fault_stops_training_and_names_its_file(tmp_path: Path) -> None:
    make(tmp_path)
    Image.fromarray(np.zeros((20, 99), np.uint8)).save(tmp_path / "masks/2.png")
    with pytest.raises(UserError, match=r"2\.png: the mask is 20x99 \(HxW\) but its image is 22x24"):
        survey_training(open_dataset(tmp_path), "train", "val")
    (tmp_path / "masks/1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"1\.png: the file is empty"):
        survey_training(open_dataset(tmp_path), "train", "val")


ONE_CLASS = {
    "one class and the rest ignored": (
        "classes: [{name: crack, values: 1}]\nignore: [0, 2]\n",
        "crack.*all others are ignored",
    ),
    "one class for all": ("classes: [{name: all, values: [0, 1, 2]}]\nignore: []\n", "all.*there are no others"),
    "two classes, one of which is nowhere": (
        "classes: [{name: any, values: [0, 1, 2]}, {name: ghost, values: 9}]\nignore: []\n",
        "any.*nothing to tell it apart from",
    ),
    "everything ignored": ("classes: [{name: a, values: 7}, {name: b, values: 8}]\nignore: [0, 1, 2]\n", "is ignored"),
}


@pytest.mark.parametrize(("text", "words"), ONE_CLASS.values(), ids=ONE_CLASS)
def test_where_there_is_nothing_to_tell_apart_training_does_not_begin(tmp_path: Path, text: str, words: str) -> None:
    (make(tmp_path, values=(0, 1, 2)) / "dataset.yaml").write_text(text)
    with pytest.raises(UserError, match=words):
        survey_training(open_dataset(tmp_path), "train", "val")
    assert check_dataset(tmp_path).defects != ()


PALETTE = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)


def palette_masks(root: Path, shuffled: bool) -> Path:
    """Masks whose colours are right in every file; the order of the palette may differ from file to file."""
    make(root, values=(0, 1, 2, 3))
    for i in range(9):
        labels = np.asarray(Image.open(root / f"masks/{i}.png"))
        order = np.random.default_rng(i).permutation(4) if shuffled else np.arange(4)
        stored = Image.fromarray(np.argsort(order).astype(np.uint8)[labels], "P")
        stored.putpalette(PALETTE[order].ravel().tolist())
        stored.save(root / f"masks/{i}.png")
        assert (np.asarray(Image.open(root / f"masks/{i}.png").convert("RGB")) == PALETTE[labels]).all()
    return root


def test_palettes_in_one_order_are_read_by_value(tmp_path: Path) -> None:
    found = survey_training(open_dataset(palette_masks(tmp_path, shuffled=False)), "train", "val")
    assert found.taxonomy.colours == tuple(map(tuple, PALETTE.tolist()))
    assert found.notes == ()


def test_palettes_that_differ_are_read_by_colour_or_not_at_all(tmp_path: Path) -> None:
    palette_masks(tmp_path, shuffled=True)
    with pytest.raises(
        UserError, match=r"the palettes of the masks differ: value \d is colour .* name the classes by their"
    ):
        survey_training(open_dataset(tmp_path), "train", "val")
    assert open_dataset(tmp_path).taxonomy is None
    checked = check_dataset(tmp_path)
    (defect,) = checked.defects
    assert "palettes of the masks differ" in defect.text
    assert not any("palettes" in w.text for w in checked.warnings)
    assert "--write" in defect.fix
    (tmp_path / "dataset.yaml").write_text(starter(checked) or "")
    assert check_dataset(tmp_path).defects == ()  # the fix is one
    shares = {row.values: row.pixels for row in checked.classes}
    seen = np.concatenate(
        [np.asarray(Image.open(p).convert("RGB")).reshape(-1, 3) for p in (tmp_path / "masks").iterdir()]
    )
    for colour in PALETTE.tolist():
        assert shares["-".join(map(str, colour))] == pytest.approx((seen == colour).all(1).mean())


def test_told_values_count_where_palettes_differ_and_it_is_said(tmp_path: Path) -> None:
    palette_masks(tmp_path, shuffled=True)
    (tmp_path / "dataset.yaml").write_text("classes: [a, b, c, d]\n")
    (note,) = survey_training(open_dataset(tmp_path), "train", "val").notes
    assert "palettes of the masks differ" in note and "the values count" in note
    told = check_dataset(tmp_path)
    assert any("palettes" in w.text for w in told.warnings)
    assert told.defects == ()
    colours = [{"name": n, "values": [c]} for n, c in zip("abcd", PALETTE.tolist(), strict=True)]
    (tmp_path / "dataset.yaml").write_text(f"classes: {json.dumps(colours)}\n")
    assert survey_training(open_dataset(tmp_path), "train", "val").notes == ()
