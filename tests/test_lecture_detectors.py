"""The lecture's pictures of detectors: people lie in their boxes, votes are means of maps, points start on a grid."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
NAMES = ("style", "people", "votes", "sampling")


@pytest.fixture
def figures() -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(ROOT / "docs" / "figures"))
    try:
        yield {name: importlib.import_module(name) for name in NAMES}
    finally:
        sys.path.pop(0)
        for name in NAMES:
            sys.modules.pop(name, None)


def test_people_lie_in_their_boxes(figures: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a scene has more than the same scene without its people lies in the boxes, and reaches their ends."""
    people = figures["people"]
    picture, objects = people.scene(7)
    monkeypatch.setattr(people, "person", lambda *_: None)
    rng_free = people.scene(7)[0]
    (x1, y1, x2, y2) = objects.boxes[0].tolist()
    changed = (picture != rng_free).any(axis=2)
    rows, columns = np.nonzero(changed[round(y1) - 2 : round(y2) + 3, round(x1) - 2 : round(x2) + 3])
    assert len(objects) == 3 and abs(rows.min() - 2) <= 1 and abs(rows.max() - 2 - (y2 - y1)) <= 2
    assert columns.max() - columns.min() <= x2 - x1 + 3


def test_votes_are_means_of_maps(figures: dict[str, ModuleType]) -> None:
    """Of an untrained network: bin (1, 1) of the right box is the mean of the places of map (1, 1) that it touches."""
    people, votes = figures["people"], figures["votes"]
    found = votes.count(people.learned("rfcn", steps=2, group=3))
    x1, y1, x2, y2 = (found.boxes[0] + 0.5).floor().tolist()
    sides = [((a + b / 3 * (c - a)) / 8) for a, c in ((y1, y2), (x1, x2)) for b in (1, 2)]
    top, bottom, left, right = (int(np.floor(s)) if n % 2 == 0 else int(np.ceil(s)) for n, s in enumerate(sides))
    assert float(found.votes[0, 1, 1]) == pytest.approx(
        float(found.maps[1, 1, top:bottom, left:right].mean()), abs=1e-4
    )
    assert 0 < votes.iou(found) < 0.5 and found.probabilities.shape == (2,)


def test_points_start_on_a_grid(figures: dict[str, ModuleType]) -> None:
    """4 x 4 points in each of 3 x 3 parts of a box of 24 pixels lie 2 apart; a tenth more moves them by a tenth of it."""
    pixels = figures["sampling"].pixels
    roi, none = torch.tensor([[0.0, 16, 32, 40, 56]]), torch.zeros(1, 2, 3, 3)
    still, moved = pixels(roi, none), pixels(roi, none + torch.tensor([1.0, 0.0]).view(1, 2, 1, 1))
    assert still.shape == (2, 144)
    assert torch.unique(still[0]).tolist() == pytest.approx([16 + 2 * i - 0.5 for i in range(12)])
    assert torch.unique(still[1]).tolist() == pytest.approx([32 + 2 * i - 0.5 for i in range(12)])
    torch.testing.assert_close(moved - still, torch.tensor([[2.4], [0.0]]).expand(2, 144))
