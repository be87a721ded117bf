"""Scenes as a data set on disk, in the layout that needs no explanation."""

from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.files import write_text
from perpixel.data.scenes.compose import make_scene
from perpixel.data.scenes.paints import SCENES

# Splits are far apart in the index, so that a split can grow without changing another.
_FIRST = {"train": 0, "val": 1_000_000, "test": 2_000_000}


def write_scenes(
    folder: str | Path, train: int = 160, val: int = 40, test: int = 0, size: Size = (240, 320), seed: int = 0
) -> None:
    """Write `images/{train,val,test}/*.png`, `masks/…/*.png` (index PNG with palette) and `dataset.yaml`.

    Equal arguments write equal bytes; no scene is in two splits, and a split with more scenes begins with those of a
    smaller one. A split of 0 scenes gets no folder.

    Raises:
        UserError: the folder already holds images or masks that are not of these scenes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {f"{split}/{i:05d}.png": first + i for split, first, i in _plan(train, val, test)}
    _refuse_strangers(folder, set(wanted))
    for name, index in wanted.items():
        image, labels = make_scene(seed, index, size)
        _save(Image.fromarray(image), folder / "images" / name)
        _save(_with_palette(labels), folder / "masks" / name)
    write_text(folder / "dataset.yaml", yaml.safe_dump(_description(), sort_keys=False))


def _plan(train: int, val: int, test: int) -> list[tuple[str, int, int]]:
    """(split, first index, number) of every scene."""
    counts = {"train": train, "val": val, "test": test}
    return [(split, _FIRST[split], i) for split, count in counts.items() for i in range(count)]


def _refuse_strangers(folder: Path, wanted: set[str]) -> None:
    for kind in ("images", "masks"):
        for path in sorted((folder / kind).rglob("*")):
            if path.is_file() and path.relative_to(folder / kind).as_posix() not in wanted:
                raise UserError(f"{folder} already holds other files, such as {path}; give an empty or a new folder")


def _with_palette(labels: NDArray[np.uint8]) -> Image.Image:
    mask = Image.fromarray(labels)
    mask.putpalette(SCENES.palette.tobytes())
    return mask


def _save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, compress_level=1)


def _description() -> dict[str, object]:
    """What `dataset.yaml` says."""
    return {"name": "scenes", "licence": "CC0-1.0", **SCENES.to_dict()}
