"""The ticks and lines of a chart, and pictures made small."""

import numpy as np
import pytest
from PIL import Image

from perpixel.report.charts import line_chart, nice_ticks
from perpixel.report.pictures import SIDE, data_uri, shrink


def test_shrink_keeps_thin_things_and_small_pictures() -> None:
    picture = np.zeros((10, 4 * SIDE, 3), np.uint8)
    picture[:, 402] = 200
    small = np.array(shrink(picture))
    assert small.shape == (2, SIDE, 3)
    assert (small[:, 100] == 50).all()
    assert shrink(picture[:, :30]).size == (30, 10)


def test_even_noise_stays_small() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    assert len(data_uri(Image.fromarray(noise))) * 32 < 6e6


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 60, [0, 10, 20, 30, 40, 50, 60]), (-3, 3, [-3, -2, -1, 0, 1, 2, 3])],
)
def test_nice_ticks(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected)


def test_line_chart_of_one_point_and_of_a_flat_line() -> None:
    for points in ([(5.0, 0.0)], [(1.0, 2.0), (2.0, 2.0)], [(1.0, -1.0), (2.0, 3e-7)]):
        chart = line_chart(points, "a <chart>", "step", mark_best=True)
        assert "nan" not in chart
        assert 'aria-label="a &lt;chart&gt;"' in chart
