"""Folders as people have them: names of other forms, links, files that are in no pair, data beside other things."""

import os
import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.listing import list_files, list_images
from perpixel.data.measured import default_split, identity

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_folders import TEN, flat, image, mask, splits


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["IMG_1.JPG", "IMG_2.JPG"], ["img_1.png", "img_2.png"]),
        (["1.jpg", "2.jpg"], ["1.jpg.png", "2.jpg.png"]),
        (["Scan 1.JPEG", "Scan 2.JPEG"], ["scan 1_MASK.PNG", "scan 2_MASK.PNG"]),
        (["e\u0301_1.png", "e\u0301_2.png"], ["\u00e9_1.png", "\u00e9_2.png"]),
        (["\u00e9_1.png", "\u00e9_2.png"], ["E\u0301_1_mask.png", "E\u0301_2_mask.png"]),
    ],
)
def test_names_that_differ_in_form_only_are_pairs(tmp_path: Path, images: list[str], masks: list[str]) -> None:
    for i, (a, b) in enumerate(zip(images, masks, strict=True)):
        image(tmp_path / "images" / a, i)
        mask(tmp_path / "masks" / b)
    dataset = open_dataset(tmp_path)
    assert {(s.image.name, s.mask_path.name) for f in dataset.splits.values() for s in f if s.mask_path} == set(
        zip(images, masks, strict=True)
    )
    assert dataset.unpaired == ()


def test_capitals_are_no_guess_where_two_could_be_meant(tmp_path: Path) -> None:
    for name in ("Ab", "aB", "c"):
        image(tmp_path / f"images/{name}.png")
    mask(tmp_path / "masks/AB.png")
    mask(tmp_path / "masks/C.png")
    dataset = open_dataset(tmp_path)
    assert splits(dataset)["train"] == ["c"]
    assert {p.name for p in dataset.unpaired} == {"Ab.png", "aB.png", "AB.png"}


def test_links_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    for site in "ab":
        flat(tmp_path / "store" / site, [f"{site}{i}" for i in range(3)])
    for kind in ("images", "masks"):
        folder = tmp_path / "data" / kind
        folder.mkdir(parents=True)
        for site in "ab":
            os.symlink(tmp_path / "store" / site / kind, folder / site)
        os.symlink(folder, folder / "circle")
        os.symlink(tmp_path / "store" / "a", tmp_path / "store" / "a" / kind / "around")
        os.symlink(tmp_path / "data", folder / "up")
    dataset = open_dataset(tmp_path / "data")
    assert sorted(s for found in splits(dataset).values() for s in found) == [
        f"{s}/{s}{i}" for s in "ab" for i in range(3)
    ]


def test_a_link_that_leads_nowhere_is_counted(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    os.symlink(tmp_path / "gone.png", tmp_path / "images/99.png")
    assert open_dataset(tmp_path).notes == ("1 files not read as images: 1 broken links",)


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    flat(tmp_path, ["a"])
    image(tmp_path / "images/.b.png")
    image(tmp_path / ".cache/c.png")
    assert [p.name for p in list_images(tmp_path)] == ["a.png", "a.png"]
    assert list_files(tmp_path).others == ()


def test_all_that_is_in_no_pair_is_counted_and_named(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    for i in range(4):
        (tmp_path / f"masks/{i:02}.png").rename(tmp_path / f"masks/{i:02} copy.png")
        image(tmp_path / f"previews/{i}.png")
        (tmp_path / f"labels_{i}.xml").write_text("<a/>")
    (tmp_path / "images/raw.cr2").write_bytes(b"x")
    assert open_dataset(tmp_path).notes == (
        "8 files without a partner: images/00.png, images/01.png, images/02.png, images/03.png and 4 more",
        "4 pictures in no pair: previews/ (4)",
        "4 files that may hold labels but are no images (4 .xml): draw their polygons or boxes into masks",
        "1 files not read as images: 1 .cr2",
    )


def test_labels_that_are_no_images_are_named_where_masks_are_missed(tmp_path: Path) -> None:
    for i in range(3):
        image(tmp_path / f"images/{i}.png")
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / f"annotations/{i}.json").write_text("{}")
    with pytest.raises(UserError, match=r"may hold labels but are no images \(3 \.json\): draw their polygons"):
        open_dataset(tmp_path).split("train")
    (tmp_path / "annotations").rename(tmp_path / "polygons")
    with pytest.raises(
        UserError, match=r"may hold labels but are no images: 3 \.json\. Read are labelme, coco, .*; draw"
    ):
        open_dataset(tmp_path)


@pytest.mark.parametrize(("one", "other"), [("masks", "annotations"), ("mask", "1st_manual"), ("labels", "vessels")])
def test_two_folders_that_may_hold_the_masks_are_a_question(tmp_path: Path, one: str, other: str) -> None:
    for i in range(4):
        image(tmp_path / f"images/{i}.png", i)
        mask(tmp_path / f"{one}/{i}.png", (0, 255))
        mask(tmp_path / f"{other}/{i}.png", (0, 3))
    with pytest.raises(UserError, match="more than one folder may hold the masks") as caught:
        open_dataset(tmp_path)
    for folder, values in ((one, "0, 255"), (other, "0, 3")):
        assert f"{folder}/ (4 pictures, 0.png has {values})" in str(caught.value)
    (tmp_path / "dataset.yaml").write_text(f"masks: {other}\n")
    dataset = open_dataset(tmp_path)
    assert {s.mask_path.parent.name for s in dataset.split("all") if s.mask_path} == {other}
    assert f"4 pictures in no pair: {one}/ (4)" in dataset.notes


def test_photos_and_results_beside_are_no_question(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    for i in range(10):
        image(tmp_path / f"infrared/{i}.png", i)
        mask(tmp_path / f"predictions/{i}.png")
    assert open_dataset(tmp_path).notes == ("20 pictures in no pair: infrared/ (10), predictions/ (10)",)


def test_one_pair_by_chance_does_not_hide_the_data_in_a_subfolder(tmp_path: Path) -> None:
    image(tmp_path / "figure.jpg")
    mask(tmp_path / "figure.png")
    for i in range(12):
        image(tmp_path / f"magnets/Imgs/{i}.jpg", i)
        mask(tmp_path / f"magnets/Imgs/{i}.png")
    dataset = open_dataset(tmp_path)
    assert sorted(s.name for s in dataset.split("all")) == sorted(map(str, range(12)))
    assert dataset.notes == ("2 pictures outside of magnets/Imgs/, where the pairs are",)


def test_several_folders_with_data_are_a_question(tmp_path: Path) -> None:
    image(tmp_path / "figure.jpg")
    for kind in ("blowhole", "crack"):
        flat(tmp_path / kind, TEN[:4])
    with pytest.raises(UserError, match=r"more than one folder: blowhole \(4 pairs\), crack \(4 pairs\)"):
        open_dataset(tmp_path)
    text = 'images: "*/images/*"\nmasks: "*/masks/*"\n'
    (tmp_path / "dataset.yaml").write_text(text)
    names = {s.name for s in open_dataset(tmp_path).split("all")}
    assert len(names) == 8


def test_what_is_only_measured_is_measured_whole(tmp_path: Path) -> None:
    trained, other = open_dataset(flat(tmp_path / "a", TEN)), open_dataset(flat(tmp_path / "b/a", ["t1", "t2"]))
    about = {"name": "a", "identity": identity(trained)}
    assert default_split(trained, about) == "val"
    assert default_split(other, about) == "all"
    assert len(other.split("all")) == 2
    assert default_split(other, {"name": "a"}) == "val", "an old bundle knows its data by name alone"
    assert default_split(other, {"name": "b"}) == "all"
    (tmp_path / "b/a/val.txt").write_text("t1")
    (tmp_path / "b/a/train.txt").write_text("t2")
    assert default_split(open_dataset(tmp_path / "b/a"), about) == "val", "somebody divided it"
