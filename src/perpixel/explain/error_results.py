"""What `ErrorStudy` found, as plain numbers ready for JSON."""

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from perpixel.core.errors import UserError
from perpixel.data.samples import Sample
from perpixel.explain.errors import ErrorStudy
from perpixel.explain.uncertainty import UncertaintyStudy
from perpixel.metrics import CONVENTIONS, RiskCoverage, conventions, draws, interval
from perpixel.metrics.bootstrap import DRAWS, LEVEL
from perpixel.metrics.confusion import Floats, Ints, divide
from perpixel.metrics.error_counts import SIDES

CURVE_POINTS = 41


def error_results(
    study: ErrorStudy, groups: Sequence[Hashable] | None = None, field: float | None = None
) -> dict[str, Any]:
    """Every figure of a study.

    Args:
        study: of one image or more.
        groups: the group of each image (`groups_of`); None takes each for itself.
        field: the side of the receptive field in pixels, to give objects' sizes as shares of it; None leaves it out.

    Returns:
        Numbers, lists, strings, and None for what is undefined: `images`, `resampled` (what the intervals are over,
        "" for none), `valid` and `wrong` pixels, `iou`, `mean_iou`, `kinds`, `classes`, `sizes`, `boundary_distance`,
        `look_alikes`, `ceiling`, `conventions`, `confidence`, and `groups` with the figures of each, where there are any.
    """
    names, counts = study.taxonomy.names, study.counts
    weights, resampled = weights_of(study, groups)
    sums = study.sums
    iou = sums.weighted(np.ones((1, len(study.rows)), np.int64)).iou[0]
    kinds = counts.by_kind()
    wrong = sum(int(table.sum()) for table in kinds.values())
    pairs = [
        {"truth": names[p.truth], "predicted": names[p.predicted], "pixels": p.pixels, "share": p.share}
        for p in counts.ranked()
    ]
    return plain(
        {
            "images": len(study.rows),
            "resampled": resampled,
            "interval_level": LEVEL,
            "valid": counts.valid,
            "wrong": wrong,
            "mean_iou": float(conventions(sums)["perpixel, cityscapesScripts"][0]),
            "iou": dict(zip(names, iou.tolist(), strict=True)),
            "kinds": _kinds(study, wrong, weights),
            "classes": _classes(study, kinds, iou),
            "sizes": _sizes(study, kinds, field),
            "boundary_distance": {str(d): int(n) for d, n in enumerate(counts.distances) if d},
            "look_alikes": pairs,
            "ceiling": _ceiling(study),
            "conventions": _conventions(study, weights),
            "confidence": _confidence(study),
            "groups": _groups(study, groups or ()),
        }
    )


def weights_of(study: ErrorStudy, groups: Sequence[Hashable] | None) -> tuple[Ints | None, str]:
    """(R, N) draws of a study's images, and over what they are; None for one image or group alone."""
    n = len(study.rows)
    numbers: Sequence[Hashable] = range(n) if groups is None else groups
    units = len(set(numbers))
    if units < 2:
        return None, ""
    return draws(numbers), f"{units} {'images' if groups is None else 'groups of images'}, {DRAWS} draws"


def groups_of(samples: Sequence[Sample], pattern: str) -> list[str]:
    """The group of each sample: what a pattern finds in its name, its first bracket where it has one.

    >>> from pathlib import Path
    >>> groups_of([Sample("0001TP_006690", Path("a.png"), None)], "^[^_]+")
    ['0001TP']

    Raises:
        UserError: no pattern, or it finds nothing in a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f'"{pattern}" is no regular expression ({error}); for CamVid\'s names "^[^_]+" would do'
        ) from error
    found = []
    for sample in samples:
        match = compiled.search(sample.name)
        if match is None:
            raise UserError(f'"{pattern}" finds no group in the name "{sample.name}"; for CamVid\'s "^[^_]+" would do')
        found.append(match[1] if compiled.groups else match[0])
    return found


def _kinds(study: ErrorStudy, wrong: int, weights: Ints | None) -> dict[str, Any]:
    valid = study.sums.truth.sum(axis=1)
    return {
        kind: {
            "pixels": int(pixels.sum()),
            "of_wrong": float(divide(pixels.sum(), wrong)),
            "of_valid": float(divide(pixels.sum(), valid.sum())),
            "interval": None if weights is None else list(interval(divide(weights @ pixels, weights @ valid))),
        }
        for kind, pixels in study.kinds_by_image().items()
    }


def _classes(study: ErrorStudy, kinds: Mapping[str, Ints], iou: Floats) -> list[dict[str, Any]]:
    c = study.counts
    return [
        {
            "name": name,
            "pixels": int(c.pixels[k]),
            "iou": float(iou[k]),
            "wrong": int(sum(table[:, k].sum() for table in kinds.values())),
            "kinds": {kind: int(table[:, k].sum()) for kind, table in kinds.items()},
            "objects": c.objects[:, k].tolist(),
            "missed": c.missed[:, k].tolist(),
            "object_pixels": c.object_pixels[:, k].tolist(),
        }
        for k, name in enumerate(study.taxonomy.names)
    ]


def _sizes(study: ErrorStudy, kinds: Mapping[str, Ints], field: float | None) -> list[dict[str, Any]]:
    c, found = study.counts, []
    for i, (low, high) in enumerate(zip((0, *SIDES), (*SIDES, math.inf), strict=True)):
        of_field = {} if field is None else {"of_field": [low / field, high / field]}
        found.append(
            {
                "side": [low, high],
                **of_field,
                "objects": int(c.objects[i].sum()),
                "missed": int(c.missed[i].sum()),
                "pixels": int(c.object_pixels[i].sum()),
                "kinds": {kind: int(table[i].sum()) for kind, table in kinds.items()},
            }
        )
    return found


def _ceiling(study: ErrorStudy) -> list[dict[str, Any]]:
    ceiling, names = study.ceiling, study.taxonomy.names
    return [
        {"width": d, "mean_iou": mean, "iou": dict(zip(names, row.tolist(), strict=True))}
        for d, mean, row in zip(ceiling.widths, ceiling.mean_iou, ceiling.iou, strict=True)
    ]


def _conventions(study: ErrorStudy, weights: Ints | None) -> list[dict[str, Any]]:
    sums = study.sums
    drawn = None if weights is None else conventions(sums, weights)
    return [
        {
            "name": name,
            "over": CONVENTIONS[name],
            "value": float(value[0]),
            "interval": None if drawn is None else list(interval(drawn[name])),
        }
        for name, value in conventions(sums).items()
    ]


def _groups(study: ErrorStudy, groups: Sequence[Hashable]) -> list[dict[str, Any]]:
    """Each group's images, mIoU, and the IoU and the share found of each class."""
    sums, names = study.sums, study.taxonomy.names
    found = []
    for group in dict.fromkeys(groups):
        weights = np.array([[group == g for g in groups]], np.int64)
        whole = sums.weighted(weights)
        recall = divide(whole.correct[0], whole.truth[0])
        found.append(
            {
                "name": str(group),
                "images": int(weights.sum()),
                "mean_iou": float(conventions(sums, weights)["perpixel, cityscapesScripts"][0]),
                "iou": dict(zip(names, whole.iou[0].tolist(), strict=True)),
                "found": dict(zip(names, recall.tolist(), strict=True)),
            }
        )
    return found


def _confidence(study: ErrorStudy) -> dict[str, Any]:
    r, names = study.reliability, study.taxonomy.names
    return {
        "risk": study.risk.risk,
        "area": study.risk.area,
        "best_area": study.risk.best_area,
        "curve": _curve(study.risk),
        "classes": [
            {"name": name, "error": float(r.error[k]), "bias": float(r.bias[k]), "table": r.table(k)}
            for k, name in enumerate(names)
        ],
    }


def uncertainty_results(study: UncertaintyStudy | None) -> dict[str, Any]:
    """{"uncertainty": images, measures with area, best_area, risk and curve each, note}; {} where nothing was asked."""
    if study is None:
        return {}
    measures = {
        measure: {"area": c.area, "best_area": c.best_area, "risk": c.risk, "curve": _curve(c)}
        for measure, c in study.curves.items()
    }
    return {"uncertainty": plain({"images": study.images, "measures": measures, "note": study.note})}


def _curve(risk: RiskCoverage) -> list[list[float]]:
    """Some points of the curve, evenly over coverage."""
    coverage, risks = risk.curve()
    if not len(coverage):
        return []
    at = np.unique(np.searchsorted(coverage, np.linspace(0, 1, CURVE_POINTS)).clip(max=len(coverage) - 1))
    return [[float(coverage[i]), float(risks[i])] for i in at]


def plain(value: Any) -> Any:
    """JSON has neither NaN nor infinity: None stands for them."""
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
