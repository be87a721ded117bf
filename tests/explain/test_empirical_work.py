"""The work of a measurement: interrupted it goes on, minutes are held, what is done costs nothing, and it is told before."""

import sys
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.core.reporter import Silent
from perpixel.explain import LayerFields, Settings, measure_fields
from perpixel.explain.discrepancy import Place
from perpixel.explain.occluded import Grid
from perpixel.explain.plan import plan, plan_within
from perpixel.explain.search import Peak, Unit

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from little_network import QUICK, images, network


class StopAt(Silent):
    """Interrupts at the n-th thing that is told while passes run."""

    def __init__(self, at: int) -> None:
        self.left, self.lines = at, []  # type: ignore[var-annotated]

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, done: int, total: int, text: str = "") -> None:
        if total > 100:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def same(one: LayerFields, other: LayerFields) -> bool:
    return one.empirical.keys() == other.empirical.keys() and all(
        np.array_equal(one.empirical[u].mean.values, other.empirical[u].mean.values) for u in one.empirical
    )


def test_an_interrupted_measurement_goes_on(tmp_path: Path) -> None:
    model, pictures, out = network(), images(), tmp_path / "new" / "fields.jsonl"
    whole = measure_fields(model, pictures, ["4"], QUICK)[0]
    with pytest.raises(KeyboardInterrupt):
        measure_fields(model, pictures, ["4"], QUICK, out=out, report=StopAt(3))
    before = len(out.read_text().splitlines())
    assert 1 < before < 1 + 4, "some images are done, not all"
    with open(out, "a") as file:
        file.write('{"image": 3, "sha')  # a line that a crash cut off
    report = StopAt(10**6)
    assert same(measure_fields(model, pictures, ["4"], QUICK, out=out, report=report)[0], whole)
    again = StopAt(1)
    assert same(measure_fields(model, pictures, ["4"], QUICK, out=out, report=again)[0], whole), (
        "nothing is passed again"
    )
    assert again.lines[0].startswith("0 passes")
    assert not report.lines[0].startswith("0 passes")


@pytest.mark.parametrize(
    ("settings", "about", "said"),
    [
        (Settings(3, 2, 7, 2), {"model": "a"}, "another side"),
        (QUICK, {"model": "b"}, r'another model \("a", now "b"\)'),
    ],
)
def test_the_work_of_another_is_not_taken_over(
    settings: Settings, about: dict[str, str], said: str, tmp_path: Path
) -> None:
    out = tmp_path / "fields.jsonl"
    measure_fields(network(), images(2), ["0"], QUICK, out=out, about={"model": "a"})
    before = out.read_text()
    with pytest.raises(UserError, match=said):
        measure_fields(network(), images(2), ["0"], settings, out=out, about=about)
    assert out.read_text() == before


def peaks(count: int = 4, channels: int = 3) -> dict[Unit, tuple[Peak, ...]]:
    """Each unit has its own images."""
    return {
        Unit("x", c): tuple(Peak(c * count + n, (0, 0), 1.0, (0, 0)) for n in range(count)) for c in range(channels)
    }


def test_minutes_take_as_many_units_and_images_as_fit() -> None:
    """Images of 10 x 10 pixels with 4 occluders: 400 pixels each, passed whole."""
    grids = {n: Grid((10, 10), 5, 5) for n in range(12)}
    assert plan(peaks(), 3, 4, grids, {}).pixels == 4800
    for seconds, expected in (
        (48, (3, 4)),
        (47, (3, 3)),
        (36, (3, 3)),
        (35, (2, 4)),
        (32, (2, 4)),
        (31, (3, 2)),
        (4, (1, 1)),
    ):
        found = plan_within(seconds, 100, peaks(), 3, 4, grids, {})
        assert (found.units, found.images) == expected, seconds
    with pytest.raises(UserError, match="one unit a layer on one image takes about 0:04"):
        plan_within(3.9, 100, peaks(), 3, 4, grids, {})


def test_what_is_done_costs_nothing_and_dead_units_are_passed_over() -> None:
    grids = {n: Grid((10, 10), 5, 5) for n in range(12)}
    found = {Unit("x", 9): (), **peaks()}
    done = {(0, Place(Unit("x", 0), (0, 0)))}
    chosen = plan(found, 1, 2, grids, {}, done)
    assert (list(chosen.places), chosen.passes) == ([0, 1], 4)


def test_it_says_what_it_costs_before_it_begins() -> None:
    report = StopAt(10**6)
    measure_fields(network(), images(), ["4"], QUICK, report=report)
    assert "passes, over" in report.lines[0] and "3 units a layer and 2 images a unit: about 0:0" in report.lines[0]
    late = StopAt(10**6)
    few = measure_fields(network(), images(), ["4"], QUICK, minutes=1, report=late)[0]
    assert few.sizes().units == 3


@pytest.mark.parametrize(
    ("layers", "said"),
    [(["44"], "no layer"), (["0", "5x"], "no layer"), ([], "name one layer")],
)
def test_layers_that_are_not_there(layers: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        measure_fields(network(), images(1), layers, QUICK)
    with pytest.raises(UserError, match="there is none"):
        measure_fields(network(), [], None, QUICK)
