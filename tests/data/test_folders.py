"""Every layout made on the spot from files of one pixel, and those of the real data."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset
from perpixel.data.listing import list_images
from perpixel.data.samples import Dataset, Sample, split_by_hash
from perpixel.labels import ADE20K, CAMVID, CITYSCAPES, CITYSCAPES_TRAIN_IDS, VOC, Taxonomy


def make(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((1, 1), np.uint8)).save(root / name)
    return root


def names(dataset: Dataset) -> dict[str, list[str]]:
    return {split: [s.name for s in samples] for split, samples in dataset.splits.items()}


def pairs(dataset: Dataset) -> dict[str, set[tuple[str, str]]]:
    """Image and mask of every sample as paths below the root, by split."""

    def below(path: Path | None) -> str:
        assert path is not None
        return path.relative_to(dataset.root).as_posix()

    return {split: {(below(s.image), below(s.mask_path)) for s in found} for split, found in dataset.splits.items()}


def everything(dataset: Dataset) -> set[tuple[str, str]]:
    return set().union(*pairs(dataset).values())


@pytest.mark.parametrize("masks", ["masks", "labels", "annotations", "gt", "ground_truth", "segmentation", "targets"])
@pytest.mark.parametrize("images", ["images", "Images", "img"])
def test_flat(tmp_path: Path, images: str, masks: str) -> None:
    folders = (images, masks.capitalize() if images == "Images" else masks)
    make(tmp_path, *(f"{folder}/{i}.png" for folder in folders for i in range(10)))
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "flat"
    assert dataset.name == tmp_path.name
    assert dataset.taxonomy is None
    assert everything(dataset) == {(f"{folders[0]}/{i}.png", f"{folders[1]}/{i}.png") for i in range(10)}
    assert set(dataset.splits) == {"train", "val"}
    assert all(dataset.splits.values())
    assert dataset.unpaired == ()


@pytest.mark.parametrize("masks", ["masks", "labels", "annotations"])
@pytest.mark.parametrize(
    "split", [("train", "val", "test"), ("Training", "Validation", "Testing"), ("train", "valid", "test")]
)
def test_by_split(tmp_path: Path, masks: str, split: tuple[str, str, str]) -> None:
    for i, s in enumerate(split):
        make(tmp_path, f"images/{s}/a{i}.jpg", f"{masks}/{s}/a{i}.png")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "folders by split"
    assert dataset.taxonomy is None
    assert pairs(dataset) == {
        name: {(f"images/{s}/a{i}.jpg", f"{masks}/{s}/a{i}.png")}
        for i, (name, s) in enumerate(zip(("train", "val", "test"), split, strict=True))
    }


def test_by_split_the_other_way_round(tmp_path: Path) -> None:
    make(tmp_path, "train/images/1.png", "train/masks/1.png", "valid/Images/2.png", "valid/Masks/2.png")
    assert pairs(open_dataset(tmp_path)) == {
        "train": {("train/images/1.png", "train/masks/1.png")},
        "val": {("valid/Images/2.png", "valid/Masks/2.png")},
    }


def test_by_split_with_masks_that_are_not_divided(tmp_path: Path) -> None:
    make(tmp_path, "images/train/1.png", "images/val/2.png", "masks/1.png", "masks/2.png", "masks/3.png")
    dataset = open_dataset(tmp_path)
    assert pairs(dataset) == {
        "train": {("images/train/1.png", "masks/1.png")},
        "val": {("images/val/2.png", "masks/2.png")},
    }
    assert [p.name for p in dataset.unpaired] == ["3.png"]


def test_by_split_without_val_takes_it_from_train(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/train/{i}.png" for f in ("images", "masks") for i in range(9)), "images/test/9.png")
    found = names(open_dataset(tmp_path))
    assert set(found) == {"train", "val"}
    assert sorted(found["train"] + found["val"]) == [str(i) for i in range(9)]
    assert found["val"]


def test_a_val_folder_without_masks_is_told(tmp_path: Path) -> None:
    make(tmp_path, "images/train/1.png", "masks/train/1.png", "images/val/2.png", "images/test/3.png")
    assert [p.name for p in open_dataset(tmp_path).unpaired] == ["2.png"], "images of test may lack masks"


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


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("{}_images", "{}_masks"),
        ("{}-images", "{}-masks"),
        ("images_{}", "masks_{}"),
        ("{}", "{}_labels"),
        ("{}_img", "{}_lab"),
        ("{}", "{}_annot"),
    ],
)
def test_folders_side_by_side(tmp_path: Path, images: str, masks: str) -> None:
    for i, split in enumerate(("train", "val")):
        make(tmp_path, f"{images.format(split)}/{i}.png", f"{masks.format(split)}/{i}.png")
    assert pairs(open_dataset(tmp_path)) == {
        split: {(f"{images.format(split)}/{i}.png", f"{masks.format(split)}/{i}.png")}
        for i, split in enumerate(("train", "val"))
    }


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


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/x.jpg", "masks/x_mask.gif"),
        ("images/x.png", "masks/x_L.png"),
        ("images/x.png", "labels/x_P.png"),
        ("images/x.bmp", "masks/x_GT.bmp"),
        ("images/x.jpg", "masks/x_segmentation.png"),
        ("images/x.tif", "masks/x-label.tif"),
        ("images/x_image.png", "masks/x_mask.png"),
        ("images/x_sat.jpg", "masks/x.png"),
        ("images/image_0001.png", "masks/gt_0001.png"),
        ("images/img1.png", "masks/mask1.png"),
        ("images/a/x.png", "masks/a/x_mask.png"),
        ("images/x.jpg", "annotations/trimaps/x.png"),
        ("images/x.y.jpg", "masks/x.y.tif"),
        ("images/x.JPG", "masks/x.PNG"),
        ("images/a_mask.png", "masks/a_mask.png"),
    ],
)
def test_names_that_make_a_pair(tmp_path: Path, image: str, mask: str) -> None:
    make(tmp_path, image, mask)
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {(image, mask)}
    assert dataset.unpaired == ()


def test_the_same_stem_goes_before_a_stripped_one(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a_l.png", "masks/a.png", "masks/a_l.png")
    assert everything(open_dataset(tmp_path)) == {
        ("images/a.png", "masks/a.png"),
        ("images/a_l.png", "masks/a_l.png"),
    }


def test_a_mask_that_has_its_image_is_no_other_images(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a_rgb.png", "masks/a.png")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "masks/a.png")}
    assert [p.name for p in dataset.unpaired] == ["a_rgb.png"]


def test_two_masks_of_one_image_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/a_mask.png", "masks/a_gt.png")
    with pytest.raises(UserError, match=r"a\.png: a_gt\.png and a_mask\.png could both be its mask"):
        open_dataset(tmp_path)


def test_one_mask_of_two_images_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a_rgb.png", "images/a_sat.png", "masks/a_mask.png")
    with pytest.raises(UserError, match=r"a_mask\.png: could be the mask of a_rgb\.png and a_sat\.png"):
        open_dataset(tmp_path)


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/a.jpg", "masks/a.png")
    with pytest.raises(UserError, match=r"a\.png and a\.jpg have the same stem"):
        open_dataset(tmp_path)


def test_files_without_partner_are_told(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png", "masks/a.png", "masks/c.png")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "masks/a.png")}
    assert [p.relative_to(tmp_path).as_posix() for p in dataset.unpaired] == ["images/b.png", "masks/c.png"]


def test_a_jpeg_and_a_png_together(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png", "c.jpg")
    (tmp_path / "a.xml").write_text("<annotation/>")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("a.jpg", "a.png"), ("b.jpg", "b.png")}
    assert [p.name for p in dataset.unpaired] == ["c.jpg"]


@pytest.mark.parametrize(
    ("image", "mask"), [("{}_sat.jpg", "{}_mask.png"), ("{}.bmp", "{}_anno.bmp"), ("{}.tif", "{}_m.tif")]
)
def test_image_and_mask_together_by_their_endings(tmp_path: Path, image: str, mask: str) -> None:
    make(tmp_path, *(name.format(i) for i in range(5) for name in (image, mask)))
    assert everything(open_dataset(tmp_path)) == {(image.format(i), mask.format(i)) for i in range(5)}


def test_pairs_together_by_split(tmp_path: Path) -> None:
    for i, split in enumerate(("train", "valid", "test")):
        make(tmp_path, f"{split}/{i}.jpg", f"{split}/{i}_mask.png")
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, background\n")
    found = pairs(open_dataset(tmp_path))
    assert list(found) == ["train", "val", "test"]
    assert found["val"] == {("valid/1.jpg", "valid/1_mask.png")}


def test_a_folder_of_photos_is_no_data_set(tmp_path: Path) -> None:
    make(tmp_path, *(f"{i}.jpg" for i in range(9)), "cat.jpg", "cat_mask.jpg")
    with pytest.raises(UserError, match="no known layout"):
        open_dataset(tmp_path)


def test_masks_below_the_images(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/b.png")
    make(tmp_path, "images/masks/a.png", "images/masks/b.png")
    (tmp_path / "dataset.yaml").write_text("images: images\nmasks: images/masks\n")
    dataset = open_dataset(tmp_path)
    assert everything(dataset) == {("images/a.png", "images/masks/a.png"), ("images/b.png", "images/masks/b.png")}
    assert dataset.unpaired == ()


def test_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "images/.b.png", "images/.cache/c.png", "masks/a.png", "masks/._a.png")
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "images" / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path / "images")] == ["a.png"]
    assert open_dataset(tmp_path).unpaired == ()


def test_masks_are_where_pictures_are(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "gt/a.png")
    (tmp_path / "labels").mkdir()  # a detector's boxes
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 1 1")
    assert everything(open_dataset(tmp_path)) == {("images/a.png", "gt/a.png")}


def test_an_unpacked_archive(tmp_path: Path) -> None:
    make(
        tmp_path, "VOCdevkit/VOC2012/JPEGImages/2007_000032.jpg", "VOCdevkit/VOC2012/SegmentationClass/2007_000032.png"
    )
    make(tmp_path, "__MACOSX/._x.png")
    dataset = open_dataset(tmp_path)
    assert dataset.root == tmp_path / "VOCdevkit" / "VOC2012"
    assert dataset.taxonomy == VOC


def test_lists_beside_flat_folders(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}.png" for f in ("images", "masks") for s in ("a", "b 1", "c.5", "d", "e")))
    (tmp_path / "train.txt").write_text("a\nb 1\nnot there\n")
    (tmp_path / "valid.txt").write_text("/data/images/c.5.png /data/masks/c.5.png\n")
    (tmp_path / "test.txt").write_text("d.png\n")
    dataset = open_dataset(tmp_path)
    assert names(dataset) == {"train": ["a", "b 1"], "val": ["c.5"], "test": ["d"]}


def test_a_list_of_one_split_leaves_the_rest(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{i}.png" for f in ("images", "masks") for i in range(9)))
    (tmp_path / "val.txt").write_text("3\n4\n")
    assert names(open_dataset(tmp_path)) == {"train": ["0", "1", "2", "5", "6", "7", "8"], "val": ["3", "4"]}
    (tmp_path / "val.txt").rename(tmp_path / "test.txt")
    found = names(open_dataset(tmp_path))
    assert found["test"] == ["3", "4"]
    assert sorted(found["train"] + found["val"]) == ["0", "1", "2", "5", "6", "7", "8"]
    assert found["val"]


def test_the_split_by_hash_is_stable_when_samples_come() -> None:
    samples = [Sample(f"s{i}", Path(f"s{i}.png"), None) for i in range(1000)]
    few, many = split_by_hash(samples[:500]), split_by_hash(samples)
    assert {s.name for s in few["val"]} <= {s.name for s in many["val"]}
    assert {s.name for s in few["train"]} <= {s.name for s in many["train"]}
    assert 160 < len(many["val"]) < 240  # 200 are meant; the standard deviation of 1000 draws at 0.2 is 13
    assert split_by_hash(samples[::-1])["val"] == many["val"][::-1]
    # printf s7 | sha256sum begins with 13d28fed, s8 with 1cb7637b, the others of ten above 0.2 * 2^32 = 33333333
    assert [s.name for s in split_by_hash(samples[:10])["val"]] == ["s7", "s8"]
    assert [s.name for s in split_by_hash(samples[:1])["train"]] == ["s0"]
    assert split_by_hash([])["train"] == ()


def test_two_samples_are_one_and_one() -> None:
    for a in range(20):
        found = split_by_hash([Sample(f"{a}", Path("a"), None), Sample(f"{a}b", Path("b"), None)])
        assert (len(found["train"]), len(found["val"])) == (1, 1)


def test_a_wrong_split_names_the_nearest(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}/1.png" for f in ("images", "masks") for s in ("train", "val")))
    with pytest.raises(UserError, match=r'no split "vall"; there are: train \(1\), val \(1\)\. Did you mean "val"\?'):
        open_dataset(tmp_path).split("vall")
    with pytest.raises(UserError, match=r'no split "test"; .* The split "all" is all of them\.'):
        open_dataset(tmp_path).split("test")


def test_folders_of_which_nothing_fits_together(tmp_path: Path) -> None:
    make(tmp_path, "images/a.png", "masks/one.png")
    dataset = open_dataset(tmp_path)
    assert len(dataset.unpaired) == 2
    with pytest.raises(UserError, match=r"no image has a mask of its name, for example .*a\.png; run perpixel check"):
        dataset.split("train")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no known layout\. Looked for images/ \+ masks/.*It holds: nothing"):
        open_dataset(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(tmp_path / "none")
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(UserError, match="It holds: images, masks"):
        open_dataset(tmp_path)


def yaml(root: Path, text: str) -> Path:
    (root / "dataset.yaml").write_text(text)
    return root


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make(tmp_path, *(f"{f}/{s}.png" for f in ("rasters", "truth") for s in "abcd"))


def test_yaml_with_everything(pictures: Path) -> None:
    (pictures / "train.txt").write_text("a\nb.png\n\n")
    yaml(
        pictures,
        "name: fields\nlicence: CC0\nimages: rasters\nmasks: truth\n"
        "splits:\n  train: train.txt\n  val: [c]\n  rest: [{stem: d, window: [0, 1, 2, 3]}]\n"
        "classes:\n  - {name: field, values: [[100, 2, 3]]}\n  - {name: wood, values: [[4, 5, 6]], colour: [0, 255, 0]}\n"
        "ignore: [[0, 0, 0]]\n",
    )
    dataset = open_dataset(pictures)
    assert (dataset.name, dataset.licence, dataset.layout) == ("fields", "CC0", "dataset.yaml")
    assert names(dataset) == {"train": ["a", "b"], "val": ["c"], "rest": ["d@0,1"]}
    assert dataset.splits["rest"][0].window == (0, 1, 2, 3)
    assert dataset.taxonomy == Taxonomy(
        ("field", "wood"), ((100, 2, 3), (0, 255, 0)), (((100, 2, 3),), ((4, 5, 6),)), ((0, 0, 0),)
    )


def test_yaml_elsewhere_with_a_root_and_bare_names(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    file = tmp_path / "notes" / "fields.yaml"
    file.write_text(f"root: ../\nimages: rasters\nmasks: truth\nclasses: [a, b]\nname: {tmp_path.name}\n")
    dataset = open_dataset(file)
    assert dataset.root == tmp_path.resolve()
    assert dataset.taxonomy == Taxonomy.of(["a", "b"])
    assert len(everything(dataset)) == 4


def test_yaml_with_classes_alone_keeps_the_layout(tmp_path: Path) -> None:
    make(tmp_path, *(f"{f}/{s}/1.png" for f in ("images", "masks") for s in ("train", "val")))
    dataset = open_dataset(yaml(tmp_path, "classes: [a, b]\n"))
    assert dataset.layout == "folders by split"
    assert names(dataset) == {"train": ["1"], "val": ["1"]}
    assert dataset.taxonomy == Taxonomy.of(["a", "b"])


def test_yaml_folders_by_split_and_by_lists(tmp_path: Path) -> None:
    split = make(tmp_path / "split", *(f"{f}/{s}/1.png" for f in ("a", "b") for s in ("training", "valid")))
    assert names(open_dataset(yaml(split, "images: a\nmasks: b\n"))) == {"train": ["1"], "val": ["1"]}
    listed = make(tmp_path / "listed", *(f"{f}/{i}.png" for f in ("a", "b") for i in range(4)))
    (listed / "train.txt").write_text("0\n1\n2\n")
    (listed / "val.txt").write_text("3\n")
    assert names(open_dataset(yaml(listed, "images: a\nmasks: b\n"))) == {"train": ["0", "1", "2"], "val": ["3"]}


def test_yaml_with_images_and_masks_in_one_folder(tmp_path: Path) -> None:
    make(tmp_path, "all/a.jpg", "all/a.png", "all/b.jpg", "all/b.png")
    found = everything(open_dataset(yaml(tmp_path, "images: all\nmasks: all\n")))
    assert found == {("all/a.jpg", "all/a.png"), ("all/b.jpg", "all/b.png")}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("imges: rasters\n", 'unknown key "imges"; known: .*Did you mean "images"'),
        ("images: rasters\nmasks: nowhere\n", '"masks" is .*nowhere, which is not a folder'),
        ("root: nowhere\n", '"root" is .*nowhere, which is not a folder'),
        ("classes: [a]\n", 'give "images" and "masks"'),
        ("[1, 2]", "expected keys such as"),
        ("a: [", "not valid YAML"),
        ("images: rasters\nmasks: truth\nclasses: [a, a]\n", "class name 'a' is given twice"),
        ("images: rasters\nmasks: truth\nsplits: [a]\n", '"splits" must be a mapping'),
        ("images: rasters\nmasks: truth\nsplits: {train: none.txt}\n", r"the list .*none\.txt does not exist"),
        ("images: rasters\nmasks: truth\nsplits: {train: 3}\n", "a split must be a list"),
        ("images: rasters\nmasks: truth\nsplits: {train: [z]}\n", 'no image and mask for "z"'),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, windwo: [0, 0, 1, 1]}]}\n", "expected {stem: a"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, 0, 1]}]}\n", "the window of a must be"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, 0, 0, 1]}]}\n", "window of a must be"),
        ("images: rasters\nmasks: truth\nsplits: {train: [{stem: a, window: [0, -1, 1, 1]}]}\n", "window of a must be"),
    ],
)
def test_yaml_refuses(pictures: Path, text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        open_dataset(yaml(pictures, text))
    assert str(pictures / "dataset.yaml") in str(caught.value)
    assert "\n" not in str(caught.value)


REAL = {
    "camvid": ("segnet", {"train": 367, "val": 101}, 11),
    "labelmefacade": ("flat", {"train": 100, "val": 40}, None),
    "nuclei": ("flat", {"train": 95, "val": 25}, 2),
    "isbi2012": ("flat", {"train": 22, "val": 2}, 2),
    "formats/common_semantic/dataset": ("flat", {"train": 1, "val": 1}, None),
    "formats/common_semantic/non_standard_dataset": ("flat", {"train": 1, "val": 1}, None),
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
