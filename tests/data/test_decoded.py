"""Decoded pairs on the disk are those that decoding gives, are written once, and are never half a file."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from perpixel.cli import app
from perpixel.core.errors import UserError
from perpixel.core.reporter import Silent
from perpixel.data import decoded, loader
from perpixel.data.decoded import DecodedFile, keep_decoded
from perpixel.data.loader import Stream, TrainingSet, batches
from perpixel.data.mask_source import MaskFile
from perpixel.data.samples import Sample
from perpixel.data.transforms import Augmentation
from perpixel.labels import Taxonomy
from perpixel.train.recipe import DataPart, ModelPart, Recipe
from perpixel.train.setup import decoded_key, set_up

CLASSES = Taxonomy.of(["a", "b", "c"])
HOW = Augmentation(crop=(24, 32), rotate=10.0)


def make(root: Path, n: int = 5) -> list[Sample]:
    rng, samples = np.random.default_rng(0), []
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        image, mask, size = root / f"{i}.png", root / f"{i}_mask.png", (41 + i, 53)
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 3, size, dtype=np.uint8)).save(mask)
        samples.append(Sample(str(i), image, MaskFile(mask)))
    return samples


def larger_than_memory(samples: list[Sample], **options: Any) -> TrainingSet:
    return TrainingSet(samples, CLASSES, HOW, 7, memory_bytes=100, **options)


def of(text: str) -> Callable[[], str]:
    return lambda: text


@pytest.mark.parametrize("workers", [0, 2])
def test_training_sees_the_same_pixels(tmp_path: Path, workers: int) -> None:
    samples = make(tmp_path / "set")
    plain, kept = larger_than_memory(samples), larger_than_memory(samples)
    said = keep_decoded(kept, tmp_path / "cache", of("a"), Silent())
    assert str(tmp_path / "cache") in said
    for sample in samples:
        sample.image.unlink()
    fresh = make(tmp_path / "again")
    plain = larger_than_memory(fresh)
    for ours, theirs in zip(
        batches(kept, Stream(5, 2), 0, 5, workers), batches(plain, Stream(5, 2), 0, 5), strict=True
    ):
        assert ours.names == theirs.names
        assert torch.equal(ours.image, theirs.image)
        assert torch.equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_every_pair_is_as_decoding_gives_it(tmp_path: Path, dtype: Any) -> None:
    def read(sample: Sample, taxonomy: Taxonomy) -> tuple[np.ndarray, np.ndarray]:
        image = np.asarray(Image.open(sample.image)).astype(dtype) / dtype(1)
        assert isinstance(sample.mask, MaskFile)
        return image.astype(dtype), np.asarray(Image.open(sample.mask.path))

    samples = make(tmp_path / "set")
    pairs = larger_than_memory(samples, read=read)
    keep_decoded(pairs, tmp_path / "cache", of("a"), Silent())
    (file,) = (tmp_path / "cache").glob("*.raw")
    found = pickle.loads(pickle.dumps(DecodedFile(file)))
    assert len(found) == 5
    for (image, labels), sample in zip(found, samples, strict=True):
        stored, mask = read(sample, CLASSES)
        assert image.dtype == (torch.uint8 if dtype is np.uint8 else torch.float32)
        np.testing.assert_array_equal(image.permute(1, 2, 0), stored)
        np.testing.assert_array_equal(labels, mask)
    found[0][0].zero_()
    assert DecodedFile(file)[0][0].any()


def test_one_file_for_one_set_and_another_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, cache = make(tmp_path / "set"), tmp_path / "cache"
    keep_decoded(larger_than_memory(samples), cache, of("a"), Silent())
    monkeypatch.setattr(TrainingSet, "decoded", lambda *_: pytest.fail("decoded again"))
    assert "decoded in" in keep_decoded(larger_than_memory(samples), cache, of("a"), Silent())
    with pytest.raises(pytest.fail.Exception):
        keep_decoded(larger_than_memory(samples), cache, of("b"), Silent())
    assert len(list(cache.glob("*.raw"))) == 1


@pytest.mark.parametrize("damage", ["cut", "no index", "broken index"])
def test_half_a_file_is_written_again(tmp_path: Path, damage: str) -> None:
    samples, cache = make(tmp_path / "set"), tmp_path / "cache"
    keep_decoded(larger_than_memory(samples), cache, of("a"), Silent())
    (file,), (index,) = cache.glob("*.raw"), cache.glob("*.json")
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[:-64])
    elif damage == "no index":
        index.unlink()
    else:
        index.write_text(json.dumps({"format": "other"}))
    with pytest.raises(UserError):
        DecodedFile(file)
    keep_decoded(larger_than_memory(samples), cache, of("a"), Silent())
    assert file.read_bytes() == whole


def test_nothing_is_left_of_an_interrupt_or_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples, cache = make(tmp_path / "set", 40), tmp_path / "cache"

    class Stop(Silent):
        def step(self, done: int, total: int, what: str = "") -> None:
            if done > 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keep_decoded(larger_than_memory(samples), cache, of("a"), Stop())
    assert [p.suffix for p in cache.iterdir()] in ([], [".lock"])
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda _: full)
    with pytest.raises(UserError, match=r"data\.cache: .*cache has 0\.0 GB free, the decoded images need about"):
        keep_decoded(larger_than_memory(samples), cache, of("a"), Silent())


def test_what_fits_stays_in_memory_and_what_does_not_is_said(tmp_path: Path) -> None:
    samples = make(tmp_path / "set")
    assert keep_decoded(TrainingSet(samples, CLASSES, HOW), tmp_path / "cache", of("a"), Silent()) == "in memory"
    assert not (tmp_path / "cache").exists()
    assert "--set data.cache=DIR" in keep_decoded(larger_than_memory(samples), None, of("a"), Silent())


def test_the_key_is_of_the_files_and_of_what_is_done_to_them(tmp_path: Path) -> None:
    def key(**changes: Any) -> str:
        data = DataPart(path=str(tmp_path), crop=(32, 32), **changes)
        setup = set_up(Recipe(data=data, model=ModelPart(name="fast_scnn")))
        of = (setup.dataset, setup.recipe.data, setup.taxonomy, setup.preprocessing)
        return json.dumps(decoded_key(*of), sort_keys=True, default=str)

    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (tmp_path / split / kind).mkdir(parents=True)
        for sample in make(tmp_path / "made" / split, 3):
            shutil.copy(sample.image, tmp_path / split / "images" / sample.image.name)
            assert sample.mask_path is not None
            shutil.copy(sample.mask_path, tmp_path / split / "masks" / sample.image.name)
    first = key()
    assert key() == first
    assert key(short_side=20) != first
    assert key(flip=False) == first
    shutil.copy(tmp_path / "train/images/1.png", tmp_path / "train/images/1.png.bak")
    Image.fromarray(np.zeros((42, 53, 3), np.uint8)).save(tmp_path / "train/images/1.png")
    assert key() != first


def test_a_run_says_where_its_images_are_and_a_second_one_uses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for split in ("train", "val"):
        for sample in make(tmp_path / "made" / split, 4):
            for kind, path in (("images", sample.image), ("masks", sample.mask_path)):
                (tmp_path / "data" / split / kind).mkdir(parents=True, exist_ok=True)
                assert path is not None
                shutil.copy(path, tmp_path / "data" / split / kind / sample.image.name)
    monkeypatch.setattr(loader, "free_memory", lambda: 0)
    weights = []
    for run, cache in (("first", "kept"), ("second", "kept"), ("third", None)):
        change = ["--set", f"data.cache={tmp_path / cache}"] if cache else []
        options = ["--model", "fast_scnn", "--crop", "32x32", "--set", "steps=3", "--batch-size", "2", *change]
        result = CliRunner().invoke(app, ["train", str(tmp_path / "data"), *options, "--out", str(tmp_path / run)])
        assert result.exit_code == 0, result.output
        assert ("images    decoded in" if cache else "images    decoded each time") in result.output
        weights.append((tmp_path / run / "best/model.safetensors").read_bytes())
    assert weights[0] == weights[1] == weights[2]
    assert len(list((tmp_path / "kept").glob("*.raw"))) == 1
