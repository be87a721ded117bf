"""The classes in which a model and a set are compared."""

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.labels import CommonTaxonomy, Side, Taxonomy, grouped

COMMON = ("car", "road", "grass", "sky")
TAXONOMY = CommonTaxonomy(
    "outside",
    Taxonomy.of(COMMON),
    {"coarse": {"vehicle": ("car",), "ground": ("road", "grass"), "sky": ("sky",), "void": ()}},
)


def test_a_sum_for_each_class_of_the_set() -> None:
    target = Side.of(TAXONOMY, "coarse", ["sky", "ground", "void", "vehicle"])
    found = grouped(Side.common(TAXONOMY.classes), target, COMMON)
    assert found.names == ("sky", "ground", "vehicle")
    assert found.matrix.tolist() == [[0, 0, 0, 1], [0, 1, 1, 0], [1, 0, 0, 0]]
    own = Taxonomy.of(["sky", "ground", "void", "vehicle"], values=[(3,), (4,), (5,), (6,)])
    assert found.labels_of(own).encode(np.array([[3, 4, 5, 6]], np.uint8)).tolist() == [[0, 1, 255, 2]]


def test_a_coarse_model_on_finer_classes() -> None:
    """What the model cannot tell apart is one class of the comparison, named after both."""
    model = Side.of(TAXONOMY, "coarse", ["vehicle", "ground", "sky", "void"])
    found = grouped(model, Side.common(TAXONOMY.classes), COMMON)
    assert found.names == ("car", "road + grass", "sky")
    assert found.matrix.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]


def test_a_class_that_the_model_never_finds() -> None:
    found = grouped(Side(("car",), ((0,),)), Side.common(TAXONOMY.classes), COMMON)
    assert found.matrix.tolist() == [[1], [0], [0], [0]]
    assert found.found().names == ("car",)


@pytest.mark.parametrize("seed", range(20))
def test_no_class_of_a_model_counts_twice(seed: int) -> None:
    """Of any two mappings; and every labelled class of the set is in one group."""
    rng = np.random.default_rng(seed)

    def side(n: int) -> Side:
        free = [[c for c in range(9) if rng.random() < 0.2] for _ in range(n)]
        return Side(tuple(f"{n}-{i}" for i in range(n)), tuple(map(tuple, free)))

    model, target = side(7), side(6)
    found = grouped(model, target, [f"common {i}" for i in range(9)])
    assert found.matrix.sum(0).max(initial=0) <= 1
    assert sorted(i for labels in found.target for i in labels) == [i for i, p in enumerate(target.parts) if p]


def test_common_classes_in_any_order() -> None:
    assert Side.of(TAXONOMY, "mine", ["Sky", "road", "car", "grass"]).parts == ((3,), (1,), (0,), (2,))
    with pytest.raises(UserError, match=r'which set is "mine"'):
        Side.of(TAXONOMY, "mine", ["sky", "road"])
