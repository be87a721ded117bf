"""The page of data says what is true: its YAML is accepted, its messages are those that users get."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.pairs import read_pair
from perpixel.data.statistics import infer_taxonomy
from perpixel.labels import Taxonomy

ROOT = Path(__file__).parents[1]


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


EXAMPLES = [b for b in blocks(text_of("docs/your-data.md"), "yaml") if b.startswith("# dataset.yaml")]


def make_folder(root: Path, text: str) -> int:
    """A data folder that holds what an example speaks of; returns how many classes it has."""
    data = yaml.safe_load(text)
    classes = [c if isinstance(c, dict) else {"name": c, "values": i} for i, c in enumerate(data["classes"])]
    values = [v for c in classes for v in (c["values"] if isinstance(c["values"], list) else [c["values"]])]
    ignore = data.get("ignore", [])
    values += ignore if isinstance(ignore, list) else [ignore]
    rows, columns = np.indices((320, 300))
    mask = np.array(values, np.uint8)[(rows + columns) % len(values)]
    images, masks = root / data.get("images", "images"), root / data.get("masks", "masks")
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    splits = data.get("splits", {"train": [*range(8)]})
    for name, entry in splits.items():
        stems = [e["stem"] if isinstance(e, dict) else e for e in entry] if isinstance(entry, list) else [f"{name}1"]
        if isinstance(entry, str):
            (root / entry).write_text("\n".join(stems))
        for stem in stems:
            Image.fromarray(np.zeros((320, 300), np.uint8)).save(images / f"{stem}.png")
            Image.fromarray(mask).save(masks / f"{stem}.png")
    (root / "dataset.yaml").write_text(text)
    return len(classes)


def test_there_is_an_example_of_each_kind() -> None:
    assert len(EXAMPLES) == 4


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda t: yaml.safe_load(t)["name"])
def test_every_dataset_yaml_of_the_page_is_accepted(text: str, tmp_path: Path) -> None:
    count = make_folder(tmp_path, text)
    dataset = open_dataset(tmp_path)
    assert dataset.taxonomy is not None
    assert dataset.taxonomy.num_classes == count
    for split in ("train", "val"):
        _, labels = read_pair(dataset.split(split)[0], dataset.taxonomy)
        assert set(np.unique(labels)) - {255} == set(range(count))


PATTERNS = [b for b in blocks(text_of("docs/your-data.md"), "yaml") if b.startswith("# patterns")]


@pytest.mark.parametrize("text", PATTERNS, ids=["braces", "stars"])
def test_the_patterns_of_the_page_pair_what_stands_beside_them(text: str, tmp_path: Path) -> None:
    files = [line.split(" # ")[1] for line in text.splitlines() if " # " in line]
    assert len(files) == 2
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / file)
    (tmp_path / "dataset.yaml").write_text(text)
    (sample,) = open_dataset(tmp_path).split("all")
    assert sample.mask_path is not None
    assert [p.relative_to(tmp_path).as_posix() for p in (sample.image, sample.mask_path)] == files


def a_pair(root: Path, values: Any, size: tuple[int, int] = (40, 48), yaml_text: str = "") -> Path:
    """A data folder of one image of 40x48 and a mask that holds the given values in turn."""
    data = root / "DATA"
    (data / "images").mkdir(parents=True)
    (data / "masks").mkdir()
    rows, columns = np.indices(size)
    Image.fromarray(np.full((40, 48, 3), 9, np.uint8)).save(data / "images/0.png")
    Image.fromarray(np.array(values, np.uint8)[(rows + columns) % len(values)]).save(data / "masks/0.png")
    if yaml_text:
        (data / "dataset.yaml").write_text(yaml_text)
    return data


def with_photos_only(root: Path) -> Path:
    (root / "DATA/photos").mkdir(parents=True)
    return root / "DATA"


def with_two_of_a_stem(root: Path) -> Path:
    data = a_pair(root, [0, 1])
    Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(data / "images/0.jpg")
    return data


def with_an_empty_image(root: Path) -> Path:
    data = a_pair(root, [0, 1])
    (data / "images/0.png").write_bytes(b"")
    return data


def with_a_wrong_stem(root: Path) -> Path:
    data = a_pair(root, [0, 1], yaml_text="splits: {train: [33]}")
    for kind in ("images", "masks"):
        (data / kind / "0.png").rename(data / kind / "3.png")
    return data


CASES: dict[str, Callable[[Path], Path]] = {
    "no known layout": with_photos_only,
    "do not say what the classes are": lambda root: a_pair(root, [0, 3, 7]),
    "belongs to none": lambda root: a_pair(root, [0, 2], yaml_text="classes: [a, b]"),
    "holds colours": lambda root: a_pair(root, [[255, 0, 0], [0, 0, 0]], yaml_text="classes: [a, b]"),
    "they must be equal": lambda root: a_pair(root, [0, 1], size=(40, 44)),
    "the same stem": with_two_of_a_stem,
    "is empty": with_an_empty_image,
    "unknown key": lambda root: a_pair(root, [0, 1], yaml_text="clases: [a, b]"),
    "given twice": lambda root: a_pair(root, [0, 255], yaml_text="classes: [{name: a, values: 255}]\nignore: 255"),
    "no image and mask for": with_a_wrong_stem,
}


def read_all(folder: Path) -> None:
    dataset = open_dataset(folder)
    samples = [s for split in dataset.splits.values() for s in split]
    taxonomy: Taxonomy = dataset.taxonomy or infer_taxonomy(samples)
    for sample in samples:
        read_pair(sample, taxonomy)


def messages_of_the_page() -> list[str]:
    section = text_of("docs/your-data.md").split("## Errors and their fixes")[1]
    return [block.strip() for block in blocks(section, "text")]


@pytest.mark.parametrize("words", CASES)
def test_messages_of_the_page_are_those_that_users_get(words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        read_all(CASES[words](tmp_path))
    message = str(caught.value).replace(f"{tmp_path}/", "")
    assert [m for m in messages_of_the_page() if re.fullmatch(re.escape(m).replace("…", ".*"), message)], message


def test_every_message_of_the_page_has_a_case() -> None:
    assert len(messages_of_the_page()) == len(CASES) == 10
