"""A mapping file: what it says, and what is refused in one line."""

from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.labels import CommonTaxonomy, Taxonomy, read_mapping

STREET = """
name: street
classes: [building, road, {name: tree, colour: [0, 128, 0]}]
sets:
  town:
    House: building
    door: building
    Road_Way: road
    tree: tree
    lamp: ignore
  land:
    ground: [road, tree]
    house: building
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "street.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def street(tmp_path: Path) -> CommonTaxonomy:
    return read_mapping(written(tmp_path, STREET))


def test_merged_renamed_and_dropped(street: CommonTaxonomy) -> None:
    """Names may differ in capitals, blanks, hyphens and underscores; the order is the set's own."""
    own = ["lamp", "door", "house", "road way", "tree"]
    assert street.parts("town", own) == ((), (0,), (0,), (1,), (2,))
    assert street.classes.colours[2] == (0, 128, 0)


def test_masks_are_read_as_common_labels(street: CommonTaxonomy) -> None:
    own = Taxonomy.of(["house", "door", "road way", "tree", "lamp"], values=[(7,), (8,), (9,), (10,), (11,)])
    mask = np.array([[7, 8, 9, 10, 11, 255]], np.uint8)
    assert street.labels_of("town", own).encode(mask).tolist() == [[0, 0, 1, 2, 255, 255]]
    assert street.left_out("town", own.names) == ("lamp",)


def test_what_is_several_common_classes_is_ignored_in_training(street: CommonTaxonomy) -> None:
    own = Taxonomy.of(["ground", "house"], values=[(0,), (1,)])
    assert street.labels_of("land", own).encode(np.array([[0, 1]], np.uint8)).tolist() == [[255, 0]]


def test_colours_stay_colours(street: CommonTaxonomy) -> None:
    own = Taxonomy.of(["house", "ground"], values=[((9, 0, 0),), ((0, 9, 0),)], ignore=((0, 0, 0),))
    mask = np.array([[[9, 0, 0], [0, 9, 0], [0, 0, 0]]], np.uint8)
    assert street.labels_of("land", own).encode(mask).tolist() == [[0, 255, 255]]


def test_written_and_read_again(street: CommonTaxonomy, tmp_path: Path) -> None:
    street.save(tmp_path / "again.yaml")
    again = read_mapping(tmp_path / "again.yaml")
    assert (again.name, again.classes, again.sets) == (street.name, street.classes, street.sets)


def test_which_set_it_is(street: CommonTaxonomy) -> None:
    assert street.set_of("land", ["anything"]) == "land"
    assert street.set_of("Land", ["anything"]) == "land"
    assert street.set_of("my photos", ["HOUSE", "ground"]) == "land"
    with pytest.raises(UserError, match=r'which set is "my photos"\? There are: town, land'):
        street.set_of("my photos", ["house"])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("tree: tree", "tree: tre", r'class "tree" of town is "tre", which is no class.*Did you mean "tree"\?'),
        ("lamp: ignore", "lamp: ignored", r'"ignored", which is no class.*Did you mean "ignore"\?'),
        ("lamp: ignore", "lamp: ", r'"lamp" must be a common class, a list of them, or ignore'),
        ("lamp: ignore", "tree: road", r'line 10: the key "tree" is given twice'),
        ("[road, tree]", "[road, road]", r'class "ground" of land names a common class twice: road, road'),
        ("[building, road,", "[building, road, road,", r"the class name 'road' is given twice"),
        ("[building, road,", "[building, ignore, road,", r'"ignore" stands for what is dropped'),
        ("sets:", "set:", r'unknown key "set".*Did you mean "sets"\?'),
        ("colour:", "color_:", r'got the key "color_"'),
    ],
)
def test_one_clear_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in STREET
    with pytest.raises(UserError, match=words) as refused:
        read_mapping(written(tmp_path, STREET.replace(old, new)))
    assert "street.yaml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_class_that_is_missing_or_too_much(street: CommonTaxonomy) -> None:
    with pytest.raises(UserError, match=r'land has a class "grounds" that its block does not name.*"ground"\?'):
        street.parts("land", ["grounds", "house"])
    with pytest.raises(UserError, match=r'land has no class "house", which its block names'):
        street.parts("land", ["ground"])
    with pytest.raises(UserError, match=r'no set "lend"; there are: town, land.*"land"\?'):
        street.block("lend")
