"""The lecture's page runs as it stands, names the networks that it must, and its pictures are those that are drawn."""

import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from perpixel.models import MODELS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lecture.md"
TEXT = PAGE.read_text(encoding="utf-8")
PICTURES = ROOT / "docs" / "images" / "lecture"
NETWORKS = """fcn32s fcn16s fcn8s fcn8s_at_once unet deconvnet segnet segnet_basic bayesian_segnet_basic multi_scale
    dilated_frontend dilation8 drn_a_50 drn_b_26 drn_c_26 drn_c_42 drn_d_22 drn_d_38 drn_d_105 parsenet pspnet encnet
    enet erfnet fast_scnn deeplabv3 deeplabv3plus hrnet_w18 hrnet_w48 fpn fcn_resnet deformable_deeplab decouplednet
    segformer""".split()
PAPERS = (
    "ENet",
    "ERFNet",
    "Fast-SCNN",
    "DeepLabv3+",
    "HRNet",
    "FPN",
    "OHEM",
    "Deformable",
    "DecoupledNet",
    "SegFormer",
)


def blocks() -> list[tuple[int, str]]:
    """(line, code) of every Python block of the page."""
    found = re.finditer(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [(TEXT.count("\n", 0, match.start(1)), match.group(1)) for match in found]


def test_every_block_prints_what_the_page_says() -> None:
    """In the order of the page and with the names of the blocks before it, as a reader would type them."""
    names: dict[str, object] = {}
    parser, said = doctest.DocTestParser(), []
    for line, code in blocks():
        runner = doctest.DocTestRunner(verbose=False)
        test = parser.get_doctest(code, names, f"line {line}", "docs/lecture.md", line)
        assert test.examples, f"line {line}: a block without >>>"
        runner.run(test, out=said.append, clear_globs=False)
        names = test.globs
    assert not said, "".join(said)
    assert len(blocks()) >= 20


def test_sections_have_code() -> None:
    """From the first section to the reading list, each has a paragraph and a block."""
    sections = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    assert len(sections) == 24
    assert [s.splitlines()[0] for s in sections if "```python" not in s] == []


def test_the_networks_of_the_lecture_are_named_and_exist() -> None:
    missing = [name for name in NETWORKS if f"`{name}`" not in TEXT and f'"{name}"' not in TEXT]
    unknown = [name for name in re.findall(r'build\("(\w+)"', TEXT) if name not in MODELS]
    assert missing == [] and unknown == [] and set(NETWORKS) <= set(MODELS)
    assert [paper for paper in PAPERS if paper not in TEXT] == []


@pytest.fixture
def figures() -> Iterator[dict[str, ModuleType]]:
    """The modules that draw, imported from their folder and forgotten afterwards."""
    names = (
        "style",
        "upsampling",
        "fields",
        "coarse_to_fine",
        "gridding",
        "pyramid",
        "people",
        "votes",
        "sampling",
        "draw",
    )
    sys.path.insert(0, str(ROOT / "docs" / "figures"))
    try:
        yield {name: importlib.import_module(name) for name in names}
    finally:
        sys.path.pop(0)
        for name in names:
            sys.modules.pop(name, None)


def test_page_folder_and_table_have_the_same_pictures(figures: dict[str, ModuleType]) -> None:
    drawn = sorted(figures["draw"].FIGURES)
    assert len(drawn) >= 6
    assert sorted(file.name for file in PICTURES.iterdir()) == [f"{name}.png" for name in drawn]
    assert sorted(re.findall(r"\]\(images/lecture/(\w+)\.png\)", TEXT)) == drawn
    assert [file.name for file in PICTURES.iterdir() if file.stat().st_size >= 100_000] == []


def test_receptive_fields_of_the_picture(figures: dict[str, ModuleType]) -> None:
    """The sizes are those of the paper's table 1, and the footprint's value at a place counts the ways to it."""
    fields = figures["fields"]
    layers = fields.context_layers()
    assert [fields.extent(fields.footprint(layers[:n])) for n in range(1, 9)] == [3, 5, 9, 17, 33, 65, 67, 67]
    convs = fields.stack((1, 2, 4))
    assert [fields.extent(fields.footprint(convs[:n])) for n in (1, 2, 3)] == [3, 7, 15]
    assert fields.footprint(convs[:2]).sum() == 9 * 9


def test_gridding_of_the_picture(figures: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """DRN-B still has a grid where DRN-C has none; a smooth answer has none either, and a grid alone is infinite."""
    gridding = figures["gridding"]
    monkeypatch.setattr(gridding, "DRAWS", 2)
    monkeypatch.setattr(gridding, "WIDTH", 0.125)
    answers = {name: gridding.unevenness(gridding.response(name, 5, 8)) for name in ("drn_b_26", "drn_c_26")}
    assert answers["drn_b_26"] > 1.5 > answers["drn_c_26"] > 0.9
    assert gridding.unevenness(np.ones((41, 41))) == 1.0
    grid = np.zeros((41, 41))
    grid[::2, ::2] = 1
    assert gridding.unevenness(grid) == np.inf


def test_fcn_of_the_picture_learns(figures: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps on a small scene: the loss's labels are the scene's, and the most common class is found."""
    coarse = figures["coarse_to_fine"]
    monkeypatch.setattr(coarse, "SIZE", (48, 64))
    monkeypatch.setattr(coarse, "WIDTH", 4)
    picture, labels, found = coarse.predictions(steps=30)
    assert list(found) == ["FCN-32s", "FCN-16s", "FCN-8s"]
    common = torch.mode(labels[labels != 255]).values
    assert picture.shape == (48, 64, 3)
    assert all(float((p == common)[labels == common].float().mean()) > 0.5 for p in found.values())


@pytest.mark.parametrize("name", ["pooling", "tiling"])
def test_a_picture_is_drawn_the_same_every_time(figures: dict[str, ModuleType], name: str, tmp_path: Path) -> None:
    for copy in ("one", "two"):
        figures["style"].save(figures["draw"].FIGURES[name](), tmp_path / f"{copy}.png")
    one, two = ((tmp_path / f"{copy}.png").read_bytes() for copy in ("one", "two"))
    assert one == two
