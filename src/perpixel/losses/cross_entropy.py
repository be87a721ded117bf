"""Cross entropy by pixel, under the three normalisations that published networks were trained with."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import IGNORE
from perpixel.losses.weights import weigh

Reduction = Literal["mean", "valid", "sum"]


class CrossEntropy(nn.Module):
    """Softmax cross entropy over the pixels that are not ignored.

        w_i = class weight of pixel i's label * pixel weight of i
        "mean"    sum(w_i * CE_i) / sum(w_i)            as torch.nn.CrossEntropyLoss
        "valid"   sum(w_i * CE_i) / number of valid i   as Caffe, so SegNet's: class weights change the step size
        "sum"     sum(w_i * CE_i)                       as FCN's heavy learning: the gradient grows with the image

    "sum" is n times "valid" for n valid pixels, and so are their gradients: FCN's learning rate of 1e-10 on whole images
    of 500 x 500 is one of 2.5e-5 with "valid". It goes with a batch of one and without a bound on the gradient's length.

    Args:
        class_weights: (K,) or None for 1.
        reduction: see above.
        label_smoothing: in [0, 1): the share of the target spread evenly over all classes, each class's part under
            its own weight, as in torch.
        ignore_index: the label that counts for nothing.

    All ignored (or all weights 0): 0 with a zero gradient. A label out of range: torch's IndexError on CPU.

    Source: FCN (Long et al. 2015, section 4.3), SegNet (Badrinarayanan et al. 2017, section 4.1).

    Raises:
        ValueError: for an unknown reduction or a label_smoothing outside [0, 1).

    >>> loss = CrossEntropy()(torch.zeros(1, 4, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))
    >>> round(loss.item(), 4)  # ln 4
    1.3863
    """

    class_weights: Tensor | None

    def __init__(
        self,
        class_weights: Tensor | Sequence[float] | None = None,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
        if reduction not in get_args(Reduction):
            raise ValueError(f'reduction must be one of {", ".join(get_args(Reduction))}, got "{reduction}"')
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing}")
        weights = None if class_weights is None else torch.as_tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights, persistent=False)
        self.reduction = reduction
        self.label_smoothing = label_smoothing
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor, pixel_weights: Tensor | None = None) -> Tensor:
        """logits (B, K, H, W) float, target (B, H, W) in [0, K) or ignored, pixel_weights (B, H, W) -> float32 ()."""
        logits, _, valid, weights = weigh(logits, target, self.class_weights, pixel_weights, self.ignore_index)
        losses = F.cross_entropy(
            logits,
            target.long(),
            None if self.class_weights is None else self.class_weights.to(logits),
            reduction="none",
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )
        if pixel_weights is not None:
            losses = losses * torch.where(valid, pixel_weights.to(logits), 0.0)
        if self.reduction == "sum":
            return losses.sum()
        count = weights.sum() if self.reduction == "mean" else valid.sum()
        return losses.sum() / torch.where(count > 0, count, 1)
