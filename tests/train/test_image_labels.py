"""Image-level labels from CSV: what is read, and what a fault says."""

from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.train.image_labels import read_image_labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    for name in ("a.jpg", "b, c.jpg"):
        (tmp_path / "more" / name).touch()
    return tmp_path


def test_images_and_their_classes(folder: Path) -> None:
    lines = 'image,classes\r\nmore/a.jpg,person; traffic light\r\n\r\n"more/b, c.jpg",\r\n'
    (folder / "labels.csv").write_text(lines, encoding="utf-8-sig", newline="")
    found = read_image_labels(folder / "labels.csv")
    assert found == {folder / "more/a.jpg": ("person", "traffic light"), folder / "more/b, c.jpg": ()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'first line must be "image,classes"'),
        ("more/a.jpg,person\n", 'first line must be "image,classes"'),
        ("image,classes\nmore/a.jpg,person,car\n", "line 2: expected an image and its classes, divided by semicolons"),
        ("image,classes\nmore/a.jpg\n", "line 2: expected an image and its classes"),
        ("image,classes\n\nmore/x.jpg,car\n", "line 3: there is no image .*x.jpg"),
        ("image,classes\nmore/a.jpg,car\nmore/a.jpg,car\n", "line 3: more/a.jpg comes twice"),
        ('image,classes\n"more/a.jpg,car\n', "cannot be read as CSV"),
    ],
)
def test_a_fault_names_its_line(folder: Path, text: str, said: str) -> None:
    (folder / "labels.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read_image_labels(folder / "labels.csv")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.csv: cannot be read as CSV"):
        read_image_labels(tmp_path / "none.csv")
