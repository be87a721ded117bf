"""A dataset.yaml says where things are and what they mean, or is refused in one line."""

import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.labels import Taxonomy

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from one_pixel import everything, make, names


def yaml(root: Path, text: str) -> Path:
    (root / "dataset.yaml").write_text(text)
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make(tmp_path, *(f"{f}/{s}.png" for f in ("rasters", "truth") for s in "abcd"))


def test_yaml_with_everything(pictures: Path) -> None:
    (pictures / "train.txt").write_text("a\nb.png\n\n")
    yaml(
        pictures,
        "name: fields\nlicence: CC0\nimages: rasters\nmasks: truth\n"
        "splits:\n  train: train.txt\n  val: [c]\n  rest: [{stem: d, window: [0, 1, 2, 3]}]\n"
        "classes:\n  - {name: field, values: [[100, 2, 3]]}\n  - {name: wood, values: [[4, 5, 6]], colour: [0, 255, 0]}\n"
        "ignore: [[0, 0, 0]]\n",
    )
    dataset = open_dataset(pictures)
    assert (dataset.name, dataset.licence, dataset.layout) == ("fields", "CC0", "dataset.yaml")
    assert names(dataset) == {"train": ["a", "b"], "val": ["c"], "rest": ["d@0,1"]}
    assert dataset.splits["rest"][0].window == (0, 1, 2, 3)
    assert dataset.taxonomy == Taxonomy(
        ("field", "wood"), ((100, 2, 3), (0, 255, 0)), (((100, 2, 3),), ((4, 5, 6),)), ((0, 0, 0),)
    )


def test_yaml_elsewhere_with_a_root_and_bare_names(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    file = tmp_path / "notes" / "fields.yaml"
    file.write_text(f"root: ../\nimages: rasters\nmasks: truth\nclasses: [a, b]\nname: {tmp_path.name}\n")
    dataset = open_dataset(file)
    assert dataset.root == tmp_path.resolve()
    assert dataset.taxonomy == Taxonomy.of(["a", "b"])
    assert len(everything(dataset)) == 4


def test_yaml_with_classes_alone_keeps_the_layout(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}/1.png" for f in ("images", "masks") for s in ("train", "val")))
    dataset = open_dataset(yaml(tmp_path, "classes: [a, b]\n"))
    assert dataset.layout == "folders by split"
    assert names(dataset) == {"train": ["1"], "val": ["1"]}
    assert dataset.taxonomy == Taxonomy.of(["a", "b"])


def test_yaml_folders_by_split_and_by_lists(tmp_path: Path) -> None:
    split = make(tmp_path / "split", *(f"{f}/{s}/1.png" for f in ("a", "b") for s in ("training", "valid")))
    assert names(open_dataset(yaml(split, "images: a\nmasks: b\n"))) == {"train": ["1"], "val": ["1"]}
    listed = make(tmp_path / "listed", *(f"{f}/{i}.png" for f in ("a", "b") for i in range(4)))
    (listed / "train.txt").write_text("0\n1\n2\n")
    (listed / "val.txt").write_text("3\n")
    assert names(open_dataset(yaml(listed, "images: a\nmasks: b\n"))) == {"train": ["0", "1", "2"], "val": ["3"]}


def test_yaml_with_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    make(tmp_path, "all/a.jpg", "all/a.png", "all/b.jpg", "all/b.png")
    found = everything(open_dataset(yaml(tmp_path, "images: all\nmasks: all\n")))
    assert found == {("all/a.jpg", "all/a.png"), ("all/b.jpg", "all/b.png")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imges: rasters\n", 'unknown key "imges"; known: .*Did you mean "images"'),
        ("images: rasters\nmasks: nowhere\n", '"masks" is .*nowhere, which is not a folder'),
        ("root: nowhere\n", '"root" is .*nowhere, which is not a folder'),
        ("classes: [a]\n", 'give "images" and "masks"'),
        ("[1, 2]", "expected keys such as"),
        ("a: [", "not valid YAML"),
        ("images: rasters\nmasks: truth\nclasses: [a, a]\n", "class name 'a' is given twice"),
        ("images: rasters\nmasks: truth\nsplits: [a]\n", '"splits" must be a mapping'),
        ("images: rasters\nmasks: truth\nsplits: {train: none.txt}\n", r"the list .*none\.txt does not exist"),
        ("images: rasters\nmasks: truth\nsplits: {train: 3}\n", "a split must be a list"),
        ("images: rasters\nmasks: truth\nsplits: {train: [z]}\n", 'no image and mask for "z"'),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, windwo: [0, 0, 1, 1]}]}\n", "expected {stem: a"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, 0, 1]}]}\n", "the window of a must be"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, 0, 0, 1]}]}\n", "window of a must be"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, -1, 1, 1]}]}\n", "window of a must be"),
    ],
)
def test_yaml_refuses(pictures: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_dataset(yaml(pictures, text))
    assert str(pictures / "dataset.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)
