"""What a model's classes and a data set's can be compared in, where both are mapped to common classes.

    model's classes ─ common classes ─ set's classes        two classes that share a common one hang together;
                                                            what hangs together is one class of the comparison

So a class of the set is answered by the sum of the probabilities of all classes of the model that make it, P p with a fixed
matrix P of zeros and ones, before the most probable is chosen. A column of P has at most one 1, or a pixel would count twice.
Source: Lambert et al., CVPR 2020, section 4; their test sets are those in which no class is merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perpixel.core.image import Array
from perpixel.labels.mapping import CommonTaxonomy, plain
from perpixel.labels.taxonomy import Taxonomy

Parts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Side:
    """Names of classes, and the common classes that each is made of, by label; `what` they are, in words."""

    names: tuple[str, ...]
    parts: tuple[tuple[int, ...], ...]
    what: str = ""

    @classmethod
    def common(cls, taxonomy: Taxonomy) -> "Side":
        """The common classes themselves."""
        return cls(taxonomy.names, tuple((i,) for i in range(taxonomy.num_classes)), "the common classes")

    @classmethod
    def of(cls, common: CommonTaxonomy, name: str, names: Sequence[str], block: str | None = None) -> "Side":
        """The classes of a data set or a model: the common ones, in any order, or those of one of the taxonomy's sets.

        Args:
            common: the taxonomy.
            name: of the data set, or of the one that the model was trained on.
            names: of the classes, in their order.
            block: which set it is; None finds that by `name`, or else by `names`.

        Raises:
            UserError: no set of the taxonomy fits.
        """
        label = {plain(n): i for i, n in enumerate(common.classes.names)}
        own, told = [plain(n) for n in names], sorted(map(plain, common.sets.get(name, ())))
        if block is None and sorted(own) == sorted(label) != told:
            return cls(tuple(names), tuple((label[n],) for n in own), "the common classes")
        key = common.set_of(name, names) if block is None else block
        return cls(tuple(names), common.parts(key, names), f"those of {key}")


@dataclass(frozen=True)
class Grouping:
    """E classes to compare in.

    Args:
        names: of each.
        model: of each, the model's classes that make it, which may be none: it is then never found.
        target: of each, the set's classes that it is, one or more.
        num_model_classes: K.
    """

    names: tuple[str, ...]
    model: tuple[tuple[int, ...], ...]
    target: tuple[tuple[int, ...], ...]
    num_model_classes: int

    @property
    def matrix(self) -> Array:
        """P (E, K) uint8: 1 where a class of the model is a part of a class of the comparison."""
        matrix = np.zeros((len(self.names), self.num_model_classes), np.uint8)
        for row, labels in zip(matrix, self.model, strict=True):
            row[list(labels)] = 1
        return matrix

    def found(self) -> "Grouping":
        """Without what the model never finds."""
        kept = [i for i, labels in enumerate(self.model) if labels]
        return Grouping(
            tuple(self.names[i] for i in kept),
            tuple(self.model[i] for i in kept),
            tuple(self.target[i] for i in kept),
            self.num_model_classes,
        )

    def labels_of(self, own: Taxonomy) -> Taxonomy:
        """How masks of the set are read as classes of the comparison; its other classes are ignored."""
        values = tuple(sum((own.values[i] for i in labels), ()) for labels in self.target)
        colours = tuple(own.colours[labels[0]] for labels in self.target)
        seen = {i for labels in self.target for i in labels}
        others = sum((v for i, v in enumerate(own.values) if i not in seen), ())
        return Taxonomy(self.names, colours, values, own.ignored_values() + others)


def grouped(model: Side, target: Side, common: Sequence[str]) -> Grouping:
    """The finest classes in which a model can be compared with a data set.

    Args:
        model: its classes in common ones; a class that is made of none counts for nothing.
        target: the set's classes in common ones; one that is made of none is not compared.
        common: names of the common classes, for those that are merged.

    >>> both = grouped(Side(("a", "b", "c"), ((0,), (1,), (2,))), Side(("x", "y"), ((0, 1), (2,))), ("a", "b", "c"))
    >>> both.names, both.matrix.tolist()
    (('x', 'y'), [[1, 1, 0], [0, 0, 1]])
    """
    root = _together([*model.parts, *target.parts], len(common))
    groups: dict[int, list[int]] = {}
    for label, parts in enumerate(target.parts):
        if parts:
            groups.setdefault(root[parts[0]], []).append(label)
    makers = {key: tuple(i for i, p in enumerate(model.parts) if p and root[p[0]] == key) for key in groups}
    names = tuple(_name(target, labels, common) for labels in groups.values())
    return Grouping(names, tuple(makers.values()), tuple(map(tuple, groups.values())), len(model.names))


def _together(classes: Parts, n: int) -> list[int]:
    """For each of `n` common classes the first one that it hangs together with."""
    root = list(range(n))
    for parts in classes:
        joined = {root[p] for p in parts}
        root = [min(joined) if r in joined else r for r in root]
    return root


def _name(target: Side, labels: Sequence[int], common: Sequence[str]) -> str:
    """The set's own name; of several the common class that all of them are, or else all of their names."""
    if len(labels) == 1:
        return target.names[labels[0]]
    parts = {p for label in labels for p in target.parts[label]}
    return common[parts.pop()] if len(parts) == 1 else " + ".join(target.names[i] for i in labels)
