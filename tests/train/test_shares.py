"""Each class's share of pixels, loss and gradient, against formulas by hand; and that watching changes nothing."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perpixel.data.statistics import ClassCounts
from perpixel.losses import build_loss
from perpixel.train import Recipe, train
from perpixel.train.shares import STRIDE, ClassShares, _grid
from perpixel.train.unheard import UNHEARD, advice, relative_weight

NAMES = ("a", "b", "c")


def case(seed: int, size: tuple[int, int] = (18, 23)) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, 3, *size), generator=generator)
    labels = torch.randint(0, 3, (2, 5, 6), generator=generator).repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels = labels[:, : size[0], : size[1]].to(torch.uint8)
    labels[:, :3] = 255
    return logits.requires_grad_(), labels


def looked_at(labels: Tensor) -> list[tuple[int, int, int]]:
    b, h, w = labels.shape
    return [(i, y, x) for i in range(b) for y in range(0, h, STRIDE) for x in range(0, w, STRIDE)]


def test_shares_by_formula() -> None:
    logits, labels = case(0)
    weights = [1.0, 2.0, 0.5]
    shares = ClassShares(NAMES, weights)
    shares.watch(logits, labels)
    build_loss([{"name": "cross_entropy"}], torch.tensor(weights))({"logits": logits}, labels.long())["loss"].backward()
    p = logits.detach().softmax(1)
    pixels, loss, gradient = np.zeros(3), np.zeros(3), np.zeros(3)
    for i, y, x in looked_at(labels):
        t = int(labels[i, y, x])
        if t == 255:
            continue
        pixels[t] += 1
        loss[t] -= weights[t] * float(p[i, t, y, x].log())
        gradient[t] += weights[t] * 2 * float(1 - p[i, t, y, x])  # |p - onehot| sums to 2 (1 - p_t)
    found = shares.columns()
    for what, sums in (("pixels", pixels), ("loss", loss), ("gradient", gradient)):
        assert [found[f"{what}_{n}"] for n in NAMES] == pytest.approx((sums / sums.sum()).tolist(), rel=1e-4)


def test_boundary_pixels_by_looking_at_the_neighbours() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (2, 3, 4), generator=generator).repeat_interleave(7, 1).repeat_interleave(7, 2)
    labels = labels[:, :18, :23].to(torch.uint8)
    labels[:, 9:12, 9:12] = labels[:, :, 19] = 255
    here, boundary = _grid(labels)
    b, h, w = labels.shape
    seen = 0
    for n, (i, y, x) in enumerate(looked_at(labels)):
        t = int(labels[i, y, x])
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        near = [int(labels[i, v, u]) for v, u in around if 0 <= v < h and 0 <= u < w]
        expected = t != 255 and any(k not in (t, 255) for k in near)
        assert (int(here.flatten()[n]), bool(boundary.flatten()[n])) == (t, expected)
        seen += expected
    assert 0 < seen < len(looked_at(labels))
    shares = ClassShares(NAMES, [1.0] * 3)
    shares.watch(torch.zeros(b, 3, h, w), labels)
    assert shares.columns()["boundary_pixels"] == pytest.approx(seen / (here != 255).sum().item(), rel=1e-4)


def test_the_gradient_is_that_of_every_term() -> None:
    logits, labels = case(2)
    shares = ClassShares(NAMES, [1.0] * 3)
    shares.watch(logits, labels)
    terms = build_loss([{"name": "ohem", "min_kept": 5}, {"name": "dice"}])
    terms({"logits": logits}, labels.long())["loss"].backward()
    assert logits.grad is not None
    sizes = logits.grad.abs().sum(1)[:, ::STRIDE, ::STRIDE]
    here = labels[:, ::STRIDE, ::STRIDE]
    expected = [float(sizes[here == k].sum() / sizes[here != 255].sum()) for k in range(3)]
    found = shares.columns()
    assert [found[f"gradient_{n}"] for n in NAMES] == pytest.approx(expected, rel=1e-4)


def test_a_row_begins_anew_and_a_checkpoint_goes_on() -> None:
    one, other = ClassShares(NAMES, [1.0] * 3), ClassShares(NAMES, [1.0] * 3)
    for seed in range(4):
        logits, labels = case(seed)
        one.watch(logits, labels)
        logits.square().sum().backward()
        if seed == 2:
            fresh = ClassShares(NAMES, [1.0] * 3)
            fresh.restore(other.sums())
            other = fresh
        logits, labels = case(seed)
        other.watch(logits, labels)
        logits.square().sum().backward()
    assert one.sums() == other.sums()
    assert one.columns() == other.columns() != {}
    assert one.columns() == {}  # nothing since


def test_a_gradient_that_overflowed_does_not_count() -> None:
    logits, labels = case(3)
    shares = ClassShares(NAMES, [1.0] * 3)
    shares.watch(logits, labels)
    logits.backward(torch.full_like(logits, 1.0).index_fill(2, torch.tensor([4]), float("inf")))
    found = shares.columns()
    assert sum(found[f"gradient_{n}"] for n in NAMES) == pytest.approx(1, abs=1e-4)


def test_all_ignored_and_no_gradient() -> None:
    shares = ClassShares(NAMES, [1.0] * 3)
    shares.watch(torch.zeros(1, 3, 8, 8), torch.full((1, 8, 8), 255, dtype=torch.uint8))
    assert shares.columns() == {}
    shares.watch(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 8, dtype=torch.uint8))
    assert {k for k in shares.columns() if k.startswith("gradient")} == set()


def test_the_history_has_them(whole: Path) -> None:
    with open(whole / "history.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for what in ("pixels", "loss", "gradient"):
            values = [float(v) for k, v in row.items() if k.startswith(f"{what}_")]
            assert len(values) == 8  # the classes of the scenes
            assert sum(values) == pytest.approx(1, abs=1e-3)
            assert 0 < float(row[f"boundary_{what}"]) < 1


def test_watching_changes_no_weight(tiny: Recipe, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClassShares, "watch", lambda *_: None)
    train(tiny, tmp_path / "run")
    best = [run / "best" / "model.safetensors" for run in (tmp_path / "run", whole)]
    assert best[0].read_bytes() == best[1].read_bytes()
    assert "gradient_" not in (tmp_path / "run" / "history.csv").read_text()


def counts(*pixels: int) -> ClassCounts:
    p = np.array(pixels)
    return ClassCounts(p, np.full(len(p), p.sum()), np.ones(len(p), int), int(p.sum()), int(p.sum()))


def heard(share: float, weights: list[float]) -> ClassShares:
    shares = ClassShares(NAMES, weights)
    shares.last = {"gradient_c": share}
    return shares


def test_advice_names_the_rule_that_helps_most() -> None:
    found, least = counts(600, 390, 10), UNHEARD / 3
    assert advice(2, heard(least, [1.0] * 3), found, "none") == ""
    assert advice(0, heard(0.0, [1.0] * 3), found, "none") == ""  # nothing is known of that class
    text = advice(2, heard(0.9 * least, [1.0] * 3), found, "none")
    # median frequency: 0.39 / 0.01 = 39, over a mean weight of 0.6 x 0.65 + 0.39 x 1 + 0.01 x 39 = 1.17
    assert text == (
        "c gets 3.00% of the gradient and has 1.00% of the pixels; "
        "loss.class_weights=median_frequency would weigh it 33.3 times the mean pixel (now 1.0, none)"
    )
    most = [0.65, 1.0, 39.0]
    assert relative_weight(most, 2, found) == pytest.approx(39 / 1.17)
    assert "already at 33.3 times" in advice(2, heard(0.0, most), found, "median_frequency")
