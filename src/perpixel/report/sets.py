"""What a model trained on several data sets is on each."""

from collections.abc import Mapping
from typing import Any


def sets_words(metrics: Mapping[str, Any]) -> str:
    """The mIoU on each set's val and their means, of what a bundle says of its metrics; nothing where it was trained on one.

    >>> sets_words({"sets": {"a": {"mean_iou": 0.5}, "b": {"mean_iou": None}}, "over_sets": {"mean": 0.25, "harmonic_mean": 0.0}})
    'mIoU a 0.5000, b -; mean 0.2500, harmonic mean 0.0000'
    """
    sets, over = metrics.get("sets"), metrics.get("over_sets")
    if not isinstance(sets, Mapping) or not isinstance(over, Mapping):
        return ""
    each = ", ".join(f"{key} {_number(found.get('mean_iou'))}" for key, found in sets.items())
    return f"mIoU {each}; mean {_number(over.get('mean'))}, harmonic mean {_number(over.get('harmonic_mean'))}"


def _number(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "-"
