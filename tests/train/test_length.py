"""How long, and when to judge: steps are exact, the clock holds its time."""

import pytest

from perpixel.train import Recipe
from perpixel.train.length import ByClock, BySteps, by_clock, by_steps, words
from perpixel.train.progress import Progress


@pytest.mark.parametrize(
    ("changes", "last", "every"),
    [
        ({}, 500, 50),  # 50 epochs of 10 steps, judged ten times
        ({"epochs": 3}, 30, 3),
        ({"epochs": 0.01}, 1, 1),
        ({"steps": 25}, 25, 3),
        ({"steps": 25, "evaluate_every": 1.2}, 25, 12),
        ({"steps": 25, "evaluate_every": 0.001}, 25, 1),
    ],
)
def test_a_recipe_in_steps(changes: dict[str, float], last: int, every: int) -> None:
    assert by_steps(Recipe().changed(changes), 10.0) == BySteps(last, every)


def test_judged_every_so_many_steps_and_at_the_end() -> None:
    length = BySteps(7, 3)
    assert [s for s in range(8) if length.due(Progress(step=s))] == [3, 6, 7]
    assert [s for s in range(8) if length.done(Progress(step=s))] == [7]
    assert length.place(Progress(step=4)) == (4, 7)


def simulate(
    length: ByClock, seconds_of_step: float, seconds_of_judging: float
) -> tuple[Progress, list[int], list[float]]:
    """A run whose steps and evaluations take so long: how it ends, when it was judged, and the share done at each step."""
    p, judged, shares = Progress(), [], []
    while True:
        if length.due(p) and p.evaluated != p.step:
            judged.append(p.step)
            p.clock += seconds_of_judging
            p.evaluated, p.judged_at = p.step, p.clock
        if length.done(p):
            return p, judged, shares
        done, steps = length.place(p)
        shares.append(done / steps)
        p.took(1.0, seconds_of_step)
        p.clock += seconds_of_step


@pytest.mark.parametrize(("step", "judging"), [(1.0, 0.5), (0.1, 10.0), (7.0, 3.0), (500.0, 1.0)])
def test_the_clock_is_held(step: float, judging: float) -> None:
    """600 seconds within about half a step, the last evaluation included; the share rises from 0 to nearly 1."""
    p, judged, shares = simulate(by_clock(600, judging), step, judging)
    assert (
        -judging <= p.clock - 600 + 0.55 * step <= 1.1 * step
    )  # one evaluation less where it would come twice at the end
    assert judged[-1] == p.step
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert len(shares) < 3 or 1 - shares[-1] == pytest.approx(step / (600 - judging), rel=1.0)


def test_evaluations_take_a_twentieth_of_the_time_unless_two_take_more() -> None:
    assert by_clock(600, 1.0).evaluations == 10
    assert by_clock(600, 6.0).evaluations == 5
    assert by_clock(600, 100.0).evaluations == 2
    assert by_clock(600, 0.0).evaluations == 10
    _, judged, _ = simulate(by_clock(600, 6.0), 1.0, 6.0)
    assert len(judged) == 5


def test_a_stage_too_short_for_its_evaluation_still_takes_a_step() -> None:
    p, judged, _ = simulate(by_clock(2, 100.0), 1.0, 100.0)
    assert p.step == 1 and judged == [1]


def test_words() -> None:
    assert words(BySteps(500, 50), 10, judged=True) == "500 steps (50.0 epochs), evaluated every 50 steps"
    assert words(by_clock(900, 1.0), 10, judged=True) == "15:00 by the clock, evaluated 10 times"
    assert words(by_clock(90, 0), 10, judged=False) == "1:30 by the clock"
