"""The committed counts of the detectors are those of the networks."""

import pytest

from perpixel.analyze.table import measure_detector
from perpixel.core.networks import is_detector, read_detectors
from perpixel.detection import DETECTORS


@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_the_counts_are_up_to_date(name: str) -> None:
    assert read_detectors()[name] == measure_detector(name), "detectors.json is out of date; make models"
    assert is_detector(name)


def test_every_detector_is_counted() -> None:
    assert list(read_detectors()) == list(DETECTORS)
    assert not is_detector("unet")
