"""Decoupled training: which masks are taken, and what a sample is."""

import itertools
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from perpixel.train.objectives import decoupled_samples
from perpixel.train.objectives.decoupled_samples import Strong

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from coloured_squares import rng, squares


def test_so_many_masks_a_class_and_none_twice() -> None:
    present = torch.tensor([[True, c] for c in [True] * 4 + [False] * 20])
    taken = decoupled_samples.choose(present, 3, rng())
    assert len(taken) == len(set(taken)) == 6
    assert sum(i < 4 for i in taken) >= 3  # the rare class has its own before the frequent one takes them
    assert len(decoupled_samples.choose(present, 100, rng())) == 24
    assert decoupled_samples.choose(present, 3, rng()) == taken != decoupled_samples.choose(present, 3, rng(1))


def test_subsets_are_half_single_classes_and_half_any() -> None:
    present = torch.tensor([True, False, True, True])
    drawn = [tuple(decoupled_samples.subset(present, random).tolist()) for random in [rng()] for _ in range(4000)]
    counts = {s: drawn.count(s) for s in set(drawn)}
    every = [s for s in itertools.product([False, True], repeat=4) if any(s) and not s[1]]
    assert set(counts) == set(every)
    for s, count in counts.items():
        share = 1 / 14 + (1 / 6 if sum(s) == 1 else 0)
        assert count / 4000 == pytest.approx(share, abs=0.03)


def test_a_sample_holds_the_whole_foreground_and_calls_the_rest_background() -> None:
    labels = torch.zeros(60, 80, dtype=torch.uint8)
    labels[20:30, 30:50], labels[0:4, 0:4], labels[40:50, 10:20] = 1, 2, 255
    image = labels[None].repeat(3, 1, 1)
    random, seen = rng(), set()
    for _ in range(60):
        _, target, chosen = decoupled_samples.one_mask(Strong([image], [labels]), 0, 3, (60, 80), random)
        assert set(target.unique().tolist()) <= {0, 1, 255}
        assert not chosen[2]
        area = int((target == 1).sum())
        if chosen.tolist() == [True, False, False]:
            assert area >= 190  # 200 pixels of the whole image; a window of less shows them larger
        if chosen[1]:
            assert (target == 1).any()
        seen.add((tuple(chosen.tolist()), area))
    assert len({c for c, _ in seen}) == 3
    assert len(seen) > 20  # windows differ


def test_windows_always_hold_their_spans() -> None:
    image = torch.zeros(3, 50, 50, dtype=torch.uint8)
    labels = torch.zeros(50, 50, dtype=torch.uint8)
    labels[0, 7], labels[49, 31] = 1, 1
    random = rng()
    for _ in range(50):
        _, found = decoupled_samples.cut(image, labels, [(0, 50), (7, 32)], (100, 100), random)
        assert (found[:2] == 1).any() and (found[-2:] == 1).any()


def test_image_and_mask_of_a_sample_move_together() -> None:
    labels = squares(3, 60).labels[2]
    image = (labels * 100)[None].repeat(3, 1, 1)
    for seed in range(20):
        found, mask = decoupled_samples.nearly_whole(image, labels, (90, 90), rng(seed))
        grown, shrunk = (s * F.max_pool2d(s * mask[None].float(), 7, 1, 3)[0] for s in (1, -1))
        inner = grown == shrunk  # beside an edge the image is resized bilinearly, the mask is not
        for c in (1, 2):
            lit = found[0].float()[(mask == c) & inner]
            assert lit.numel() > 20
            assert lit.min() > found[0].float()[(mask == c - 1) & inner].max()


def test_the_background_comes_first_and_the_classes_keep_their_order() -> None:
    labels = torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8)
    assert decoupled_samples.background_first(labels, 0).tolist() == labels.tolist()
    assert decoupled_samples.background_first(labels, 3).tolist() == [[1, 2, 3, 0, 255]]
