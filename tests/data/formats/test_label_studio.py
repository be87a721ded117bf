"""Label Studio's exports: brush strokes by a slow writer of its bit stream, polygons and boxes in percent."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.formats.label_studio import _brush

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from annotated import art, picture, the_mask, write_json

SAMPLE = Path(__file__).parents[4] / "shared/data/formats/labelstudio_brush"


def region(kind: str, label: str, **value: Any) -> dict[str, Any]:
    whole = {"original_width": 8, "original_height": 6, "type": kind}
    return {**whole, "value": {kind: [label], **value}}


def export(root: Path, *results: Any, **more: Any) -> Path:
    picture(root / "a.png")
    task = {"id": 1, "data": {"image": "/data/upload/1/a.png"}, "annotations": [{"result": list(results)}], **more}
    return write_json(root / "export.json", [task])


def stream(values: np.ndarray, literal: bool) -> list[int]:
    """The bit stream, by text: blocks of one length, values of 8 bits."""
    bits = f"{len(values):032b}{7:05b}" + f"{2:04b}{3:04b}{7:04b}{15:04b}"
    at = 0
    while at < len(values):
        end = at + 1
        while end < len(values) and end - at < 8 and (literal or values[end] == values[at]):
            end += 1
        bits += f"{'0' if literal else '1'}00{end - at - 1:03b}"
        bits += "".join(f"{v:08b}" for v in (values[at:end] if literal else values[at : at + 1]))
        at = end
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


@settings(max_examples=40, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))), st.booleans())
def test_a_brush_comes_back(mask: np.ndarray, literal: bool) -> None:
    rgba = np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 4, 2)
    rgba[..., :3] = np.arange(3) * 70
    found = _brush(stream(rgba.reshape(-1), literal), mask.shape, "here")
    np.testing.assert_array_equal(found, mask)


def test_polygons_and_boxes_in_percent(tmp_path: Path) -> None:
    square = [[12.5, 100 / 6], [62.5, 100 / 6], [62.5, 400 / 6], [12.5, 400 / 6]]
    strip = {"x": 50, "y": 0, "width": 50, "height": 100 / 3, "rotation": 0}
    export(tmp_path, region("polygonlabels", "cat", points=square), region("rectanglelabels", "dog", **strip))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "label studio"
    assert dataset.classes is not None and dataset.classes.names == ("background", "cat", "dog")
    np.testing.assert_array_equal(the_mask(dataset), art("....2222 .###2222 .####... .####... ........ ........"))


def test_which_annotation_counts(tmp_path: Path) -> None:
    one, two = ([region("rectanglelabels", n, x=0, y=0, width=50, height=50)] for n in ("cat", "dog"))
    annotations = [{"result": one, "was_cancelled": True}, {"result": one}, {"result": two, "ground_truth": True}]
    dataset = open_dataset(export(tmp_path, annotations=annotations))
    assert dataset.classes is not None and dataset.classes.names == ("background", "dog")
    assert "1 further annotations of a task that has one already are not used" in dataset.notes


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rle": [0, 0, 0, 9, 57, 0, 0, 0]}, "brush has 9 values"),
        ({"rle": [0, 0, 0, 192, 57]}, "cut short"),
        ({"rle": [0, 0, 300]}, "whole numbers from 0 to 255"),
        ({"rle": "x"}, "must be list"),
    ],
)
def test_a_brush_at_fault_is_one_line(tmp_path: Path, value: Mapping[str, Any], said: str) -> None:
    export(tmp_path, region("brushlabels", "cat", **value))
    with pytest.raises(UserError, match=rf"export.json: task 0, region 0.*{said}"):
        open_dataset(tmp_path)


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="the sample is not there")
def test_the_sample_equals_its_masks() -> None:
    dataset, seen = open_dataset(SAMPLE / "export.json"), 0
    for sample in (s for found in dataset.splits.values() for s in found):
        assert sample.mask is not None
        ours, theirs = sample.mask.read().values, np.asarray(Image.open(SAMPLE / "masks" / f"{sample.image.stem}.png"))
        voc = {"bottle": 5, "bus": 6, "car": 7, "chair": 9, "person": 15, "sofa": 18}
        assert dataset.classes is not None
        table = np.array([voc.get(n, 0) for n in dataset.classes.names])
        np.testing.assert_array_equal(table[ours], np.where(theirs == 255, 0, theirs))
        seen += 1
    assert seen == 3
