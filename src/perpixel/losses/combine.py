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
from perpixel.losses.presence import Presence

LOSSES: dict[str, type[nn.Module]] = {
    "cross_entropy": CrossEntropy,
    "ohem": OhemCrossEntropy,
    "dice": Dice,
    "lovasz": Lovasz,
}
MAX_WEIGHT = 1e6
RESERVED = ("loss", "aux", "presence")
"""Names of the result that no term may take."""


class WeightedSum(nn.Module):
    """The weighted sum of losses on a model's "logits", of the first of them on its auxiliary outputs, and of presence.

    Args:
        terms: (name, weight, loss) each, names different; the names are keys of the result.
        aux_weight: what each auxiliary output's loss counts for, times the first term's weight; 0.4 in PSPNet.
        presence_weight: what `Presence` counts for, where a model returns "presence"; 0.2 in EncNet.

    Raises:
        ValueError: without a term, or when two have one name or take "loss", "aux" or "presence".
    """

    def __init__(
        self, terms: Sequence[tuple[str, float, nn.Module]], aux_weight: float = 0.4, presence_weight: float = 0.2
    ) -> None:
        super().__init__()
        names = [name for name, _, _ in terms]
        if not names or len({*names, *RESERVED}) != len(names) + len(RESERVED):
            raise ValueError(f"expected terms of different names, none of {', '.join(RESERVED)}; got {names}")
        self.losses = nn.ModuleDict({name: loss for name, _, loss in terms})
        self.weights = {name: float(weight) for name, weight, _ in terms}
        self.aux_weight = aux_weight
        self.presence = Presence()
        self.presence_weight = presence_weight

    def forward(
        self, output: Mapping[str, Tensor | list[Tensor]], target: Tensor, pixel_weights: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The total to descend, and its parts to show.

        Args:
            output: "logits" (B, K, H, W), and maybe "aux": one (B, K, h, w) or a list of them, of any size, resized
                bilinearly to the target's; and maybe "presence" (B, K), scores. Other keys are left alone.
            target: (B, H, W) integers in [0, K) or ignored.
            pixel_weights: (B, H, W) or None, handed to every term.

        Returns:
            "loss", the scalar total; each term by its name, before its weight; "aux", the sum over auxiliary outputs
            before `aux_weight`, and "presence", before `presence_weight`, where the model has them. All but "loss" are
            detached.
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
        if "presence" in output:
            presence = self.presence(output["presence"], target)
            total = total + self.presence_weight * presence
            parts["presence"] = presence.detach()
        return {"loss": total, **parts}


def _resize(logits: Tensor, target: Tensor) -> Tensor:
    if logits.shape[-2:] == target.shape[-2:]:
        return logits
    return F.interpolate(logits.float(), size=target.shape[-2:], mode="bilinear", align_corners=False)


def build_loss(
    terms: Sequence[Mapping[str, Any]],
    class_weights: Tensor | None = None,
    aux_weight: float = 0.4,
    presence_weight: float = 0.2,
) -> WeightedSum:
    """The weighted sum that a recipe describes.

    Args:
        terms: {"name": a key of LOSSES, "weight": 1.0 unless given, and any option of that loss} each.
        class_weights: (K,) or None, handed to each loss that takes them, unless the term has its own.
        aux_weight, presence_weight: see `WeightedSum`.

    Raises:
        UserError: for no term, an unknown or repeated name, an unknown option, or a value that the loss refuses.

    >>> sorted(build_loss([{"name": "ohem", "threshold": 0.9}, {"name": "dice", "weight": 0.5}]).weights.items())
    [('dice', 0.5), ('ohem', 1.0)]
    """
    built = [_build_term(term, class_weights) for term in terms]
    try:
        return WeightedSum(built, aux_weight, presence_weight)
    except ValueError as error:
        raise UserError(f"the loss's terms do not go together: {error}.") from error


def _build_term(term: Mapping[str, Any], class_weights: Tensor | None) -> tuple[str, float, nn.Module]:
    options = dict(term)
    name, weight = str(options.pop("name", "")), options.pop("weight", 1.0)
    if name not in LOSSES:
        raise UserError(f'no loss "{name}": use one of {", ".join(LOSSES)}.{nearest(name, LOSSES)}')
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= MAX_WEIGHT:
        raise UserError(
            f'the loss "{name}" has the weight {str(weight)[:60]!r}: give a number from 0 to {MAX_WEIGHT:g}.'
        )
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
        return name, float(weight), LOSSES[name](**options)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise UserError(f'the loss "{name}" cannot be built: {error}.') from error
