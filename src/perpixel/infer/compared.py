"""A model and a data set whose classes differ, compared through a common taxonomy.

    network -> probabilities of K classes -> P (E, K), sums -> argmax        masks of the set -> the same E classes

Source: Lambert et al., "MSeg", CVPR 2020, section 4: the sum comes before the argmax, never after.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from perpixel.core.errors import UserError
from perpixel.core.words import some_names
from perpixel.data.samples import Dataset
from perpixel.infer.predictor import Predictor
from perpixel.labels import CommonTaxonomy, Grouping, Side, Taxonomy, grouped


@dataclass(frozen=True)
class Compared:
    """A predictor that answers in the classes of the comparison, how masks are read as these, and what there is to say."""

    predictor: Predictor
    taxonomy: Taxonomy
    lines: tuple[str, ...]


def compared(
    predictor: Predictor,
    dataset: Dataset,
    common: CommonTaxonomy,
    model_as: str | None = None,
    data_as: str | None = None,
) -> Compared:
    """The finest classes in which a model can be measured on a data set.

    Args:
        predictor: of any classes: the common ones, or those of one of the taxonomy's sets.
        dataset: likewise; it need not have been in training.
        common: the taxonomy.
        model_as, data_as: which set's classes they are; None finds it by name, or else by the classes.

    Raises:
        UserError: a class is missing in the taxonomy or unknown, or model and data have nothing in common.
    """
    own = dataset.taxonomy
    if own is None:
        raise UserError(
            f"{dataset.root}: its classes have no names; give them in a dataset.yaml (perpixel check --write)"
        )
    model, target = _of_model(predictor, common, model_as), Side.of(common, dataset.name, own.names, data_as)
    found = grouped(model, target, common.classes.names)
    _refuse_nothing(found, common)
    taxonomy = found.labels_of(own)
    lines = (f"model     has {model.what}, the data {target.what}", *_lines(found, model, target))
    return Compared(predictor.answering(found.matrix, taxonomy), taxonomy, lines)


def answering_as(
    predictor: Predictor, common: CommonTaxonomy, model_as: str | None = None, classes_of: str | None = None
) -> Compared:
    """A model that answers in the common classes, or in those of one of the taxonomy's sets.

    Args:
        predictor: as for `compared`.
        common: the taxonomy.
        model_as: as for `compared`.
        classes_of: in the classes of this set; None answers in the common ones that the model knows.

    Raises:
        UserError: as `compared`.
    """
    model = _of_model(predictor, common, model_as)
    names = tuple(common.block(classes_of)) if classes_of else common.classes.names
    target = Side.of(common, classes_of, names, classes_of) if classes_of else Side.common(common.classes)
    found = grouped(model, target, common.classes.names).found()
    _refuse_nothing(found, common)
    colours = common.classes.colours if not classes_of else Taxonomy.of(names).colours
    taxonomy = Taxonomy.of(found.names, [colours[labels[0]] for labels in found.target])
    lines = (f"model     has {model.what}, it answers in {target.what}", *_lines(found, model, target))
    return Compared(predictor.answering(found.matrix, taxonomy), taxonomy, lines)


def _of_model(predictor: Predictor, common: CommonTaxonomy, model_as: str | None) -> Side:
    name = str(predictor.info.data.get("name", "")) if predictor.info else ""
    return Side.of(common, name, predictor.taxonomy.names, model_as)


def _refuse_nothing(found: Grouping, common: CommonTaxonomy) -> None:
    if not any(found.model):
        raise UserError(
            f"{common.where}: the model's classes and those asked for have no common class; correct their blocks"
        )


def _lines(found: Grouping, model: Side, target: Side) -> list[str]:
    """What of the two sides does not count, and what the model cannot find."""
    used = {label for labels in found.model for label in labels}
    compared_with = {label for labels in found.target for label in labels}
    merged = [name for name, labels in zip(found.names, found.target, strict=True) if len(labels) > 1]
    never = [name for name, labels in zip(found.names, found.model, strict=True) if not labels]
    kinds = {
        "classes of the model that count for nothing": _others(model.names, used),
        "classes left out, their pixels ignored": _others(target.names, compared_with),
        "merged, for the taxonomy does not tell their parts apart": merged,
        "classes that the model does not know: their IoU is 0": never,
    }
    return [f"taxonomy  {what}: {some_names(names, 8)}" for what, names in kinds.items() if names]


def _others(names: Sequence[str], seen: set[int]) -> list[str]:
    return [name for i, name in enumerate(names) if i not in seen]
