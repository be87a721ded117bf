"""The committed receptive fields are what counting gives today, and what papers say."""

import re
from pathlib import Path

import pytest

from perpixel.analyze.table import fields_text, measure_fields
from perpixel.cli.networks import markdown
from perpixel.core.networks import FIELDS, read_fields
from perpixel.models import MODELS

PUBLISHED = {
    ("fcn32s", "fc6"): (404, 32.0),  # VGG-16 to fc6: Long et al. 2015, section 4.1
    ("segnet", "encoder.0"): (5, 1.0),  # two 3x3
    ("segnet", "encoder.2"): (40, 4.0),  # pool2 of VGG-16 sees 16, three 3x3 at stride 4 add 24
    ("drn_a_18", "trunk.stem"): (11, 4.0),  # 7x7 of stride 2, and 3x3 pooling of stride 2
    ("segnet_basic", "encoder.0"): (7, 1.0),  # one 7x7
}


@pytest.mark.parametrize("name", MODELS)
def test_fields_are_todays(name: str) -> None:
    assert read_fields().get(name) == measure_fields(name), "fields.json is out of date; run: make models"


def test_the_file_is_as_it_is_written() -> None:
    assert FIELDS.read_text(encoding="utf-8") == fields_text(read_fields())
    assert list(read_fields()) == list(MODELS)
    assert all(rows[-1].layer == "logits" and 2 <= len(rows) <= 8 for rows in read_fields().values())


@pytest.mark.parametrize(("name", "layer"), PUBLISHED)
def test_fields_known_by_hand(name: str, layer: str) -> None:
    (found,) = [row for row in read_fields()[name] if row.layer == layer]
    side, stride = PUBLISHED[name, layer]
    assert (found.size, found.stride, found.note) == ((side, side), (stride, stride), "")


def test_a_network_is_global_for_a_reason_and_the_page_says_it() -> None:
    section = markdown().partition("## Receptive fields")[2].partition("## Detectors")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \| ([^|]*?) ?\|$", section, re.MULTILINE))
    assert list(rows) == list(MODELS)
    for name, fields in read_fields().items():
        assert bool(rows[name]) == (None in fields[-1].size) == bool(fields[-1].note), name
    assert rows["pspnet"] == "mean (pyramid_pooling)"
    assert (Path(__file__).parents[2] / "docs/models.md").read_text(encoding="utf-8") == markdown()
