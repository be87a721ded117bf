"""What a study needs beside a model and images: the training set's co-occurrences, and classes by name."""

from perpixel.core.errors import UserError, nearest
from perpixel.data.samples import Dataset
from perpixel.explain.errors import seen_together
from perpixel.labels import Taxonomy
from perpixel.metrics import CoOccurrence


def seen_in_training(dataset: Dataset, taxonomy: Taxonomy, split: str) -> tuple[CoOccurrence, str]:
    """Which classes occur together in the train split, and a line where it is counted on `split`, for there is none.

    Raises:
        UserError: a mask cannot be read.
    """
    if dataset.splits.get("train"):
        return seen_together(dataset.split("train"), taxonomy), ""
    note = f'mismatched: there is no split "train"; what occurs together was counted on {split}'
    return seen_together(dataset.split(split), taxonomy), note


def class_number(taxonomy: Taxonomy, name: str) -> int:
    """The label of a class.

    Raises:
        UserError: there is no such class, with the nearest right name.
    """
    if name not in taxonomy.names:
        names = ", ".join(taxonomy.names)
        raise UserError(f'no class "{name}"; there are: {names}.{nearest(name, taxonomy.names)}')
    return taxonomy.names.index(name)
