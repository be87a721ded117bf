"""A data set and a run with names that would break a page, and the page's elements."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.labels import Taxonomy
from perpixel.models import build
from perpixel.train import Recipe

NAMES = ("sky", "road", "<script>alert(1)</script>", "never there")
IMAGES = [f"{i} a&b <i>" for i in range(10)]
VOID = {"meta", "link", "img", "br"}
HISTORY = (
    "step,epoch,loss,lr,images_per_second,seconds,val_mean_iou,val_pixel_accuracy\n"
    "1,0.5,2.0,0.001,9,1,,\n2,1.0,nan,0.0005,9,2,0.125,0.5\n3,1.5,1.0,0.0001,9,3,0.25,0.75\n"
)


class Page(HTMLParser):
    """The page's elements: text by id, all attributes, all rows; and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.feed(html)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {k: v or "" for k, v in attrs}
        self.tags.append((tag, found))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append((tag, found.get("id", "")))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self.open.pop()
        assert opened == tag

    def handle_data(self, data: str) -> None:
        for _, name in self.open:
            if name:
                self.text[name] = self.text.get(name, "") + data
        if any(tag in ("td", "th") for tag, _ in self.open):
            self.rows[-1][-1] += data

    def row(self, first: str, cells: int) -> list[str]:
        """The one table row of so many cells that begins with a word."""
        found = [[c.strip() for c in r] for r in self.rows if r[0].strip() == first and len(r) == cells]
        assert len(found) == 1, (first, found)
        return found[0]

    def all(self, tag: str) -> list[dict[str, str]]:
        return [a for t, a in self.tags if t == tag]


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def make_data(folder: Path, split: str = "val") -> Path:
    """Random images with masks of three of the four classes and a stripe of ignored pixels."""
    random = np.random.default_rng(0)
    for i, name in enumerate(IMAGES):
        mask = np.kron(random.integers(0, 3, (5, 7)), np.ones((12, 12))).astype(np.uint8)
        mask[:6] = 255
        image = random.integers(0, 256, (*mask.shape, 3), dtype=np.uint8) // (i + 1)
        for kind, array in (("images", image), ("masks", mask)):
            place = folder / kind / split
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(place / f"{name}.png")
    description = {"name": "tiles & <b>co</b>", **Taxonomy.of(list(NAMES)).to_dict()}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(description))
    return folder


def make_run(folder: Path, data: Path, model: bool = True) -> Path:
    """A run folder as training leaves it, with a model that has learned nothing."""
    folder.mkdir()
    Recipe(steps=3).changed({"data.path": str(data)}).save(folder / "recipe.yaml")
    (folder / "environment.json").write_text(json.dumps({"command": "perpixel train 'a<b'", "devices": []}))
    (folder / "history.csv").write_text(HISTORY)
    if model:
        torch.manual_seed(1)
        info = BundleInfo(
            network="fast_scnn",
            taxonomy=Taxonomy.of(list(NAMES)).to_dict(),
            channels=3,
            mean=(0.5,) * 3,
            std=(0.25,) * 3,
            training={"step": 2, "steps": 3, "seconds": 90.0},
            metrics={"mean_iou": 0.4321, "num_present": 3, "num_classes": 4, "pixel_accuracy": 0.5, "images": 7,
                     "split": "val", "convention": "as training said", "iou": [0.9, 0.3, 0.0964, None]},
            data={"name": "tiles", "licence": "CC0", "train_images": 5},
        )  # fmt: skip
        save_bundle(folder / "best", build("fast_scnn", num_classes=len(NAMES)), info)
    return folder
