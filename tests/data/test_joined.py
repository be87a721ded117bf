"""Several sets as one, and a stream that draws from each its share."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.joined import MixedStream, alone, joined, set_key, sets_of
from perpixel.data.measured import identity
from perpixel.data.pairs import read_labels
from perpixel.data.samples import Dataset
from perpixel.data.statistics import survey_training
from perpixel.labels import CommonTaxonomy, Taxonomy

COMMON = CommonTaxonomy(
    "outside",
    Taxonomy.of(["house", "road"]),
    {
        "town": {"house": ("house",), "door": ("house",), "lamp": ()},
        "land": {"way": ("road",), "barn": ("house",)},
    },
)


def made(folder: Path, name: str, classes: str, masks: list[object]) -> Dataset:
    """A flat folder with a dataset.yaml; the masks are train's, and the last is val's too under another name."""
    for split, found in (("train", masks), ("val", masks[-1:])):
        for i, mask in enumerate(found):
            array = np.array(mask, np.uint8)
            for what, picture in (("images", np.full((*array.shape[:2], 3), i * 9 + 1, np.uint8)), ("masks", array)):
                place = folder / what / split / f"{split}{i}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(place)
    (folder / "dataset.yaml").write_text(f"name: {name}\nlicence: L-{name}\nclasses: {classes}\n", encoding="utf-8")
    return open_dataset(str(folder))


@pytest.fixture
def town(tmp_path: Path) -> Dataset:
    classes = "[{name: house, values: 1}, {name: door, values: 2}, {name: lamp, values: 3}]"
    return made(tmp_path / "a", "town", classes, [[[1, 2, 3, 255]], [[1, 1]], [[2, 3]]])


@pytest.fixture
def land(tmp_path: Path) -> Dataset:
    classes = "[{name: barn, values: [[9, 0, 0]]}, {name: way, values: [[0, 9, 0]]}]\nignore: [[0, 0, 0]]"
    return made(tmp_path / "b", "land", classes, [[[[9, 0, 0], [0, 9, 0], [0, 0, 0]]]])


def test_each_mask_in_common_labels(town: Dataset, land: Dataset) -> None:
    both = joined({"town": town, "land": land}, COMMON)
    assert [s.name for s in both.split("train")] == ["town/train0", "town/train1", "town/train2", "land/train0"]
    assert both.classes is not None
    labels = [read_labels(s, both.classes).tolist() for s in both.split("train")]
    assert labels == [[[0, 0, 255, 255]], [[0, 0]], [[0, 255]], [[0, 1, 255]]]
    assert (both.name, both.licence) == ("town + land", "town: L-town; land: L-land")
    assert any("lamp" in note and note.startswith("town: ") for note in both.notes)


def test_the_survey_counts_common_classes(town: Dataset, land: Dataset) -> None:
    facts = survey_training(joined({"town": town, "land": land}, COMMON), "train", "val")
    assert facts.counts.pixels.tolist() == [2 + 2 + 1 + 1, 1]
    assert (facts.counts.labelled, facts.counts.total) == (7, 11)


def test_sets_apart_again(town: Dataset, land: Dataset) -> None:
    both = joined({"town": town, "land": land}, COMMON)
    assert {k: len(v) for k, v in sets_of(both.split("train")).items()} == {"town": 3, "land": 1}
    assert {k: identity(d) for k, d in alone(both).items()} == {"town": identity(town), "land": identity(land)}


def test_a_value_of_no_class_is_told_with_its_file(town: Dataset, land: Dataset) -> None:
    mask = Path(str(town.split("train")[0].mask_path))
    Image.fromarray(np.array([[1, 77, 1, 1]], np.uint8)).save(mask)
    with pytest.raises(UserError, match=r"train0\.png.*77"):
        survey_training(joined({"town": town, "land": land}, COMMON), "train", "val")


def test_which_block_is_found_by_the_classes(town: Dataset) -> None:
    assert set_key(Dataset(town.root, "x", town.splits, town.classes, name="elsewhere"), COMMON) == "town"


def drawn(stream: MixedStream, steps: int) -> list[list[tuple[int, int]]]:
    return [stream.keys(step) for step in range(steps)]


@pytest.mark.parametrize(
    ("lengths", "weights", "batch", "counts"),
    [
        ((5, 50), (1, 1), 4, (2, 2)),
        ((5, 50), (1, 3), 8, (2, 6)),
        ((3, 4, 5), (1, 1, 1), 6, (2, 2, 2)),
        ((9,), (2,), 3, (3,)),
    ],
)
def test_every_batch_has_each_sets_share(
    lengths: tuple[int, ...], weights: tuple[float, ...], batch: int, counts: tuple[int, ...]
) -> None:
    ends = np.cumsum(lengths)
    for keys in drawn(MixedStream(lengths, weights, batch), 40):
        found = Counter(int(np.searchsorted(ends, index, "right")) for _, index in keys)
        assert tuple(found[i] for i in range(len(lengths))) == counts


@pytest.mark.parametrize("weights", [(1, 1, 1), (0.3, 0.45, 0.25), (5, 1, 2), (1e-3, 1, 1)])
def test_shares_hold_over_any_number_of_samples(weights: tuple[float, ...]) -> None:
    """Never more than two samples away from its share; every set's samples are counted 0, 1, 2, ..."""
    stream, seen = MixedStream((7, 11, 5), weights, 1), [0, 0, 0]
    for n in range(3000):
        which, number = stream.place(n)
        assert number == seen[which]
        seen[which] += 1
        assert all(abs(s - (n + 1) * w / sum(weights)) < 2 for s, w in zip(seen, weights, strict=True))


def test_a_set_is_seen_once_in_each_of_its_epochs() -> None:
    keys = [k for step in drawn(MixedStream((3, 6), (1, 1), 2), 30) for k in step]
    for first, last in ((0, 3), (3, 9)):
        own = [(e, i) for e, i in keys if first <= i < last]
        n = last - first
        epochs = [own[at : at + n] for at in range(0, len(own), n)]
        assert len(epochs) == 30 // n
        assert all({e for e, _ in part} == {number} for number, part in enumerate(epochs))
        assert all({i for _, i in part} == set(range(first, last)) for part in epochs)
        assert len({tuple(i for _, i in part) for part in epochs}) > 1  # in another order


def test_processes_share_a_step() -> None:
    """Two of batch 3 draw together what one of batch 6 draws."""
    whole = MixedStream((5, 8), (1, 2), 6, seed=3)
    parts = [MixedStream((5, 8), (1, 2), 3, seed=3, rank=rank, world=2) for rank in range(2)]
    assert all(parts[0].keys(s) + parts[1].keys(s) == whole.keys(s) for s in range(20))
