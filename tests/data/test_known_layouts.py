"""The layouts of SegNet, VOC, Cityscapes and ADE20K, and the real data."""

import sys
from pathlib import Path

import pytest

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.labels import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC, Taxonomy

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from one_pixel import everything, make, names


def test_segnet(tmp_path: Path) -> None:
    stems = ("0001TP_006690", "0016E5_07959", "Seq05VD_f00000")
    for split, stem in zip(("train", "val", "test"), stems, strict=True):
        make(tmp_path, f"{split}/{stem}.png", f"{split}annot/{stem}.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.name, dataset.taxonomy) == ("segnet", "CamVid", CAMVID)
    assert names(dataset) == {"train": [stems[0]], "val": [stems[1]], "test": [stems[2]]}


def test_another_set_in_segnets_layout_has_no_names(tmp_path: Path) -> None:
    """Else binary masks of 0 and 255 would be read as sky and ignore."""
    make(tmp_path, "train/a.png", "trainannot/a.png", "val/b.png", "valannot/b.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.taxonomy) == ("segnet", None)
    assert names(dataset) == {"train": ["a"], "val": ["b"]}


def voc(root: Path, stems: list[str]) -> Path:
    return make(root, *(f for s in stems for f in (f"JPEGImages/{s}.jpg", f"SegmentationClass/{s}.png")))


def test_voc_with_lists(tmp_path: Path) -> None:
    voc(tmp_path, ["2007_000032", "2007_000033", "2007_000039"])
    make(tmp_path, "JPEGImages/2008_000001.jpg")  # VOC has many photos without a mask
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000032\n2007_000039\n")
    (lists / "val.txt").write_text("2007_000033\n\n")
    (lists / "trainval.txt").write_text("2007_000032\n2007_000033\n2007_000039\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.name, dataset.taxonomy, dataset.unpaired) == ("voc", "VOC", VOC, ())
    assert names(dataset) == {"train": ["2007_000032", "2007_000039"], "val": ["2007_000033"]}


@pytest.mark.parametrize("lists", ["ImageSets", "ImageSets/Segmentation"])
def test_voc_without_val(tmp_path: Path, lists: str) -> None:
    voc(tmp_path, [f"2007_00003{i}" for i in range(10)])
    (tmp_path / lists).mkdir(parents=True)
    (tmp_path / lists / "train.txt").write_text("\n".join(f"2007_00003{i}" for i in range(8)))
    (tmp_path / lists / "test.txt").write_text("2007_000038 1\n2007_000039 -1\n")
    found = names(open_dataset(tmp_path))
    assert sorted(found["train"] + found["val"]) == [f"2007_00003{i}" for i in range(8)]
    assert found["val"]
    assert found["test"] == ["2007_000038", "2007_000039"]


def test_voc_without_lists_as_labelme_and_cvat_write_it(tmp_path: Path) -> None:
    labelme = voc(tmp_path / "labelme", ["a", "b"])
    (labelme / "class_names.txt").write_text("__ignore__\n_background_\ncat\n")
    dataset = open_dataset(labelme)
    assert dataset.taxonomy == Taxonomy.of(["background", "cat"])
    assert len(everything(dataset)) == 2

    cvat = voc(tmp_path / "cvat", ["a", "b"])
    (cvat / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ncat:1,2,3::\nignored:224,224,192::\n"
    )
    taxonomy = open_dataset(cvat).taxonomy
    assert taxonomy is not None
    assert (taxonomy.names, taxonomy.values) == (("background", "cat"), (((0, 0, 0),), ((1, 2, 3),)))
    assert taxonomy.ignore == ((224, 224, 192),)

    (cvat / "labelmap.txt").write_text("background\n")
    with pytest.raises(UserError, match=r"labelmap\.txt: expected lines such as"):
        open_dataset(cvat)


def test_vocs_layout_with_other_names_and_no_table(tmp_path: Path) -> None:
    assert open_dataset(voc(tmp_path, ["a", "b"])).taxonomy is None


@pytest.mark.parametrize(("kind", "taxonomy"), [("labelIds", CITYSCAPES), ("labelTrainIds", CITYSCAPES_TRAIN_IDS)])
def test_cityscapes(tmp_path: Path, kind: str, taxonomy: Taxonomy) -> None:
    for split, city in (("train", "aachen"), ("val", "munster")):
        stem = f"{split}/{city}/{city}_000000_000019"
        make(tmp_path, f"leftImg8bit/{stem}_leftImg8bit.png", f"gtFine/{stem}_gtFine_{kind}.png")
        make(tmp_path, f"gtFine/{stem}_gtFine_color.png", f"gtFine/{stem}_gtFine_instanceIds.png")
    make(tmp_path, "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.taxonomy) == ("cityscapes", taxonomy)
    assert names(dataset) == {"train": ["aachen/aachen_000000_000019"], "val": ["munster/munster_000000_000019"]}
    assert [p.name for p in dataset.unpaired] == ["aachen_000001_000019_leftImg8bit.png"]


def test_ade20k(tmp_path: Path) -> None:
    for folder, stem in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        make(tmp_path, f"images/{folder}/{stem}.jpg", f"annotations/{folder}/{stem}.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.name, dataset.taxonomy) == ("ade20k", "ADE20K", ADE20K)
    assert names(dataset) == {"train": ["ADE_train_00000001"], "val": ["ADE_val_00000001"]}


def test_another_set_in_ade20ks_layout_has_no_names(tmp_path: Path) -> None:
    """Else its class 0 would be ignored and all others would move by one."""
    make(tmp_path, "images/training/a.jpg", "annotations/training/a.png")
    make(tmp_path, "images/validation/b.jpg", "annotations/validation/b.png")
    dataset = open_dataset(tmp_path)
    assert (dataset.layout, dataset.taxonomy) == ("folders by split", None)
    assert names(dataset) == {"train": ["a"], "val": ["b"]}


def test_an_unpacked_archive(tmp_path: Path) -> None:
    make(
        tmp_path, "VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg", "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"
    )
    make(tmp_path, "__MACOSX/._x.png")
    dataset = open_dataset(tmp_path)
    assert dataset.root == tmp_path / "VOCdevkit" / "VOC2012"
    assert dataset.taxonomy == VOC


REAL = {
    "camvid": ("segnet", {"train": 367, "val": 101}, 11),
    "labelmefacade": ("flat", {"train": 100, "val": 40}, None),
    "nuclei": ("flat", {"train": 95, "val": 25}, 2),
    "isbi2012": ("flat", {"train": 22, "val": 2}, 2),
    "formats/common_semantic/dataset": ("flat", {"train": 1, "val": 1}, 6),
    "formats/common_semantic/non_standard_dataset": ("flat", {"train": 1, "val": 1}, 8),
    "formats/labelme/data_dataset_voc": ("voc", {"train": 2, "val": 1}, 21),
    "formats/labelme_semantic/data_dataset_voc": ("voc", {"train": 2, "val": 1}, 21),
    "formats/labelstudio_brush": ("flat", {"train": 2, "val": 1}, None),
}


@pytest.mark.parametrize("folder", REAL)
def test_real_data(real_data: Path, folder: str) -> None:
    dataset = open_dataset(real_data / folder)
    layout, counts, classes = REAL[folder]
    assert dataset.layout == layout
    assert {s: len(v) for s, v in dataset.splits.items()} == counts
    assert dataset.unpaired == ()
    assert (dataset.taxonomy and dataset.taxonomy.num_classes) == classes


def test_real_lists_are_kept(real_data: Path) -> None:
    folder = real_data / "labelmefacade"
    for split in ("train", "val"):
        listed = {line.strip() for line in (folder / f"{split}.txt").read_text().splitlines() if line.strip()}
        assert {s.name for s in open_dataset(folder).splits[split]} == listed
