"""How wide and how faint the objects of a class are, group by group: whether a class that is missed could be seen at all.

    python benchmarks/object_contrast.py CAMVID --class pole [--group "^[^_]+"] [--least 100]

An object is a connected region of the truth, of `--least` pixels or more; its contrast is as in `perpixel.metrics.regions`, its
width its pixels over the height of its box. No model takes part. What was measured with it is in docs/why.md.
"""

import argparse

import numpy as np

import perpixel
from perpixel.core import IGNORE
from perpixel.data.pairs import read_pair
from perpixel.explain.error_results import groups_of
from perpixel.explain.setting import class_number
from perpixel.metrics import image_errors


def objects_of(image: np.ndarray, truth: np.ndarray, label: int) -> np.ndarray:
    """(n, 3): contrast, width and pixels of each object."""
    all_missed = np.where(truth == label, IGNORE, truth)  # contrast is of what was missed
    found = image_errors(all_missed, truth, image=image).objects
    mine = found.label == label
    height = found.box[mine, 2] - found.box[mine, 0]
    return np.stack([found.contrast[mine], found.pixels[mine] / height, found.pixels[mine]], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--class", dest="name", default="pole")
    parser.add_argument("--group", default="^[^_]+")
    parser.add_argument("--least", type=int, default=100)
    given = parser.parse_args()
    dataset = perpixel.open_dataset(given.data)
    assert dataset.taxonomy, "the classes need names"
    label = class_number(dataset.taxonomy, given.name)
    for split, samples in dataset.splits.items():
        groups: dict[str, list[np.ndarray]] = {}
        for sample, group in zip(samples, groups_of(samples, given.group), strict=True):
            groups.setdefault(group, []).append(objects_of(*read_pair(sample, dataset.taxonomy), label))
        for group, parts in groups.items():
            table = np.concatenate(parts)
            table = table[table[:, 2] >= given.least]
            contrast, width = (np.nanmedian(table[:, i]) for i in (0, 1))
            print(
                f"{split} {group}: {len(table)} of class {given.name}, contrast {contrast:.2f}, width {width:.1f} px (medians)"
            )


if __name__ == "__main__":
    main()
