"""Groups in two splits, images that look nearly alike, and splits made by groups: names and figures worked out by hand."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.check import check_dataset
from perpixel.data.groups import group_of_name, group_rule
from perpixel.data.perceptual import nearest_of, perceptual_hash
from perpixel.data.splitting import make_split, parts_of, share_out, write_lists
from perpixel.data.statistics import survey_training

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from clean_folder import blobs, save

from perpixel.data.folders import open_dataset

Array = np.ndarray


def scene(seed: int, size: tuple[int, int] = (120, 160)) -> Array:
    """Coarse structure, as photos have: 8x8 random colours, enlarged smoothly."""
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC))


def jpeg(image: Array, quality: int) -> Array:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def folder(root: Path, names: list[str], val: list[str] | None = None) -> Path:
    for i, name in enumerate(names):
        save(scene(i), root / "images" / f"{name}.png")
        save(blobs(i, size=(120, 160)), root / "masks" / f"{name}.png")
    if val is not None:
        (root / "train.txt").write_text("\n".join(n for n in names if n not in val))
        (root / "val.txt").write_text("\n".join(val))
    return root


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("0001TP_006690", "0001TP"),
        ("Seq05VD_f00000", "Seq05VD"),
        ("aachen_000000_000019", "aachen"),
        ("farm_x3_y12", "farm"),
        ("patient_12_slice_003", "patient_12"),
        ("patient07/slice_3", "patient07"),
        ("IMG_20200101_120000", None),
        ("IMG_0798", None),
        ("2007_000032", None),
        ("ADE_train_00000001", None),
        ("spatial_envelope_256x256_static_8outdoorcategories__street_gre181", None),
        ("000000000139", None),
        ("12", None),
    ],
)
def test_group_of_usual_names(name: str, group: str | None) -> None:
    assert group_of_name(name) == group


@pytest.mark.parametrize("pattern", ["(", "(a+)+b", "a*a*a*a*a*b", "x" * 201, "(?:a|aa)*b"])
def test_a_bad_rule_is_one_line(pattern: str) -> None:
    with pytest.raises(UserError, match=r"^--group[^\n]*$"):
        group_rule(pattern)


def test_a_group_in_two_splits_is_named_and_train_says_it(tmp_path: Path) -> None:
    names = [f"0001TP_{n:06}" for n in (1, 31, 61)] + [f"0016E5_{n:05}" for n in (1, 31)]
    folder(tmp_path, names, val=["0001TP_000061", "0016E5_00031"])
    (found,) = [w for w in check_dataset(tmp_path).warnings if "groups" in w.text]
    assert found.files == (
        "0001TP: 2 in train, such as 0001TP_000001 and 1 in val, such as 0001TP_000061",
        "0016E5: 1 in train, such as 0016E5_00001 and 1 in val, such as 0016E5_00031",
    )
    notes = survey_training(open_dataset(tmp_path), "train", "val").notes
    assert any(n.startswith("2 samples of val are of groups that are in train too") for n in notes)


def test_whole_groups_in_a_split_are_no_leak(tmp_path: Path) -> None:
    names = ["0001TP_000001", "0001TP_000031", "0016E5_00001", "0016E5_00031"]
    folder(tmp_path, names, val=names[2:])
    assert not [w for w in check_dataset(tmp_path).warnings if "groups" in w.text or "alike" in w.text]
    assert not [n for n in survey_training(open_dataset(tmp_path), "train", "val").notes if "groups" in n]


def test_the_users_rule(tmp_path: Path) -> None:
    folder(tmp_path, ["a-1", "a-2", "b-1", "b-2"], val=["a-2"])
    (found,) = [w for w in check_dataset(tmp_path, group="([a-z])-").warnings if "groups" in w.text]
    assert found.files == ("a: 1 in train, such as a-1 and 1 in val, such as a-2",)
    with pytest.raises(UserError, match="fits no name"):
        check_dataset(tmp_path, group="zz")


@pytest.mark.parametrize("change", ["jpeg", "half", "lighter", "shifted"])
def test_a_near_duplicate_names_both_files(change: str, tmp_path: Path) -> None:
    folder(tmp_path, [*"abcdef"], val=["e", "f"])
    a = scene(0)
    half = np.asarray(Image.fromarray(a).resize((80, 60)))
    lighter = np.minimum(a.astype(int) + 20, 255).astype(np.uint8)
    near = {"jpeg": jpeg(a, 50), "half": half, "lighter": lighter, "shifted": np.roll(a, 2, 1)}[change]
    save(near, tmp_path / "images/f.png")
    save(blobs(3, size=near.shape[:2]), tmp_path / "masks/f.png")
    (found,) = [w for w in check_dataset(tmp_path).warnings if "alike" in w.text]
    assert len(found.files) == 1
    assert found.files[0].startswith("images/f.png (val) ~ images/a.png (train): ")


def test_bits_are_those_of_the_definition() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 34, 3), dtype=np.uint8)
    cells = image.sum(2).reshape(16, 2, 17, 2).mean((1, 3))
    expected = np.packbits(np.array([[row[i + 1] > row[i] for i in range(16)] for row in cells])).tobytes()
    assert perceptual_hash(image) == expected
    other = bytes([expected[0] ^ 0b101, *expected[1:]])
    place, bits = nearest_of([expected], [bytes(32), other])
    assert (place[0], bits[0]) == (1, 2)


def test_what_is_too_plain_has_no_hash() -> None:
    assert perceptual_hash(np.full((40, 40, 3), 7, np.uint8)) is None
    assert perceptual_hash(np.zeros((8, 8, 1), np.uint8)) is None


def test_a_split_keeps_groups_whole_and_shares(tmp_path: Path) -> None:
    names = [f"{chr(97 + g)}{g}_{i:03}" for g in range(10) for i in range(1 + g % 3)]
    dataset, made = make_split(folder(tmp_path, names), parts_of(0.2, 0))
    assert sorted([*made.names["train"], *made.names["val"]]) == sorted(names)
    train, val = ({n.split("_")[0] for n in made.names[s]} for s in ("train", "val"))
    assert not train & val
    assert abs(len(made.names["val"]) - 0.2 * len(names)) <= 1
    write_lists(dataset, made)
    assert (tmp_path / "val.txt").read_text().split() == list(made.names["val"])
    assert not [w for w in check_dataset(tmp_path).warnings if "groups" in w.text]
    before = (tmp_path / "train.txt").read_bytes()
    with pytest.raises(UserError, match="--overwrite"):
        write_lists(dataset, made)
    assert (tmp_path / "train.txt").read_bytes() == before


def test_a_rare_class_is_in_both() -> None:
    pixels = np.array([[100, 0]] * 8 + [[50, 50]] * 2)
    place = share_out(pixels, np.arange(10), [0.5, 0.5], 0)
    assert sorted(place[8:]) == [0, 1]
    assert place.sum() == 5


def test_fewer_groups_than_splits(tmp_path: Path) -> None:
    folder(tmp_path, ["a1_001", "a1_002"])
    with pytest.raises(UserError, match="1 group for 2 splits"):
        make_split(tmp_path, parts_of(0.2, 0))


@pytest.mark.parametrize(("val", "test"), [(0, 0), (1, 0), (0.6, 0.4), (-0.1, 0), (float("nan"), 0)])
def test_shares_that_leave_nothing(val: float, test: float) -> None:
    with pytest.raises(UserError, match="shares between 0 and 1"):
        parts_of(val, test)
