"""Lists of other programs that say which image is in which split, and how their entries find a sample."""

import sys
import unicodedata
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset
from perpixel.data.folders import open_dataset
from perpixel.data.naming import Names
from perpixel.data.samples import Sample

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_folders import TEN, flat, image, mask, splits

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
