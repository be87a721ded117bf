"""The objects of an image, true and found."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from perpixel.core import Size
from perpixel.core.errors import UserError


@dataclass(frozen=True, eq=False)  # tensors have no one truth
class Objects:
    """The true objects of one image, which may be none.

    Args:
        boxes: `(N, 4)` float32, (x1, y1, x2, y2) in pixels.
        classes: `(N,)` int64 in [0, K); the background has no number here.
        difficult: `(N,)` bool: whoever misses it makes no error, and whoever finds it no find.
        crowd: `(N,)` bool: the box of several objects that nobody parted; as many finds in it as one likes are no
            errors.

    Neither difficult ones nor crowds are learned from: a region that lies in one by half is no background either.
    """

    boxes: Tensor
    classes: Tensor
    difficult: Tensor
    crowd: Tensor

    @classmethod
    def of(
        cls,
        boxes: Tensor | Sequence[Sequence[float]],
        classes: Tensor | Sequence[int],
        difficult: Tensor | Sequence[bool] | None = None,
        crowd: Tensor | Sequence[bool] | None = None,
    ) -> "Objects":
        """Objects from lists or tensors; what is not said is neither difficult nor crowd.

        Raises `UserError` where the lengths differ.

        >>> len(Objects.of([[0, 0, 4, 4]], [2])), len(Objects.of([], []))
        (1, 0)
        """
        kept = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        marks = [
            torch.zeros(len(kept), dtype=torch.bool) if m is None else torch.as_tensor(m, dtype=torch.bool)
            for m in (difficult, crowd)
        ]
        objects = cls(kept, torch.as_tensor(classes, dtype=torch.int64), *(m.to(kept.device) for m in marks))
        lengths = {len(part) for part in (objects.boxes, objects.classes, objects.difficult, objects.crowd)}
        if len(lengths) > 1:
            raise UserError(f"expected as many classes and marks as boxes, {len(kept)}; got {sorted(lengths)}")
        return objects

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: torch.device | str) -> "Objects":
        return Objects(*(part.to(device) for part in (self.boxes, self.classes, self.difficult, self.crowd)))

    def pick(self, which: Tensor) -> "Objects":
        """Those of `(n,)` indices, or of `(N,)` bool."""
        return Objects(self.boxes[which], self.classes[which], self.difficult[which], self.crowd[which])

    def scaled(self, rows: float, columns: float) -> "Objects":
        """The objects of the image that is `rows` times as high and `columns` times as wide."""
        return Objects(scale_boxes(self.boxes, rows, columns), self.classes, self.difficult, self.crowd)

    @property
    def clear(self) -> Tensor:
        """`(N,)` bool: those to learn from. They are neither difficult nor crowds, and have a width and a height."""
        solid = (self.boxes[:, 2:] > self.boxes[:, :2]).all(dim=1)
        return solid & ~self.difficult & ~self.crowd

    def inside(self, size: Size, least_share: float = 0.25) -> "Objects":
        """Those of which the image, (H, W), shows anything, cut to it; difficult where that is less than a share.

        >>> cut = Objects.of([[-6, 0, 2, 4], [9, 9, 12, 12], [0, 0, 3, 3]], [0, 0, 1]).inside((8, 8), least_share=0.5)
        >>> cut.boxes.tolist(), cut.difficult.tolist()
        ([[0.0, 0.0, 2.0, 4.0], [0.0, 0.0, 3.0, 3.0]], [True, False])
        """
        low, high = self.boxes.new_zeros(4), self.boxes.new_tensor([size[1], size[0]] * 2)
        boxes = self.boxes.clamp(low, high)
        whole, left = ((b[:, 2:] - b[:, :2]).clamp(min=0).prod(dim=1) for b in (self.boxes, boxes))
        cut = Objects(boxes, self.classes, self.difficult | (left < least_share * whole), self.crowd)
        return cut.pick(left > 0)


@dataclass(frozen=True, eq=False)  # tensors have no one truth
class Detections:
    """What a detector found in one image, best first.

    Args:
        boxes: `(N, 4)` float32, (x1, y1, x2, y2) in pixels.
        scores: `(N,)` float32 in [0, 1].
        classes: `(N,)` int64 in [0, K).
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def to(self, device: torch.device | str) -> "Detections":
        return Detections(*(part.to(device) for part in (self.boxes, self.scores, self.classes)))

    def scaled(self, rows: float, columns: float) -> "Detections":
        """The boxes on the image that is `rows` times as high and `columns` times as wide."""
        return Detections(scale_boxes(self.boxes, rows, columns), self.scores, self.classes)


def scale_boxes(boxes: Tensor, rows: float, columns: float) -> Tensor:
    """`(N, 4)` boxes with their heights and places times `rows`, their widths times `columns`."""
    return boxes * boxes.new_tensor([columns, rows] * 2)
