"""The classes that check tells from the values of masks, and the dataset.yaml that it proposes for them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.data.check import check_dataset
from perpixel.data.starter import starter

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import NAMES, blobs, flat, photo, save, the_one

COLOURS = [(0, 0, 0), (128, 0, 0), (128, 128, 128), (0, 128, 64)]


def colour_folder(root: Path) -> Path:
    flat(root)
    for i, name in enumerate(NAMES):
        save(np.array(COLOURS, np.uint8)[blobs(i, (0, 1, 2, 3))], root / f"masks/{name}.png")
    save(np.array(COLOURS, np.uint8)[blobs(0, (0, 2))], root / "masks/p0.png")  # all grey: read as one channel
    return root


def test_colours_need_names_and_the_starter_makes_them_readable(tmp_path: Path) -> None:
    checked = check_dataset(colour_folder(tmp_path))
    assert checked.defects == ()
    assert checked.meaning.needs_names
    assert {row.values for row in checked.classes} == {"0-0-0", "128-0-0", "128-128-128", "0-128-64"}
    assert sum(row.pixels for row in checked.classes) == pytest.approx(1)
    text = starter(checked)
    assert text is not None
    (tmp_path / "dataset.yaml").write_text(text)
    again = check_dataset(tmp_path)
    assert again.defects == ()
    assert again.dataset.taxonomy is not None
    assert set(again.dataset.taxonomy.names) == {f"class {r}-{g}-{b}" for r, g, b in COLOURS}
    assert {r.values: r.pixels for r in again.classes} == pytest.approx({r.values: r.pixels for r in checked.classes})
    assert again.dataset.splits == checked.dataset.splits


def test_gaps_in_the_values_need_names(tmp_path: Path) -> None:
    checked = check_dataset(flat(tmp_path, values=(0, 7, 20, 255)))
    assert checked.defects == ()
    assert checked.meaning.needs_names
    data = yaml.safe_load(starter(checked) or "")
    assert [c["values"] for c in data["classes"]] == [[0], [7], [20]]
    assert data["ignore"] == [255]
    assert [c["name"] for c in data["classes"]] == ["class 0", "class 7", "class 20"]


def test_palette_masks_keep_their_colours(tmp_path: Path) -> None:
    flat(tmp_path)
    for i, name in enumerate(NAMES):
        image = Image.fromarray(blobs(i, (0, 5, 9)), "P")
        image.putpalette([v for j in range(256) for v in (10 * j % 256, 255 - j, 7)])
        image.save(tmp_path / f"masks/{name}.png")
    data = yaml.safe_load(starter(check_dataset(tmp_path)) or "")
    assert [c["colour"] for c in data["classes"]] == [[0, 255, 7], [50, 250, 7], [90, 246, 7]]


def test_voc_masks_stored_as_colours(tmp_path: Path) -> None:
    for i in range(4):
        save(photo(i), tmp_path / f"JPEGImages/2007_00000{i}.png")
        mask = np.zeros((40, 60, 3), np.uint8)
        mask[5:30, 5 + i : 30] = (192, 128, 128)
        mask[5:30, 30:32] = (224, 224, 192)
        save(mask, tmp_path / f"SegmentationClass/2007_00000{i}.png")
    checked = check_dataset(tmp_path)
    assert "another kind" in the_one(checked.defects).text
    (tmp_path / "dataset.yaml").write_text(starter(checked) or "")
    again = check_dataset(tmp_path)
    assert again.defects == ()
    assert {row.name for row in again.classes if row.images} == {"background", "person"}
    assert again.ignored == pytest.approx(4 * 50 / (4 * 2400))


def test_ids_stored_as_rgb_and_16_bit_are_read(tmp_path: Path) -> None:
    flat(tmp_path, values=(0, 1, 2))
    save(np.repeat(blobs(2, (0, 1, 2))[..., None], 3, 2), tmp_path / "masks/p2.png")
    save(blobs(3, (0, 1, 2)).astype(np.uint16), tmp_path / "masks/p3.png")
    checked = check_dataset(tmp_path)
    assert checked.defects == ()
    assert len(checked.classes) == 3
