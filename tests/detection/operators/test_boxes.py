"""Coding, overlaps, anchors and soft-NMS against torchvision, arithmetic and slow loops."""

import math

import pytest
import torch
import torchvision.ops
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator

from perpixel.core.errors import UserError
from perpixel.detection.operators import (
    DELTA_SCALES,
    cell_anchors,
    decode,
    encode,
    grid_anchors,
    overlaps,
    shares_inside,
    soft_nms,
)


def random_boxes(count: int, seed: int = 0, extent: float = 100.0, kind: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, 2, generator=generator, dtype=torch.float64) * extent
    return torch.cat([corners.amin(1), corners.amax(1) + 0.1], dim=1).to(kind)


@pytest.mark.parametrize("scales", [(1.0, 1.0, 1.0, 1.0), DELTA_SCALES])
def test_coding_is_torchvisions_and_has_an_inverse(scales: tuple[float, ...]) -> None:
    boxes, references = random_boxes(50, 1), random_boxes(50, 2)
    coder = BoxCoder(tuple(1 / s for s in scales))  # type: ignore[arg-type]
    deltas = encode(boxes, references, scales)
    torch.testing.assert_close(deltas, coder.encode_single(boxes, references))
    torch.testing.assert_close(
        decode(deltas, references, scales), boxes.where(boxes == boxes, boxes), atol=1e-6, rtol=0
    )
    wild = 20 * torch.randn(50, 3 * 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    theirs = coder.decode_single(wild, references).view(50, 3, 4)
    torch.testing.assert_close(decode(wild.view(50, 3, 4), references, scales), theirs)
    assert torch.isfinite(theirs).all() and wild.max() > math.log(62.5)


def test_coding_by_hand() -> None:
    reference, box = torch.tensor([[10.0, 20.0, 30.0, 60.0]]), torch.tensor([[18.0, 20.0, 38.0, 100.0]])
    expected = torch.tensor([[8 / 20 / 0.1, 20 / 40 / 0.1, 0.0, math.log(2) / 0.2]])
    torch.testing.assert_close(encode(box, reference, DELTA_SCALES), expected)


def test_coding_has_gradients_and_takes_no_boxes() -> None:
    references = random_boxes(6)
    deltas = torch.randn(6, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: decode(d, references, DELTA_SCALES), (deltas,))
    assert decode(torch.zeros(0, 3, 4), torch.zeros(0, 4)).shape == (0, 3, 4)
    assert encode(torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0, 4)


def test_overlaps_by_counting_pixels() -> None:
    boxes = random_boxes(12, 4, extent=20).round()
    boxes[3], boxes[4] = torch.tensor([5.0, 5.0, 5.0, 9.0]), torch.tensor([5.0, 5.0, 5.0, 9.0])  # no width

    def painted(box: Tensor) -> set[tuple[int, int]]:
        x1, y1, x2, y2 = box.int().tolist()
        return {(y, x) for y in range(y1, y2) for x in range(x1, x2)}

    pixels = [painted(box) for box in boxes]
    iou = [[len(a & b) / len(a | b) if a | b else 0.0 for b in pixels] for a in pixels]
    share = [[len(a & b) / len(a) if a else 0.0 for b in pixels] for a in pixels]
    torch.testing.assert_close(overlaps(boxes, boxes), torch.tensor(iou, dtype=torch.float64))
    torch.testing.assert_close(shares_inside(boxes, boxes), torch.tensor(share, dtype=torch.float64))
    assert overlaps(boxes, boxes[:0]).shape == (12, 0) and shares_inside(boxes[:0], boxes).shape == (0, 12)


def test_anchors_are_torchvisions_but_for_its_rounding() -> None:
    sizes, ratios = (32.0, 64.0), (0.5, 1.0, 2.0)
    generator = AnchorGenerator((sizes,), (ratios,))
    cells = cell_anchors(sizes, ratios)
    torch.testing.assert_close(cells.round(), generator.cell_anchors[0])
    torch.testing.assert_close(
        (cells[:, 3] - cells[:, 1]) / (cells[:, 2] - cells[:, 0]), torch.tensor(ratios).repeat_interleave(2)
    )
    stride = [torch.tensor(16), torch.tensor(8)]
    (theirs,) = generator.grid_anchors([[3, 5]], [stride])
    torch.testing.assert_close(grid_anchors(cells.round(), (3, 5), (16, 8), centred=False), theirs)


def test_centred_anchors_lie_in_the_middle_of_what_a_place_stands_for() -> None:
    anchors = grid_anchors(cell_anchors([16.0], [1.0]), (4, 6), (16, 16))
    tiles = [[x, y, x + 16.0, y + 16.0] for y in range(0, 64, 16) for x in range(0, 96, 16)]
    torch.testing.assert_close(anchors, torch.tensor(tiles))
    assert grid_anchors(torch.zeros(3, 4), (0, 5), (16, 16)).shape == (0, 4)


def slow_soft_nms(
    boxes: Tensor, scores: Tensor, decay: str, iou: float, sigma: float, least: float
) -> list[tuple[int, float]]:
    left, result = [(score, i) for i, score in enumerate(scores.tolist())], []
    while left:
        score, best = max(left, key=lambda pair: (pair[0], -pair[1]))
        left.remove((score, best))
        if score < least:
            break
        result.append((best, score))
        overlap = torchvision.ops.box_iou(boxes[best : best + 1], boxes)[0].tolist()
        for n, (other, i) in enumerate(left):
            if decay == "linear":
                left[n] = (other * (1 - overlap[i]) if overlap[i] >= iou else other, i)
            else:
                left[n] = (other * math.exp(-(overlap[i] ** 2) / sigma), i)
    return result


@pytest.mark.parametrize("decay", ["linear", "gaussian"])
@pytest.mark.parametrize("seed", range(3))
def test_soft_nms_is_the_slow_loop(decay: str, seed: int) -> None:
    boxes = random_boxes(40, seed, extent=40)
    scores = torch.rand(40, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    before = scores.clone()
    kept, left = soft_nms(boxes, scores, decay, iou=0.3, sigma=0.5, least=0.05)  # type: ignore[arg-type]
    expected = slow_soft_nms(boxes, scores, decay, 0.3, 0.5, 0.05)
    assert kept.tolist() == [i for i, _ in expected]
    assert left.tolist() == pytest.approx([score for _, score in expected])
    assert 5 < len(expected) < 40 and torch.equal(scores, before)


def test_soft_nms_at_its_ends() -> None:
    same, scores = torch.tensor([[0.0, 0.0, 4.0, 4.0]] * 3), torch.tensor([0.5, 0.9, 0.5])
    assert soft_nms(same, scores, "linear")[0].tolist() == [1]  # equal boxes are left with nothing
    nothing = torch.tensor([[2.0, 2.0, 2.0, 5.0]] * 2)  # without width
    assert soft_nms(nothing, torch.tensor([0.2, 0.3]))[0].tolist() == [1, 0]
    kept, left = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert kept.shape == left.shape == (0,) and kept.dtype == torch.int64
    with pytest.raises(UserError, match='one of linear, gaussian; got "hard"'):
        soft_nms(same, scores, "hard")  # type: ignore[arg-type]
