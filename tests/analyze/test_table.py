"""The table of networks is what counting gives today, and its page what the table gives."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

import perpixel
from perpixel.analyze.table import measure_network, paper
from perpixel.cli.networks import camvid, markdown
from perpixel.core.networks import MEASURED, Measurement, read_detectors, read_measured, read_networks
from perpixel.models import MODELS

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "run: make models"


@pytest.mark.parametrize("name", MODELS)
def test_counts_are_todays(name: str) -> None:
    assert read_networks().get(name) == measure_network(name), f"networks.json is out of date; {COMMAND}"


def test_the_table_lists_the_catalog() -> None:
    assert list(read_networks()) == list(MODELS), f"networks.json is out of date; {COMMAND}"
    assert len(read_networks()) >= 41


def test_the_page_is_todays() -> None:
    assert (ROOT / "docs/models.md").read_text(encoding="utf-8") == markdown(), f"docs/models.md is old; {COMMAND}"


def test_the_page_has_a_row_for_each_network_and_each_run() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", markdown(), re.MULTILINE)
    assert rows == [*MODELS, *MODELS, *read_detectors(), *read_measured()]  # costs, fields, detectors, runs
    assert markdown().count("not measured") == len(MODELS) - len(read_measured())


def test_what_was_measured_is_of_networks_that_exist() -> None:
    measured = read_measured()
    assert set(measured) <= set(MODELS)
    for name, m in measured.items():
        assert 0 < m.mean_iou < 1 and 0 < m.pixel_accuracy < 1 and m.minutes > 0, name
        assert m.split in ("val", "test")
        words = m.command.split()
        assert words[:2] == ["perpixel", "train"]
        if "--recipe" in words:
            assert (ROOT / words[words.index("--recipe") + 1]).is_file(), name


def test_the_figure_of_the_bundled_network_is_that_of_its_bundle() -> None:
    """The bundle's own description says how good it is."""
    info = json.loads((Path(perpixel.__file__).parent / "weights/street/model.json").read_text())
    measured = read_measured()[info["network"]]
    assert info["metrics"]["mean_iou"] == pytest.approx(measured.mean_iou, abs=5e-5)
    assert info["metrics"]["pixel_accuracy"] == pytest.approx(measured.pixel_accuracy, abs=5e-5)
    assert (info["data"]["name"], info["metrics"]["split"]) == (measured.dataset, measured.split)
    assert MEASURED.name == "measured.json"


@pytest.mark.parametrize(
    ("name", "title", "year"),
    [
        ("fcn8s", "Fully Convolutional Networks for Semantic Segmentation", 2015),
        ("segnet", "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", 2017),
        ("bayesian_segnet_basic", "Bayesian SegNet", 2017),
        ("parsenet", "ParseNet: Looking Wider to See Better", 2015),  # the year is that of the arXiv number
        ("enet", "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation", 2016),
        ("fpn", "Panoptic Feature Pyramid Networks", 2019),
        ("drn_d_22", "Dilated Residual Networks", 2017),
    ],
)
def test_papers(name: str, title: str, year: int) -> None:
    assert paper(name) == (title, year)


def test_a_figure_of_other_data_is_not_camvids() -> None:
    enet = Measurement("CamVid", "val", "360x480", 0.6543, 0.9, "perpixel train", "a core", 40.0)
    measured = {"enet": enet, "unet": dataclasses.replace(enet, dataset="ISBI")}
    assert camvid(measured, "enet") == "0.654 (val)"
    assert camvid(measured, "unet") == camvid(measured, "fcn8s") == "not measured"
