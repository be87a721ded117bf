"""The worked example of docs/miou.md: its maps are read from the page, and every figure on it computed by hand."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from perpixel.metrics import ConfusionMatrix

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "miou.md").read_text(encoding="utf-8")
K = 4


def images():
    """[(truth, prediction), ...] of the page: four maps side by side, `.` is 255."""
    rows = [line.split() for line in PAGE.splitlines() if re.fullmatch(r" {10,}[0-3.]( +[0-3.])+", line)]
    maps = np.array([[255 if cell == "." else int(cell) for cell in row] for row in rows]).reshape(4, 4, 4)
    return [(maps[:, 0], maps[:, 1]), (maps[:, 2], maps[:, 3])]


def ious(pairs):
    """(intersection, union) of each class over the valid pixels of the pairs, by a loop."""
    totals = [[0, 0] for _ in range(K)]
    for truth, prediction in pairs:
        for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
            for k in range(K):
                totals[k][0] += t != 255 and p == k == t
                totals[k][1] += t != 255 and k in (p, t)
    return totals


def mean(values):
    return sum(values) / len(values)


def filled(totals, absent):
    return [i / u if u else absent for i, u in totals]


def present(totals):
    return [i / u for i, u in totals if u]


def variants():
    pairs = images()
    whole, each = ious(pairs), [ious([pair]) for pair in pairs]
    in_truth = [k for k in range(K) if any((truth == k).any() for truth, _ in pairs)]
    ours = mean(present(whole))
    return [
        ours,
        ours,
        mean(filled(whole, math.nan)),
        mean([whole[k][0] / whole[k][1] for k in in_truth]),
        mean(filled(whole, 0)),
        mean(filled(whole, 1)),
        mean([mean(present(one)) for one in each]),
        mean([mean(filled(one, 1)) for one in each]),
        sum(i for i, _ in whole) / sum(u for _, u in whole),
    ]


def test_page_states_the_nine_figures():
    rows = [line.split("|") for line in PAGE.splitlines() if line.startswith("|") and line.count("|") == 4]
    stated = [row[3].strip() for row in rows[2:]]
    assert len(stated) == 9
    assert stated == ["NaN" if math.isnan(value) else f"{value:.3f}" for value in variants()]


def test_the_example_is_the_one_the_field_disagrees_on():
    expected = [0.488, 0.488, math.nan, 0.732, 0.366, 0.616, 0.519, 0.671, 0.765]
    assert variants() == pytest.approx(expected, abs=5.1e-4, nan_ok=True)


def test_perpixel_gives_the_first():
    matrix = ConfusionMatrix(K)
    for truth, prediction in images():
        matrix.update(prediction, truth)
    assert matrix.counts.tolist() == [[5, 0, 0, 0], [3, 21, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert matrix.mean_iou == pytest.approx((5 / 8 + 21 / 25 + 0) / 3)
    assert f"{matrix.mean_iou:.3f} over {matrix.num_present} of {K}" == "0.488 over 3 of 4"


def test_the_ways_back_lead_to_ours():
    ours, _, _, in_truth, absent_0, absent_1, *_ = variants()
    assert absent_0 * 4 / 3 == pytest.approx(ours)
    assert (4 * absent_1 - 1) / 3 == pytest.approx(ours)
    assert in_truth * 2 / 3 == pytest.approx(ours)
