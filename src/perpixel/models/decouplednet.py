"""DecoupledNet: a classifier says which classes are there, a second network where each of them is, one after another.

Hong, Noh, Han, "Decoupled Deep Neural Network for Semi-supervised Semantic Segmentation", NIPS 2015, arXiv:1506.04924.
Sizes below are the paper's, for images of 320 x 320; C is the number of classes beside the background:

    classification, of many images with no mask     bridge, of one class        segmentation, of few masks
    ───────────────────────────────────────────     ──────────────────────      ────────────────────────────────────
    image 3,320
      │ five stages of VGG-16 ───────── where the maxima stood ──────────────── unpool, deconvs: 512,20 to 64,320
     pool5 512,10 ───────────────────────────────── norm ─┐                         │
      │                                                   ├─ 1024,10 ─ fc6 7x7, fc7, deconv 7x7 ─ 512,10
     fc6 7x7, ReLU      4096,4 ── where above 0 ─── 512,10 norm                     │
      │                                               │ times fc6's weights         │ 1x1
     fc7 1x1, ReLU      4096,4 ── where above 0 ─── 4096,4                     2,320: beside it, in it
      │                                               │ times fc7's weights
     scores 1x1         C,4                         4096,4
      │                                               │ times the scores' weights
     max, sigmoid       C ────── where it stood ─── C,4: p of the class, zero elsewhere

The bridge goes the classifier's way back: it is the gradient of the class's score by pool5, times p.

An image is labelled class by class. A pass with all classes of p > 0.5 gives the probability of the background, one
pass each that of such a class; the rest have none. Where all are zero they are set to one; their sum is made one.

Differs from the paper:
- An image is taken at its size, and the maximum is over all positions of the scores; the paper resizes it to 320 x 320.
  Where pool5 is less than fc6's window its last row and column are repeated; what they cause is cut.
- The logits are the logarithms of the probabilities, of which none is taken as less than 1e-6.
- `forward` trains all at once, of masks: there p > 0.5 is not asked, each class's probability is multiplied by p, and
  all passes share the batch norms' statistics. `perpixel.train.decoupled` trains as the paper does. Gradients never flow
  through the bridge's weights; the authors' are copies that are not trained.
- The published classifier was trained with the mean over positions, not the maximum (the name of its weights says so).
- VGG-16's weights are not loaded here: fresh ones are Kaiming's. `width`, `window` and `batch_norm` are options.
- Batch norms keep running averages for eval; the authors compute the statistics in a pass over the training set.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.layers.init import kaiming_init
from perpixel.layers.pad import pad_end
from perpixel.layers.unpool import max_pool, max_unpool
from perpixel.models.backbones.vgg import shifted_norm, vgg16_stages
from perpixel.models.deconvnet import DECODER, NORM_EPS, deconvs, norm_relu

FLOOR = 1e-6
"""The least probability that the logits speak of."""


class Seen(NamedTuple):
    """What the classifier leaves of B images, for the bridge and for the segmentation.

    `scores` (B, C) before the sigmoid, and `stood`, the same shape, the position of each one's maximum; `pool5`
    (B, 512, h, w), `size` of it before padding; `fc6`, `fc7` (B, 4096, h-6, w-6) bool, where they are above 0; for each
    pooling, finest first, where its maxima stood and the size of what was pooled.
    """

    scores: Tensor
    stood: Tensor
    pool5: Tensor
    size: Size
    fc6: Tensor
    fc7: Tensor
    kept: list[tuple[Tensor, Size]]

    def repeated(self, times: int) -> "Seen":
        """Each image so many times, one after another."""

        def more(x: Tensor) -> Tensor:
            return x.repeat_interleave(times, dim=0)

        kept = [(more(positions), size) for positions, size in self.kept]
        scores, stood, pool5, size, fc6, fc7, _ = self
        return Seen(more(scores), more(stood), more(pool5), size, more(fc6), more(fc7), kept)


class DecoupledNet(nn.Module):
    """The network. `forward` takes `(B, in_channels, H, W)` float, normalised, any H and W from 1 up.

    It returns `{"logits": (B, K, H, W)}`, logarithms of probabilities, and, with `presence=True`, also `"presence"`,
    `(B, K)`: the score before the sigmoid that a class is there; of the background, which has no score, 0.
    In eval a class that no image of the batch shows costs nothing; each other costs a pass through the segmentation.

    Options: `background`, which class is what the others leave, 0 unless given; `threshold`, above which sigmoid a class
    is there, in eval; `width`, the channels of the first convolutions, 64 in the paper, of which all others are
    multiples; `window`, the side of fc6, 7 in the paper, for images smaller than its 320; `batch_norm`, behind
    the classifier's convolutions, for training from scratch; `presence`; `packed_indices`, whether eval keeps the maxima's
    positions in two bits each. Raises `UserError` for less than two classes, and for a background that is none of them.
    """

    backbone_names = ("classifier.convolutions", "classifier.fc6", "classifier.fc7")

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        background: int = 0,
        threshold: float = 0.5,
        width: int = 64,
        window: int = 7,
        batch_norm: bool = False,
        presence: bool = False,
        packed_indices: bool = True,
    ) -> None:
        super().__init__()
        check(num_classes, background, window)
        self.background, self.threshold, self.presence, self.packed = background, threshold, presence, packed_indices
        self.classifier = Classifier(num_classes - 1, in_channels, width, window, batch_norm)
        self.norm_pool5 = shifted_norm(8 * width, NORM_EPS)
        self.norm_back = shifted_norm(8 * width, NORM_EPS)
        self.segmentation = Segmentation(16 * width, 2, width, window)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        seen = self.classify(image)
        logits = self.trained_at_once(seen) if self.training else self.class_by_class(seen)  # B,K,H,W
        output = {"logits": logits}
        if self.presence:
            output["presence"] = self.in_order(
                torch.cat([torch.zeros_like(seen.scores[:, :1]), seen.scores], dim=1)
            )  # B,K
        return output

    def classify(self, image: Tensor) -> Seen:
        """`(B, in_channels, H, W)` -> what the classifier makes of it; its `scores` are what to train it by."""
        return cast(Seen, self.classifier(image, packed=self.packed and not self.training))

    def segment(self, seen: Seen, amounts: Tensor) -> Tensor:
        """Scores `(B, 2, H, W)` for beside and in the classes whose `amounts` `(B, C)` are above zero: one pass."""
        back = self.classifier.back(seen, amounts)
        x = torch.cat([self.norm_pool5(seen.pool5), self.norm_back(back)], dim=1)  # B,1024,~H/32,~W/32
        return cast(Tensor, self.segmentation(x, seen.size, seen.kept))

    def class_by_class(self, seen: Seen) -> Tensor:
        """The published inference: `(B, K, H, W)` logarithms of probabilities."""
        p = torch.sigmoid(seen.scores)
        there = p > self.threshold
        background = self.segment(seen, p * there).softmax(1)[:, :1]
        maps = [background]
        for i in range(p.shape[1]):
            if torch.compiler.is_compiling() or p.is_meta or there[:, i].any():  # without values, every class is there
                alone = F.one_hot(torch.tensor(i, device=p.device), p.shape[1])
                maps.append(self.segment(seen, p * alone).softmax(1)[:, 1:] * there[:, i, None, None, None])
            else:
                maps.append(torch.zeros_like(background))
        mass = torch.cat(maps, dim=1)
        known = torch.cat([torch.ones_like(there[:, :1]), there], dim=1)[:, :, None, None]
        mass = mass + known * (mass.sum(dim=1, keepdim=True) <= 0)
        return self.in_order((mass / mass.sum(dim=1, keepdim=True)).clamp(min=FLOOR).log())

    def trained_at_once(self, seen: Seen) -> Tensor:
        """All passes as one batch, with nothing decided: `(B, K, H, W)` logarithms of probabilities."""
        p = torch.sigmoid(seen.scores)
        amounts = torch.cat([p[:, None], torch.diag_embed(p)], dim=1)  # B,K,C: all, and each alone
        passes = self.segment(seen.repeated(amounts.shape[1]), amounts.flatten(0, 1))
        parts = passes.log_softmax(1).unflatten(0, (-1, amounts.shape[1]))  # B,K,2,H,W
        classes = parts[:, 1:, 1] + F.logsigmoid(seen.scores)[:, :, None, None]
        return self.in_order(torch.cat([parts[:, :1, 0], classes], dim=1).log_softmax(1))

    def in_order(self, maps: Tensor) -> Tensor:
        """`(B, K, ...)`: the background, which comes first, to its place among the classes."""
        background, before, after = maps.split([1, self.background, maps.shape[1] - 1 - self.background], dim=1)
        return torch.cat([before, background, after], dim=1)


class Classifier(nn.Module):
    """VGG-16 slid over the image: `(B, in_channels, H, W)` -> `Seen`, and from it back to pool5."""

    def __init__(self, classes: int, in_channels: int, width: int, window: int, batch_norm: bool) -> None:
        super().__init__()
        self.window = window
        self.convolutions = vgg16_stages(in_channels, width=width, norm_eps=NORM_EPS if batch_norm else None)
        self.fc6 = nn.Conv2d(8 * width, 64 * width, window)
        self.fc7 = nn.Conv2d(64 * width, 64 * width, 1)
        self.score = nn.Conv2d(64 * width, classes, 1)
        kaiming_init(self)
        nn.init.normal_(self.score.weight, mean=0.0, std=0.01)

    def forward(self, image: Tensor, packed: bool) -> Seen:
        x = image
        kept: list[tuple[Tensor, Size]] = []
        for stage in self.convolutions:
            x = stage(x)  # B,64,H,W to B,512,~H/16,~W/16
            size = (x.shape[-2], x.shape[-1])
            x, positions = max_pool(x, packed=packed)
            kept.append((positions, size))
        size = (x.shape[-2], x.shape[-1])
        pool5 = pad_end(x, (self.at_least_a_window(size[0]), self.at_least_a_window(size[1])))  # B,512,~H/32,~W/32
        fc6 = F.relu(self.fc6(pool5))  # B,4096,h-6,w-6
        fc7 = F.relu(self.fc7(fc6))
        scores, stood = self.score(fc7).flatten(2).max(dim=2)  # B,C
        return Seen(scores, stood, pool5, size, fc6 > 0, fc7 > 0, kept)

    def back(self, seen: Seen, amounts: Tensor) -> Tensor:
        """`amounts` `(B, C)` -> `(B, 512, h, w)`: the gradient by pool5 of the sum of `amounts` times the scores.

        An amount is put where its score's maximum stood, and goes back through the weights, past what was above zero.
        The weights get no gradient, the amounts do.
        """
        places = torch.zeros_like(seen.fc7[:, :1], dtype=amounts.dtype).expand(-1, amounts.shape[1], -1, -1)
        placed = places.flatten(2).scatter(2, seen.stood[..., None], amounts[..., None]).view_as(places)
        x = F.conv_transpose2d(placed, self.score.weight.detach()) * seen.fc7  # B,4096,h-6,w-6
        x = F.conv_transpose2d(x, self.fc7.weight.detach()) * seen.fc6
        return F.conv_transpose2d(x, self.fc6.weight.detach())

    def at_least_a_window(self, length: int) -> int:
        """`length`, or fc6's side where that is more. A plain `max` would be decided once and for all in an export."""
        return cast(int, torch.sym_max(length, self.window))


class Segmentation(nn.Module):
    """From pool5 and what stands beside it up to the image: `(B, in_channels, h, w)` -> `(B, outputs, H, W)`."""

    def __init__(self, in_channels: int, outputs: int, width: int, window: int) -> None:
        super().__init__()
        self.fc6 = norm_relu(nn.Conv2d(in_channels, 32 * width, window))
        self.fc7 = norm_relu(nn.Conv2d(32 * width, 32 * width, 1))
        self.fc6_deconv = norm_relu(nn.ConvTranspose2d(32 * width, 8 * width, window))
        channels = [8 * width] + [stage[-1] * width for stage in DECODER[:-1]]
        self.deconvolutions = nn.ModuleList(
            deconvs(inputs, [multiple * width for multiple in stage])
            for inputs, stage in zip(channels, DECODER, strict=True)
        )
        self.score = nn.Conv2d(width, outputs, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(part.weight, mean=0.0, std=0.01)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def forward(self, x: Tensor, size: Size, kept: list[tuple[Tensor, Size]]) -> Tensor:
        """`size` is what pool5 had before padding, `kept` the poolings, finest first: positions, and size before."""
        x = self.fc6_deconv(self.fc7(self.fc6(x)))[..., : size[0], : size[1]]  # B,512,~H/32,~W/32
        for stage, (positions, pooled) in zip(self.deconvolutions, reversed(kept), strict=True):
            x = stage(max_unpool(x, positions, pooled))  # B,512,~H/16,~W/16 to B,64,H,W
        return cast(Tensor, self.score(x))


def check(num_classes: int, background: int, window: int) -> None:
    """Raises `UserError` for numbers that no network can have."""
    if num_classes < 2:
        raise UserError(f"decouplednet needs a background and at least one class beside it; got {num_classes} class")
    if not 0 <= background < num_classes:
        raise UserError(f"background must be one of the classes, 0 to {num_classes - 1}; got {background}")
    if window < 1:
        raise UserError(f"window must be 1 or more; got {window}")
