"""The page of `check --report`: every finding with its files, and pictures of the samples that they name."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from perpixel.data.check import check_dataset
from perpixel.report.check_page import _bordered, write_check_page


def folder(root: Path) -> Path:
    for i in range(6):
        image = np.random.default_rng(i).integers(0, 256, (40, 60, 3), dtype=np.uint8)
        mask = np.zeros((40, 60), np.uint8)
        mask[5 + i : 30, 10:40] = 1
        for kind, array in (("images", image), ("masks", mask)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / kind / f"p{i}.png")
    (root / "dataset.yaml").write_text(
        "classes: [{name: ground, colour: [0, 0, 0]}, {name: '<b>cat', colour: [0, 0, 255]}]\n"
    )
    return root


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r'<img src="data:image/webp;base64,([^"]+)"', page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(f))).convert("RGB")) for f in found]


def test_a_clean_set_has_no_finding(tmp_path: Path) -> None:
    page = write_check_page(tmp_path / "p.html", check_dataset(folder(tmp_path / "data"))).read_text()
    assert "0 defects, 0 warnings" in page and "&lt;b&gt;cat" in page and "<b>cat" not in page
    assert not pictures(page)


def test_findings_have_their_samples_pictures(tmp_path: Path) -> None:
    root = folder(tmp_path / "data")
    image = np.asarray(Image.open(root / "images/p2.png")).copy()
    image[..., 0] = 0
    Image.fromarray(image).save(root / "images/p2.png")
    (root / "images/p4.png").write_bytes(b"no picture")
    page = write_check_page(tmp_path / "p.html", check_dataset(root)).read_text()
    assert "1 defect, 1 warning" in page
    assert "images/p4.png: not an image" in page and "images/p2.png: band 1" in page
    shown, mask, borders = pictures(page)  # p4 has no picture that could be shown
    assert np.abs(shown.astype(int) - image).mean() < 60 and shown[..., 0].mean() < 40
    assert mask[20, 20, 2] > 200 and mask[2, 2, 2] < 40
    assert borders.shape == image.shape


def test_borders_are_yellow_and_the_rest_is_the_image() -> None:
    image = np.full((4, 5, 3), 9, np.uint8)
    labels = np.array([[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]])
    yellow = (_bordered(image, labels) == (255, 230, 0)).all(2)
    expected = ["00000", "01110", "01010", "01100"]
    assert ["".join(str(int(v)) for v in row) for row in yellow] == expected
    assert (_bordered(image, labels)[~yellow] == 9).all()
