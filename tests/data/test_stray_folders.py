"""Folders as people have them: lists of other programs, names of other forms, links, files that are in no pair."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.listing import list_files, list_images
from perpixel.data.measured import default_split, identity
from perpixel.data.naming import Names
from perpixel.data.samples import Dataset, Sample
from perpixel.data.starter import starter


def image(path: Path, seed: int = 0, size: tuple[int, int] = (16, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)).save(path)


def mask(path: Path, values: tuple[int, ...] = (0, 1), size: tuple[int, int] = (16, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(values, np.uint8), size)).save(path)


def flat(root: Path, names: list[str], ending: str = ".png") -> Path:
    for i, name in enumerate(names):
        image(root / f"images/{name}{ending}", i)
        mask(root / f"masks/{name}.png")
    return root


def splits(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in found] for split, found in dataset.splits.items()}


TEN = [f"{i:02}" for i in range(10)]
WANTED = {"train": TEN[:6], "val": TEN[6:]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "images\\{}.png masks\\{}.png",
        "C:\\data\\images\\{}.PNG",
        "./images/{}.png",
        '"{}"',
        "images/{}.png,masks/{}.png",
        "images/{}.png;masks/{}.png",
        "images/{}.png\tmasks/{}.png",
        "{} 1",
    ],
)
def test_lists_of_any_program_give_their_split(tmp_path: Path, line: str, encoding: str) -> None:
    flat(tmp_path, TEN)
    for split, names in WANTED.items():
        text = "\r\n".join(line.format(n, n) for n in names) + "\r\n\r\n"
        (tmp_path / f"{split}.txt").write_bytes(text.encode(encoding))
    dataset = open_dataset(tmp_path)
    assert splits(dataset) == WANTED
    assert dataset.notes == ()
    assert check_dataset(tmp_path).defects == ()


def test_names_with_spaces_and_with_accents_taken_apart(tmp_path: Path) -> None:
    names = [f"Größe {n} links" for n in TEN]
    flat(tmp_path, [unicodedata.normalize("NFD", n) for n in names])
    (tmp_path / "train.txt").write_text("\n".join(f"{n}.png {n}_mask.png" for n in names[:6]))
    (tmp_path / "val.txt").write_text("\n".join(names[6:]))
    assert splits(open_dataset(tmp_path)) == {"train": names[:6], "val": names[6:]}


def test_an_empty_list_is_a_split_of_nothing_and_what_is_in_no_list_is_said(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    (tmp_path / "train.txt").write_text("\n".join(TEN[:6]))
    (tmp_path / "val.txt").write_text("\n")
    dataset = open_dataset(tmp_path)
    assert splits(dataset) == {"train": TEN[:6], "val": []}
    assert dataset.notes == ("4 pairs are in no list (train.txt, val.txt): 06, 07, 08, 09",)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_line_that_means_nothing_stops_training_and_is_a_defect(tmp_path: Path, split: str) -> None:
    flat(tmp_path, TEN)
    for name, part in WANTED.items():
        (tmp_path / f"{name}.txt").write_text("\n".join([*part, "ten"] if name == split else part))
    with pytest.raises(UserError, match=rf"{split}\.txt: no image and mask for ten \(1 of "):
        open_dataset(tmp_path).split("train")
    assert check_dataset(tmp_path).defects[0].files == (f"{split}.txt: ten",)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    (tmp_path / "train.txt").write_bytes(b"0\xff\xfe\x001")
    with pytest.raises(UserError, match=r"train\.txt, line 1"):
        open_dataset(tmp_path)


def test_trainval_less_val_is_train(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    (tmp_path / "trainval.txt").write_text("\n".join(TEN[:8]))
    (tmp_path / "val.txt").write_text("\n".join(TEN[6:8]))
    (tmp_path / "test.txt").write_text("\n".join(TEN[8:]))
    assert splits(open_dataset(tmp_path)) == {"train": TEN[:6], "val": TEN[6:8], "test": TEN[8:]}


def test_lists_beside_folders_of_splits_are_not_used_and_said(tmp_path: Path) -> None:
    for split in ("train", "val"):
        image(tmp_path / f"images/{split}/a{split}.png")
        mask(tmp_path / f"masks/{split}/a{split}.png")
    (tmp_path / "train.txt").write_text("aval")
    assert open_dataset(tmp_path).notes == ("not used, the folders say the splits: train.txt",)


def sample(name: str) -> Sample:
    return Sample(name, Path(f"{name}.png"), None)


def test_the_longest_end_of_a_path_that_is_a_name_counts() -> None:
    names = Names.of([sample("1"), sample("b/1"), sample("a/b/1"), sample("c/2")])
    assert [getattr(names.find(e), "name", None) for e in ("x/a/b/1.png", "z/b/1", "y/1", "c/2", "2", "3")] == [
        "a/b/1",
        "b/1",
        "1",
        "c/2",
        "c/2",
        None,
    ]


@pytest.mark.parametrize(
    ("names", "entry", "found"),
    [
        (["001_image", "002_image"], "2", "002_image"),
        (["002_image", "2_image"], "2", None),
        (["8", "010"], "010", "010"),
        (["8", "010"], "10", "010"),
        (["IMG_7", "IMG_8"], "img_7.JPG", "IMG_7"),
        (["a", "A"], "a", "a"),
        (["run3_a"], "3", "run3_a"),
        (["x1_2"], "2", None),
    ],
)
def test_ids_and_capitals_where_there_is_one_reading(names: list[str], entry: str, found: str | None) -> None:
    assert getattr(Names.of(map(sample, names)).find(entry), "name", None) == found


def test_an_unknown_name_shows_right_ones(tmp_path: Path) -> None:
    flat(tmp_path, ["002_image", "003_image"])
    (tmp_path / "dataset.yaml").write_text("images: images\nmasks: masks\nsplits: {train: [7]}\n")
    with pytest.raises(UserError, match=r'for "7".*such as 002_image, 003_image'):
        open_dataset(tmp_path)


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
    with pytest.raises(UserError, match=r"may hold labels but are no images: 3 \.json\. Polygons"):
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


def drive(root: Path) -> Path:
    for split, first in (("training", 21), ("test", 1)):
        for i in range(first, first + 4):
            image(root / f"{split}/images/{i:02}_{split}.tif", i)
            mask(root / f"{split}/1st_manual/{i:02}_manual1.gif", (0, 255))
            mask(root / f"{split}/mask/{i:02}_{split}_mask.gif", (0, 255))
    return root


def test_a_pattern_describes_names_of_a_publisher_and_check_proposes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"more than one folder may hold the masks: mask/.*1st_manual/"):
        open_dataset(drive(tmp_path))
    (tmp_path / "dataset.yaml").write_text("masks: 1st_manual\n")
    checked = check_dataset(tmp_path)
    patterns = {"images": "{split}/images/{id}_{split}.tif", "masks": "{split}/1st_manual/{id}_manual1.gif"}
    assert f"images: {patterns['images']} and masks: {patterns['masks']}" in checked.defects[0].fix
    text = starter(checked)
    assert text is not None and yaml.safe_load(text) == patterns
    (tmp_path / "dataset.yaml").write_text(text)
    dataset = open_dataset(tmp_path)
    assert sorted(s.name for s in dataset.split("all")) == sorted(f"{i:02}" for i in (*range(21, 25), *range(1, 5)))
    assert {s.name for s in dataset.split("test")} == {"01", "02", "03", "04"}
    assert all(s.mask_path and s.mask_path.name == f"{s.name}_manual1.gif" for s in dataset.split("all"))
    assert dataset.unpaired == ()
    assert dataset.notes == ("8 pictures in no pair: test/mask/ (4), training/mask/ (4)",)


def test_masks_of_any_name_inside_folders_of_splits(tmp_path: Path) -> None:
    for split in ("training", "test"):
        for i in range(3):
            image(tmp_path / f"{split}/images/{split}{i}.png", i)
            mask(tmp_path / f"{split}/1st_manual/{split}{i}.png")
            mask(tmp_path / f"{split}/mask/{split}{i}.png")
    (tmp_path / "dataset.yaml").write_text("masks: 1st_manual\n")
    dataset = open_dataset(tmp_path)
    assert {s.mask_path.parent.name for s in dataset.split("all") if s.mask_path} == {"1st_manual"}
    assert set(dataset.splits) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{id}_sat.jpg", "{id}_truth.png"),
        ("*_sat.jpg", "*_sat.png"),
        ("**/{id}_sat.jpg", "**/{id}_truth.png"),
        ("images/{city}/{id}_sat.jpg", "labels/{city}/{id}_truth.png"),
        ("images/{id}_sat.jpg", "labels"),
    ],
)
def test_patterns_and_globs(tmp_path: Path, images: str, masks: str) -> None:
    for i in range(4):
        folders = ("images/rome", "labels/rome") if "/" in images and "**" not in images else ("", "")
        ending = "sat" if masks in ("*_sat.png",) else "mask" if masks == "labels" else "truth"
        image(tmp_path / folders[0] / f"{i}_sat.jpg", i)
        mask(tmp_path / folders[1] / f"{i}_{ending}.png")
    (tmp_path / "dataset.yaml").write_text(yaml.safe_dump({"images": images, "masks": masks}))
    dataset = open_dataset(tmp_path)
    assert len(dataset.split("all")) == 4
    for s in dataset.split("all"):
        assert s.mask_path is not None and s.mask_path.name[0] == s.image.name[0]


def test_a_pattern_that_fits_nothing_shows_what_is_there(tmp_path: Path) -> None:
    flat(tmp_path, ["a", "b"])
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}_x.png", masks: "masks/{id}.png"}')
    with pytest.raises(UserError, match=r"no file fits .images: images/\{id\}_x\.png.*images/a\.png"):
        open_dataset(tmp_path)


def test_two_files_that_fill_a_pattern_alike_are_refused(tmp_path: Path) -> None:
    flat(tmp_path, ["a", "b"])
    mask(tmp_path / "masks/a_2.png")
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}.png", masks: "masks/?????*"}')
    mask(tmp_path / "masks/b.bmp")
    (tmp_path / "dataset.yaml").write_text('{images: "images/{id}.png", masks: "masks/{id}.*"}')
    with pytest.raises(UserError, match="fill the pattern alike"):
        open_dataset(tmp_path)


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


def test_values_as_they_are_written_in_yaml(tmp_path: Path) -> None:
    flat(tmp_path, ["8", "010", "no", "1.10", "null", "1_000"])
    text = "images: images\nmasks: masks\nname: 1.10\nclasses: [no, {name: 007, values: 1}]\n"
    (tmp_path / "dataset.yaml").write_text(text + "splits: {train: [010, no, 1.10], val: [null, {stem: 1_000}]}\n")
    dataset = open_dataset(tmp_path)
    assert splits(dataset) == {"train": ["010", "no", "1.10"], "val": ["null", "1_000"]}
    assert dataset.classes is not None and dataset.classes.names == ("no", "007")
    assert dataset.name == "1.10"


def test_a_starter_for_ids_in_one_channel_has_colours_that_can_be_seen(tmp_path: Path) -> None:
    flat(tmp_path, TEN)
    for i in range(10):
        ids = np.resize(np.array([0, 1, 2], np.uint8), (16, 20))
        Image.fromarray(np.dstack([ids * 0, ids, ids * 0])).save(tmp_path / f"masks/{i:02}.png")
    classes = yaml.safe_load(starter(check_dataset(tmp_path)) or "")["classes"]
    assert [c["values"] for c in classes] == [[[0, i, 0]] for i in range(3)]
    assert [c["colour"] for c in classes] == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]


@pytest.mark.parametrize(("masks", "classes"), [(1, 2), (4, None)])
def test_a_value_of_two_masks_in_a_hundred_is_no_class(tmp_path: Path, masks: int, classes: int | None) -> None:
    """Of 40 masks, 7 stands in one pixel of 1 of them (a slip), or of 4 (10 %: who knows)."""
    flat(tmp_path, [f"{i:02}" for i in range(40)])
    for i in range(40):
        drawn = np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((20, 30), np.uint8))
        if i < masks:
            drawn[5, 5] = 7
        Image.fromarray(drawn).save(tmp_path / f"masks/{i:02}.png")
        image(tmp_path / f"images/{i:02}.png", i, (40, 60))
    found = check_dataset(tmp_path).meaning.taxonomy
    assert (found and found.num_classes) == classes
