"""From mask values to labels, by cases that were worked out by hand."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from perpixel.core.errors import UserError
from perpixel.core.image import RawMask, read_mask
from perpixel.labels import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC, Taxonomy, default_colours
from perpixel.labels.taxonomy import tell_apart

CELLS = Taxonomy.of(["cell", "membrane"], values=[(255,), (0,)], ignore=())
STREET = Taxonomy.of(["road", "sky", "car"], values=[(7, 8), (300,), (2,)], ignore=(0, 255))
FACADE = Taxonomy.of(
    ["building", "grey pavement"], values=[((128, 0, 0),), ((128, 128, 128), (1, 2, 3))], ignore=((0, 0, 0),)
)


def test_values_become_labels_by_the_map_alone() -> None:
    labels = CELLS.encode(np.array([[0, 255], [255, 0]], np.uint8))
    assert labels.dtype == np.uint8
    assert labels.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.int64])
def test_several_values_16_bits_and_ignore(dtype: type) -> None:
    assert STREET.encode(np.array([[7, 8, 300, 2, 0, 255]], dtype)).tolist() == [[0, 0, 1, 2, 255, 255]]


def test_colours() -> None:
    mask = np.array([[[128, 0, 0], [128, 128, 128], [1, 2, 3], [0, 0, 0]]], np.uint8)
    assert FACADE.encode(mask).tolist() == [[0, 1, 1, 255]]


def test_a_mask_whose_colours_are_all_grey_was_read_as_one_channel() -> None:
    assert FACADE.encode(RawMask(np.array([[128, 0]], np.uint8))).tolist() == [[1, 255]]


def test_a_palette_counts_only_where_classes_are_colours() -> None:
    palette = np.array([[0, 0, 0], [128, 128, 128], [128, 0, 0]], np.uint8)
    indices = RawMask(np.array([[0, 1, 2]], np.uint8), palette)
    assert FACADE.encode(indices).tolist() == [[255, 1, 0]]
    assert VOC.encode(indices).tolist() == [[0, 1, 2]]


def test_negative_values_may_mean_ignore() -> None:
    taxonomy = Taxonomy.from_dict({"classes": ["a", "b"], "ignore": [-1, -9999]})
    assert taxonomy.encode(np.array([[-1, 0, 1, -9999]], np.int32)).tolist() == [[255, 0, 1, 255]]
    with pytest.raises(UserError, match="mask value -2 "):
        taxonomy.encode(np.array([[-2]], np.int32))
    with pytest.raises(UserError, match="mask value -1 "):
        VOC.encode(np.array([[-1]], np.int32))


@pytest.mark.parametrize(
    ("taxonomy", "mask", "value"),
    [
        (CELLS, np.array([[0, 38]], np.uint8), "38"),
        (CELLS, np.array([[0, 254]], np.uint8), "254"),
        (STREET, np.array([[7, 301]], np.uint16), "301"),
        (STREET, np.array([[7, 299]], np.uint16), "299"),
        (STREET, np.array([[7, 70000]], np.int32), "70000"),
        (FACADE, np.array([[[128, 0, 0], [128, 0, 1]]], np.uint8), r"\[128, 0, 1\]"),
    ],
)
def test_an_unknown_value_names_file_value_and_fix(taxonomy: Taxonomy, mask: np.ndarray, value: str) -> None:
    with pytest.raises(UserError, match=rf"^masks/a\.png: mask value {value} .*dataset\.yaml") as caught:
        taxonomy.encode(mask, "masks/a.png")
    assert "\n" not in str(caught.value)


def test_colours_where_numbers_are_wanted_and_the_reverse() -> None:
    with pytest.raises(UserError, match=r"a\.png: the mask holds colours such as \(9, 8, 7\)"):
        CELLS.encode(np.full((2, 2, 3), (9, 8, 7), np.uint8), "a.png")
    with pytest.raises(UserError, match=r"a\.png: the classes are given by colours, but the mask holds uint16"):
        FACADE.encode(np.zeros((2, 2), np.uint16), "a.png")


def test_254_classes() -> None:
    taxonomy = Taxonomy.of([f"c{i}" for i in range(254)])
    labels = taxonomy.encode(np.array([[0, 253, 255]], np.uint8))
    assert labels.tolist() == [[0, 253, 255]]
    with pytest.raises(UserError, match="mask value 254"):
        taxonomy.encode(np.array([[254]], np.uint8))
    assert len(set(taxonomy.colours)) == 254
    for k in (0, 255):
        with pytest.raises(UserError, match="1 to 254 classes"):
            Taxonomy.of([f"c{i}" for i in range(k)])


def test_what_is_ambiguous_is_refused() -> None:
    with pytest.raises(UserError, match="class name 'a' is given twice"):
        Taxonomy.of(["a", "b", "a"])
    with pytest.raises(UserError, match="mask value 1 is given twice"):
        Taxonomy.of(["a", "b"], values=[(0, 1), (1,)])
    with pytest.raises(UserError, match="mask value 0 is given twice"):
        Taxonomy.of(["a"], ignore=(0, 255))
    with pytest.raises(UserError, match="all integers or all colours"):
        Taxonomy.of(["a", "b"], values=[(0,), ((1, 2, 3),)])
    with pytest.raises(UserError, match="2 class names need 2 colours"):
        Taxonomy.of(["a", "b"], colours=[(0, 0, 0)])


def test_default_colours_are_those_of_voc() -> None:
    # aeroplane, bicycle, bird, boat, ... tvmonitor as the VOC development kit documents them
    colours = default_colours(21)
    assert colours[1:5] == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert (colours[8], colours[15], colours[20]) == ((64, 0, 0), (192, 128, 128), (0, 64, 128))
    assert default_colours(256)[255] == (224, 224, 192)


def test_colourise() -> None:
    picture = FACADE.colourise(np.array([[0, 1, 255]]))
    assert picture.dtype == np.uint8
    assert picture.tolist() == [[[0, 0, 0], [128, 0, 0], [0, 0, 0]]]
    assert CAMVID.colourise(np.array([[3, 255]])).tolist() == [[[128, 64, 128], [0, 0, 0]]]


@pytest.mark.parametrize("taxonomy", [CELLS, STREET, FACADE, CAMVID, VOC, CITYSCAPES, CITYSCAPES_TRAIN_IDS, ADE20K])
def test_round_trips(taxonomy: Taxonomy) -> None:
    through_json = json.loads(json.dumps(taxonomy.to_dict()))
    assert Taxonomy.from_dict(through_json) == taxonomy
    assert pickle.loads(pickle.dumps(taxonomy)) == taxonomy  # as workers of a loader get it
    assert copy.deepcopy(taxonomy) == taxonomy


def test_from_dict_fills_in_what_is_usual() -> None:
    assert Taxonomy.from_dict({"classes": ["a", "b"]}) == Taxonomy.of(["a", "b"])
    assert Taxonomy.from_dict({"classes": [{"name": "a", "value": 3}, {"name": "b", "values": [4, 5]}]}).values == (
        (3,),
        (4, 5),
    )
    binary = Taxonomy.from_dict({"classes": [{"name": "no", "value": 0}, {"name": "yes", "value": 255}]})
    assert binary.ignore == (), "255 is a class here"
    assert Taxonomy.from_dict({"classes": ["a"], "ignore": []}).ignore == ()
    by_colour = Taxonomy.from_dict({"classes": [{"name": "a", "values": [[1, 2, 3], [4, 5, 6]]}]})
    assert by_colour.colours == ((1, 2, 3),), "shown in the colour that the mask has"
    spelled = Taxonomy.from_dict({"classes": [{"name": "a", "color": [9, 9, 9], "values": [[1, 2, 3]]}]})
    assert spelled.colours == ((9, 9, 9),)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, '"classes" must be a list'),
        ({"classes": {}}, '"classes" must be a list'),
        ({"classes": [3]}, "needs a name"),
        ({"classes": [{"values": [0]}]}, "needs a name"),
        ({"classes": [{"name": "a", "valeus": [7]}]}, 'unknown key "valeus".*Did you mean "values"'),
        ({"classes": [{"name": "a", "values": []}]}, "mask values of 'a'"),
        ({"classes": [{"name": "a", "values": ["red"]}]}, "mask values of 'a'"),
        ({"classes": [{"name": "a", "values": [2**24]}]}, "mask values of 'a'"),
        ({"classes": [{"name": "a", "values": [[1, 2]]}]}, "colour of 'a' must be three numbers"),
        ({"classes": [{"name": "a", "colour": [1, 2, 256]}]}, "colour of 'a' must be three numbers"),
        ({"classes": ["a"], "ignore": "void"}, "mask values of 'ignore'"),
    ],
)
def test_from_dict_refuses(data: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        Taxonomy.from_dict(data)


def test_the_known_sets() -> None:
    sizes = [t.num_classes for t in (CAMVID, VOC, CITYSCAPES, CITYSCAPES_TRAIN_IDS, ADE20K)]
    assert sizes == [11, 21, 19, 19, 150]
    assert len(set(ADE20K.names)) == 150
    assert all(name == name.strip() and name for name in ADE20K.names)
    for taxonomy in (CAMVID, VOC, CITYSCAPES, ADE20K):
        assert len(set(taxonomy.colours)) == taxonomy.num_classes


def test_ade20k_by_hand() -> None:
    # objectInfo150.txt: 1 wall, 2 building, 3 sky, 13 person, 21 car, 150 flag
    assert ADE20K.encode(np.array([[0, 1, 3, 13, 21, 150]], np.uint8)).tolist() == [[255, 0, 2, 12, 20, 149]]
    assert [ADE20K.names[i] for i in (0, 2, 12, 20, 149)] == ["wall", "sky", "person", "car", "flag"]
    with pytest.raises(UserError, match="mask value 151"):
        ADE20K.encode(np.array([[151]], np.uint8))


def test_cityscapes_by_hand() -> None:
    # cityscapesScripts, helpers/labels.py: id -> trainId
    ids = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14}
    ids |= {28: 15, 31: 16, 32: 17, 33: 18}
    everything = np.arange(34, dtype=np.uint8)[None]
    assert CITYSCAPES.encode(everything).tolist() == [[ids.get(i, 255) for i in range(34)]]
    assert CITYSCAPES_TRAIN_IDS.encode(np.array([[0, 18, 255]], np.uint8)).tolist() == [[0, 18, 255]]
    assert (CITYSCAPES.names[13], CITYSCAPES.colours[13]) == ("car", (0, 0, 142))


def test_camvid_masks(real_data: Path) -> None:
    masks = sorted((real_data / "camvid" / "valannot").glob("*.png"))[:5]
    assert len(masks) == 5
    for file in masks:
        mask = read_mask(file)
        labels = CAMVID.encode(mask, str(file))
        np.testing.assert_array_equal(labels, np.where(mask.values == 11, 255, mask.values))


def test_labelme_palette_masks_equal_their_npy(real_data: Path) -> None:
    folder = real_data / "formats" / "labelme" / "data_dataset_voc"
    masks = sorted((folder / "SegmentationClass").glob("*.png"))
    assert len(masks) == 3
    for file in masks:
        by_index = VOC.encode(read_mask(file), str(file))
        stored = np.load(folder / "SegmentationClassNpy" / f"{file.stem}.npy")
        np.testing.assert_array_equal(by_index, np.where(stored == -1, 255, stored))


@pytest.mark.parametrize(
    ("colours", "apart"),
    [
        ([(0, 0, 0), (1, 0, 0), (2, 0, 0)], False),
        ([(0, 0, 0), (0, 0, 200), (0, 0, 201), (0, 0, 202)], False),
        ([(0, 0, 0), (1, 1, 1), (255, 255, 255)], False),
        ([(0, 0, 0), (0, 0, 8)], True),
        ([(0, 0, 0), (255, 0, 0), (220, 20, 60), (0, 0, 142), (0, 0, 140)], True),
        ([(0, 0, 0)], True),
    ],
)
def test_colours_that_nobody_can_tell_apart(colours: list[tuple[int, int, int]], apart: bool) -> None:
    assert tell_apart(colours) is apart


def test_ids_in_one_channel_get_colours_that_can_be_seen() -> None:
    """CARLA writes (id, 0, 0); shown as they are, all classes would be black."""
    t = Taxonomy.from_dict({"classes": [{"name": f"c{i}", "values": [[i, 0, 0]]} for i in range(3)], "ignore": []})
    assert t.colours == ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    assert t.values == (((0, 0, 0),), ((1, 0, 0),), ((2, 0, 0),))
    for known in (ADE20K, CITYSCAPES, VOC, CAMVID):
        assert tell_apart(known.colours)
