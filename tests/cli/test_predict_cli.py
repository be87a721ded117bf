"""perpixel predict on many files: bad ones, large ones, names that collide."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perpixel.core.image import read_mask
from perpixel.infer import load

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Perpixel, assert_one_line, picture


def test_predict_goes_on_past_a_bad_file(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    picture(folder / "a.png", 1)
    picture(folder / "sub" / "b.jpg", 2)
    picture(folder / "c.png", 3)
    (folder / "bad.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "zero.png").write_bytes(b"")
    np.save(folder / "five.npy", np.zeros((4, 4, 5), np.uint8))
    (folder / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    done = run("predict", folder, "--model", bundle, "--out", out)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 3
    assert "3 of 6 images" in done.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["classes"] == ["road", "sky", "car"]
    assert {Path(p).name for p in summary["images"]} == {"a.png", "b.jpg", "c.png"}
    assert {Path(p).name for p in summary["failed"]} == {"bad.png", "zero.png", "five.npy"}
    assert all(Path(p).name in reason for p, reason in summary["failed"].items())
    predictor = load(bundle, device="cpu")
    for path, entry in summary["images"].items():
        assert (entry["height"], entry["width"]) == (12, 14)
        assert sum(entry["share"].values()) == pytest.approx(1)
        labels = read_mask(out / entry["files"]["labels"]).values
        np.testing.assert_array_equal(labels, predictor.predict(path).labels)
        assert (out / entry["files"]["overlay"]).is_file()
    assert not (out / "bad.png").exists()


def test_an_image_too_large_for_memory_does_not_stop_the_others(
    run: Perpixel, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perpixel.infer import Predictor

    real = Predictor.predict

    def predict(self: Predictor, image: Any, *given: Any, name: str = "", **named: Any) -> object:
        if Path(name).stem == "large":
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e12 bytes"
            )
        return real(self, image, *given, name=name, **named)

    monkeypatch.setattr(Predictor, "predict", predict)
    files = [picture(tmp_path / f"{stem}.png") for stem in ("a", "large", "z")]
    done = run("predict", *files, "--model", bundle, "--out", tmp_path / "out")
    assert done.status == 2
    assert "2 of 3 images" in done.out
    assert_one_line(done, "large.png", "memory")


def test_globs_folders_and_files_count_once(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.jpg"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "x.txt").write_text("")
    arguments = [tmp_path / "in" / "*.png", tmp_path / "in" / "a.png", tmp_path / "in", tmp_path / "in" / "**"]
    done = run("predict", *arguments, "--model", bundle, "--out", tmp_path / "out", "--probabilities", "--flip")
    assert done.status == 0, done.err
    assert "3 of 3 images" in done.out
    for stem in "abc":
        assert {f"{stem}.png", f"{stem}.json", f"{stem}_overlay.jpg", f"{stem}_probabilities.npy"} <= {
            p.name for p in (tmp_path / "out").iterdir()
        }
    assert len(list((tmp_path / "out").iterdir())) == 13


def test_stems_that_collide(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    names = [
        "a.png",
        "a.jpg",
        "a_png.png",
        "a_png_2.png",
        "x/a.png",
        "summary.png",
        "B.png",
        "x/b.png",
        "a_overlay.png",
    ]
    for i, name in enumerate(names):
        picture(tmp_path / "in" / name, i)
    done = run("predict", tmp_path / "in", "--model", bundle, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["images"]) == len(names)
    written = [name.casefold() for entry in summary["images"].values() for name in entry["files"].values()]
    assert len(set(written)) == len(written) == 3 * len(names)
    assert "summary.json" not in written
    predictor = load(bundle, device="cpu")
    for path, entry in summary["images"].items():
        labels = read_mask(tmp_path / "out" / entry["files"]["labels"]).values
        np.testing.assert_array_equal(labels, predictor.predict(path).labels, err_msg=path)


def test_the_images_are_never_overwritten(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    before = file.read_bytes()
    assert_one_line(run("predict", tmp_path, "--model", bundle, "--out", tmp_path), "overwritten", "--out")
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
