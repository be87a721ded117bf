"""Losses by name, and their weighted sum over what a model returns."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest
from perpixel.losses.cross_entropy import CrossEntropy
from perpixel.losses.dice import Dice
from perpixel.losses.lovasz import Lovasz
from perpixel.losses.ohem import OhemCrossEntropy

LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "ohem": OhemCrossEntropy,
    "dice": Dice,
    "lovasz": Lovasz,
}


class WeightedSum(nn.Module):
    """The weighted sum of losses on a model's "logits", and of the first of them on its auxiliary outputs.

    Args:
        terms: (name, weight, loss) each, names different; the names are keys of the result.
        aux_weight: what each auxiliary output's loss counts for, times the first term's weight; 0.4 in PSPNet.

    Raises:
        ValueError: without a term, or when two have one name or take "loss" or "aux".
    """

    def __init__(self, terms: Sequence[tuple[str, float, nn.Module]], aux_weight: float = 0.4) -> None:
        super().__init__()
        names = [name for name, _, _ in terms]
        if not names or len({*names, "loss", "aux"}) != len(names) + 2:
            raise ValueError(f'expected terms of different names, none "loss" or "aux", got {names}')
        self.losses = nn.ModuleDict({name: loss for name, _, loss in terms})
        self.weights = {name: float(weight) for name, weight, _ in terms}
        self.aux_weight = aux_weight

    def forward(
        self, output: Mapping[str, Tensor | list[Tensor]], target: Tensor, pixel_weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The total to descend, and its parts to show.

        Args:
            output: "logits" (B, K, H, W), and maybe "aux": one (B, K, h, w) or a list of them, of any size, resized
                bilinearly to the target's; other keys are left alone.
            target: (B, H, W) integers in [0, K) or ignored.
            pixel_weights: (B, H, W) or None, handed to every term.

        Returns:
            "loss", the scalar total; each term by its name, before its weight; and "aux", the sum over auxiliary
            outputs before `aux_weight`, when there are any. All but "loss" are detached.
        """
        values = {name: loss(output["logits"], target, pixel_weights) for name, loss in self.losses.items()}
        parts = {name: value.detach() for name, value in values.items()}
        total = sum(self.weights[name] * value for name, value in values.items())
        auxiliary = output.get("aux", [])
        auxiliary = [auxiliary] if isinstance(auxiliary, Tensor) else auxiliary
        if auxiliary:
            first = next(iter(self.losses))
            aux = sum(self.losses[first](_resize(logits, target), target, pixel_weights) for logits in auxiliary)
            total = total + self.aux_weight * self.weights[first] * aux
            parts["aux"] = aux.detach()
        return {"loss": total, **parts}


def _resize(logits: Tensor, target: Tensor) -> Tensor:
    if logits.shape[-2:] == target.shape[-2:]:
        return logits
    return F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)


def build_loss(
    terms: Sequence[Mapping[str, Any]], class_weights: Tensor | None = None, aux_weight: float = 0.4
) -> WeightedSum:
    """The weighted sum that a recipe describes.

    Args:
        terms: {"name": a key of LOSSES, "weight": 1.0 unless given, and any option of that loss} each.
        class_weights: (K,) or None, handed to each loss that takes them, unless the term has its own.
        aux_weight: see `WeightedSum`.

    Raises:
        UserError: for no term, an unknown or repeated name, an unknown option, or a value that the loss refuses.

    >>> sorted(build_loss([{"name": "ohem", "threshold": 0.9}, {"name": "dice", "weight": 0.5}]).weights.items())
    [('dice', 0.5), ('ohem', 1.0)]
    """
    built = [_build_term(term, class_weights) for term in terms]
    try:
        return WeightedSum(built, aux_weight)
    except ValueError as error:
        raise UserError(f"the loss's terms do not go together: {error}.") from error


def _build_term(term: Mapping[str, Any], class_weights: Tensor | None) -> tuple[str, float, nn.Module]:
    options = dict(term)
    name, weight = str(options.pop("name", "")), float(options.pop("weight", 1.0))
    if name not in LOSSES:
        raise UserError(f'no loss "{name}": use one of {", ".join(LOSSES)}.{nearest(name, LOSSES)}')
    known = inspect.signature(LOSSES[name]).parameters
    for option in options:
        if option not in known:
            raise UserError(
                f'the loss "{name}" has no option "{option}": it takes {", ".join(["weight", *known])}.'
                + nearest(option, ["weight", *known])
            )
    if "class_weights" in known:
        options.setdefault("class_weights", class_weights)
    try:
        return name, weight, LOSSES[name](**options)
    except (TypeError, ValueError) as error:
        raise UserError(f'the loss "{name}" cannot be built: {error}.') from error
