"""MSeg's table as a taxonomy: a small one of the same form, and the public one where it is there."""

from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.labels import read_mapping, read_mseg

HEAD = ("Parent Category", "town-4", "universal", "WordNet 3.1 Synset", "Defn (of it)", "voc")
ROWS = (
    ("thing", "cat", "cat", "cat.n.01", 'a "pet", small', "cat"),
    ("thing", "{house,building}", "building", "", "", "background"),
    ("thing", "", "road", "", "", "background"),
    ("thing", "{ground, path}", "terrain", "", "", ""),
    ("thing", "ground", "sand", "", "", ""),
    ("thing", "void", "unlabeled", "", "", ""),
)


def table(file: Path, rows: tuple[tuple[str, ...], ...] = ROWS, head: tuple[str, ...] = HEAD) -> Path:
    file.write_text("".join("\t".join(row) + "\r\n" for row in (head, *rows)).replace('"', ""), encoding="utf-8")
    return file


def test_a_small_table(tmp_path: Path) -> None:
    found = read_mseg(table(tmp_path / "small.tsv"))
    assert found.classes.names == ("cat", "building", "road", "terrain", "sand")
    assert dict(found.sets["town-4"]) == {
        "cat": ("cat",),
        "house": ("building",),
        "building": ("building",),
        "ground": ("terrain", "sand"),
        "path": ("terrain",),
        "void": (),
    }
    assert dict(found.sets["voc"]) == {"cat": ("cat",), "background": ("building", "road")}
    assert list(found.sets) == ["town-4", "voc"]


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    found = read_mseg(table(tmp_path / "small.tsv"))
    found.save(tmp_path / "small.yaml")
    again = read_mapping(tmp_path / "small.yaml")
    assert (again.classes, again.sets) == (found.classes, found.sets)


def test_what_is_no_such_table(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"row 3: 5 columns, but the first row has 6"):
        read_mseg(table(tmp_path / "a.tsv", (ROWS[0], ROWS[1][:-1])))
    with pytest.raises(UserError, match=r'one of them "universal"'):
        read_mseg(table(tmp_path / "b.tsv", head=tuple(h.replace("universal", "all") for h in HEAD)))
    with pytest.raises(UserError, match=r"the class name 'cat' is given twice"):
        read_mseg(table(tmp_path / "c.tsv", (ROWS[0], ROWS[0])))
    with pytest.raises(UserError, match=r'the column "voc" is there twice'):
        read_mseg(table(tmp_path / "d.tsv", head=(*HEAD[:1], "voc", *HEAD[2:])))


def test_the_public_table(real_data: Path, tmp_path: Path) -> None:
    """194 universal classes; the sets of which MSeg's own lists of names are there have these classes and no other."""
    found = read_mseg(real_data / "mseg" / "MSeg_master.tsv")
    assert found.classes.num_classes == 194
    assert len(found.sets) == 25
    assert set(found.sets["voc2012"]["person"]) == {"person", "rider_other", "bicyclist", "motorcyclist"}
    for key in ("camvid-11", "cityscapes-19", "voc2012", "ade20k-150", "coco-panoptic-133", "idd-39", "kitti-19"):
        names = (real_data / "mseg" / f"{key}_names.txt").read_text(encoding="utf-8").split("\n")
        assert set(found.sets[key]) == {n.strip() for n in names if n.strip()}, key
    found.save(tmp_path / "mseg.yaml")
    again = read_mapping(tmp_path / "mseg.yaml")
    assert (again.classes, again.sets) == (found.classes, found.sets)
