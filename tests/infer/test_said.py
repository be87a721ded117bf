"""What of an image is not taken as it is stored is said: alpha, further pictures, pixels without data, colours as grey."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from perpixel.core.image import read_raster
from perpixel.data.folders import open_dataset
from perpixel.data.notes import ALPHA_DROPPED, ALPHA_KEPT, GREY, NOT_MEASURED, raster_notes
from perpixel.data.statistics import survey_training
from perpixel.infer import Predictor, evaluate
from perpixel.infer.many import Job, predict_files

RNG = np.random.default_rng(0)


def photo(channels: int = 3) -> np.ndarray:
    return RNG.integers(20, 200, (20, 24, channels), dtype=np.uint8)


def band(file: Path, value: np.ndarray) -> Path:
    tifffile.imwrite(file, value, photometric="rgb", extrasamples=["unassalpha"])
    return file


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "avif"])
def test_frames_that_are_not_read_are_counted(tmp_path: Path, ending: str) -> None:
    frames = [Image.fromarray(photo()) for _ in range(4)]
    frames[0].save(tmp_path / f"a.{ending}", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / f"b.{ending}")
    assert read_raster(tmp_path / f"a.{ending}").more == 3
    assert read_raster(tmp_path / f"b.{ending}").more == 0
    assert raster_notes(read_raster(tmp_path / f"a.{ending}"), 3) == [
        "of 4 pictures in it (frames, pages) the first is read"
    ]


def test_pages_of_another_size_are_counted_and_smaller_copies_are_not(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(photo(), photometric="rgb")
        file.write(photo()[:10, :12], photometric="rgb", subfiletype=1)  # an overview of GDAL's
        file.write(photo()[:7], photometric="rgb")
    assert read_raster(tmp_path / "a.tif").more == 1


def test_each_kind_is_said(tmp_path: Path) -> None:
    infrared = band(tmp_path / "a.tif", photo(4))
    assert raster_notes(read_raster(infrared, 3), 3) == [ALPHA_DROPPED]
    assert raster_notes(read_raster(infrared, 4), 4) == [ALPHA_KEPT]
    holes = photo().astype(np.float32)
    holes[3] = np.nan
    np.save(tmp_path / "b.npy", holes)
    assert raster_notes(read_raster(tmp_path / "b.npy"), 3) == [NOT_MEASURED]
    assert raster_notes(read_raster(tmp_path / "b.npy"), 1) == [NOT_MEASURED, GREY]


def test_predicting_and_measuring_say_it(tmp_path: Path, predictor: Predictor) -> None:
    root = tmp_path / "data"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for i in range(3):
        band(root / f"images/{i}.tif", photo(4))
        Image.fromarray((np.arange(480).reshape(20, 24) % 3).astype(np.uint8)).save(root / f"masks/{i}.png")
    files = [Job(root / f"images/{i}.tif", tmp_path, str(i)) for i in range(2)]
    assert [result["notes"] for _, result in predict_files(predictor, files) if isinstance(result, dict)] == [
        [ALPHA_DROPPED]
    ] * 2
    found = evaluate(predictor, open_dataset(root).split("all"))
    assert [note.split(": ")[0] for note in found.notes] == [ALPHA_DROPPED]
    assert sorted(found.notes[0].split(": ")[1].split(", ")) == ["0", "1", "2"]


def test_training_says_it(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(6):
        image = photo().astype(np.float32)
        image[:2] = np.nan
        np.save(tmp_path / f"images/{i}.npy", image)
        mask = np.zeros((20, 24), np.uint8)
        mask[5:] = 255 if i > 3 else 1
        Image.fromarray(mask).save(tmp_path / f"masks/{i}.png")
    (tmp_path / "train.txt").write_text("0\n1\n2\n3\n4")
    (tmp_path / "val.txt").write_text("5")
    notes = survey_training(open_dataset(tmp_path), "train", "val").notes
    assert notes == (
        "5 images with pixels that were not measured (NaN, infinite, no-data): the mean stands there, their label is ignored",
        "2 masks hold 255 (ignored) and never 1, others 1 and never 255: 4, 5; if 255 is foreground there, write 1 instead",
        "15.00% of the training masks' pixels are ignored",  # 15 of 20 rows of one mask of five
    )


def test_training_says_that_val_is_trained_on(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for i in range(4):
        Image.fromarray(photo()).save(tmp_path / f"images/{i}.png")
        Image.fromarray((np.arange(480).reshape(20, 24) % 2).astype(np.uint8)).save(tmp_path / f"masks/{i}.png")
    (tmp_path / "train.txt").write_text("0\n1\n2")
    (tmp_path / "val.txt").write_text("3\n0\n1")
    notes = survey_training(open_dataset(tmp_path), "train", "val").notes
    assert notes == ("2 samples of val are in train too, so that they measure nothing new: 0, 1",)
    windows = "splits:\n  train: [{stem: 0, window: [0, 0, 10, 24]}]\n  val: [{stem: 0, window: [10, 0, 10, 24]}]\n"
    (tmp_path / "dataset.yaml").write_text(f"images: images\nmasks: masks\nclasses: [a, b]\n{windows}")
    assert survey_training(open_dataset(tmp_path), "train", "val").notes == ()


def test_a_long_first_frame_is_no_fault(tmp_path: Path) -> None:
    """More blocks of 255 bytes than are looked at for further frames in hostile files."""
    Image.fromarray(RNG.integers(0, 256, (3700, 3700), dtype=np.uint8)).save(tmp_path / "a.gif")
    assert (tmp_path / "a.gif").stat().st_size > 2**16 * 256
    assert read_raster(tmp_path / "a.gif").more == 0
