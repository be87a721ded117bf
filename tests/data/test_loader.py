"""Order and augmentation are functions of (seed, epoch, index), whoever loads; and what cannot be loaded is said."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from perpixel.bundle import Preprocessing
from perpixel.core.errors import UserError
from perpixel.data.loader import Batch, Stream, TrainingSet, batches, collate
from perpixel.data.mask_source import MaskFile
from perpixel.data.pairs import read_labels, read_pair
from perpixel.data.samples import Sample
from perpixel.data.transforms import Augmentation
from perpixel.labels import Taxonomy

CLASSES = Taxonomy.of(["a", "b", "c"])
HOW = Augmentation(crop=(24, 32), rotate=10.0, elastic=2.0)
STILL = Augmentation(crop=(24, 32), scale=(1.0, 1.0), max_class_share=1.0, flip=False, jitter=0.0)


def make(root: Path, n: int, size: tuple[int, int] = (40, 50)) -> list[Sample]:
    rng, samples = np.random.default_rng(0), []
    for i in range(n):
        image, mask = root / f"{i}.png", root / f"{i}_mask.png"
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
        Image.fromarray(rng.integers(0, 3, size, dtype=np.uint8)).save(mask)
        samples.append(Sample(str(i), image, MaskFile(mask)))
    return samples


def same(a: list[Batch], b: list[Batch]) -> bool:
    return len(a) == len(b) and all(
        x.names == y.names and torch.equal(x.image, y.image) and torch.equal(x.labels, y.labels)
        for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    return make(tmp_path, 7)


def test_any_number_of_workers_gives_the_same_batches(samples: list[Sample]) -> None:
    data, stream = TrainingSet(samples, CLASSES, HOW, seed=3), Stream(7, 3, seed=3)
    alone = list(batches(data, stream, 0, 6))
    assert [b.image.shape for b in alone] == [(3, 3, 24, 32)] * 6
    assert [b.labels.shape for b in alone] == [(3, 24, 32)] * 6
    for workers in (1, 2):
        torch.manual_seed(workers)
        assert same(alone, list(batches(data, stream, 0, 6, workers=workers)))
    assert data.keep_in_memory()
    assert same(alone, list(batches(data, stream, 0, 6)))


def test_a_resumed_run_sees_the_tail(samples: list[Sample]) -> None:
    data, stream = TrainingSet(samples, CLASSES, HOW, seed=3), Stream(7, 3, seed=3)
    whole = list(batches(data, stream, 0, 8))
    assert same(whole[5:], list(batches(TrainingSet(samples, CLASSES, HOW, seed=3), Stream(7, 3, seed=3), 5, 8)))


def test_iterating_leaves_torchs_generator_alone(samples: list[Sample]) -> None:
    before = torch.random.get_rng_state()
    list(batches(TrainingSet(samples, CLASSES, HOW), Stream(7, 3), 0, 2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_epochs_and_seeds_differ(samples: list[Sample]) -> None:
    data = TrainingSet(samples, CLASSES, HOW, seed=0)
    assert not torch.equal(data[0, 4][0], data[1, 4][0])
    assert not torch.equal(data[0, 4][0], TrainingSet(samples, CLASSES, HOW, seed=1)[0, 4][0])
    assert torch.equal(data[0, 4][0], data[0, 4][0])
    orders = {tuple(i for _, i in Stream(7, 7, seed=seed).keys(epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


@pytest.mark.parametrize(("length", "batch_size", "world"), [(7, 3, 1), (7, 3, 2), (100, 8, 4), (2, 5, 1), (1, 4, 2)])
def test_every_sample_is_seen_once_an_epoch(length: int, batch_size: int, world: int) -> None:
    """Over as many steps as make whole epochs, also where one batch is more than an epoch."""
    ranks = [Stream(length, batch_size, 5, rank, world) for rank in range(world)]
    seen = Counter(key for step in range(length * 3) for stream in ranks for key in stream.keys(step))
    epochs = 3 * batch_size * world
    assert seen == {(epoch, index): 1 for epoch in range(epochs) for index in range(length)}


def test_ranks_partition_the_step_of_one_process() -> None:
    one = Stream(50, 12, seed=2)
    ranks = [Stream(50, 4, 2, rank, 3) for rank in range(3)]
    for step in range(20):
        assert one.keys(step) == [key for stream in ranks for key in stream.keys(step)]


def test_steps_may_be_asked_in_any_order() -> None:
    stream = Stream(10, 4, seed=1)
    forth = [stream.keys(step) for step in range(9)]
    assert [stream.keys(step) for step in reversed(range(9))] == forth[::-1]


def test_fewer_samples_than_a_batch(tmp_path: Path) -> None:
    data = TrainingSet(make(tmp_path, 2), CLASSES, HOW)
    (batch,) = batches(data, Stream(2, 5), 0, 1)
    assert batch.image.shape[0] == 5
    assert Counter(batch.names).keys() == {"0", "1"}


def test_a_sample_is_what_is_in_its_files(samples: list[Sample]) -> None:
    data = TrainingSet(samples, CLASSES, replace(STILL, crop=(40, 50)))
    image, labels, name = data[0, 2]
    assert name == "2"
    np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(Image.open(samples[2].image)))
    assert samples[2].mask is not None
    np.testing.assert_array_equal(labels, np.asarray(Image.open(samples[2].mask)))
    assert (image.dtype, labels.dtype) == (torch.uint8, torch.uint8)


def takes(channels: int) -> Preprocessing:
    return Preprocessing(channels, (0.5,) * channels, (0.25,) * channels, dtype="uint8", value_range=(0, 255))


def test_channels_and_short_side(samples: list[Sample]) -> None:
    grey, labels = TrainingSet(samples, CLASSES, STILL, 0, takes(1).training_pair, short_side=20).decode(0)
    assert grey.shape == (1, 20, 25)
    assert labels.shape == (20, 25)
    tifffile.imwrite(samples[0].image, np.zeros((40, 50, 7), np.uint8), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError, match="takes 3 channels, this image has 7"):
        TrainingSet(samples, CLASSES, STILL, 0, takes(3).training_pair).decode(0)


def test_windows(samples: list[Sample]) -> None:
    whole, whole_labels = read_pair(samples[0], CLASSES)
    part = replace(samples[0], window=(5, 10, 20, 30))
    image, labels = read_pair(part, CLASSES)
    np.testing.assert_array_equal(image, whole[5:25, 10:40])
    np.testing.assert_array_equal(labels, whole_labels[5:25, 10:40])
    np.testing.assert_array_equal(read_labels(part, CLASSES), labels)
    for window in ((21, 0, 20, 10), (0, 21, 10, 30)):
        for read in (read_pair, read_labels):
            with pytest.raises(UserError, match=r"0_mask\.png: window .* lies outside of its 40x50"):
                read(replace(samples[0], window=window), CLASSES)


def test_a_mask_of_another_size(samples: list[Sample]) -> None:
    Image.fromarray(np.zeros((50, 40), np.uint8)).save(samples[0].mask or "")
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(samples[1].mask or "")
    with pytest.raises(UserError, match=r"0_mask\.png: the mask is 50x40 \(HxW\) but its image is 40x50; .*EXIF"):
        read_pair(samples[0], CLASSES)
    for sample in (samples[1], replace(samples[1], window=(0, 0, 10, 10))):
        with pytest.raises(
            UserError, match=r"1_mask\.png: the mask is 80x100 \(HxW\) but its image is 40x50; they must"
        ):
            read_pair(sample, CLASSES)


def test_no_mask_and_unknown_values(samples: list[Sample]) -> None:
    with pytest.raises(UserError, match=r"0\.png: there is no mask"):
        read_pair(replace(samples[0], mask=None), CLASSES)
    Image.fromarray(np.full((40, 50), 9, np.uint8)).save(samples[1].mask or "")
    with pytest.raises(UserError, match=r"1_mask\.png: mask value 9 belongs to none of the 3 classes"):
        read_pair(samples[1], CLASSES)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_worker_is_one_line(samples: list[Sample], workers: int) -> None:
    samples[0].image.write_bytes(b"")
    with pytest.raises(UserError) as caught:
        list(batches(TrainingSet(samples, CLASSES, HOW), Stream(7, 7), 0, 1, workers=workers))
    assert str(caught.value) == f"{samples[0].image}: the file is empty (0 bytes); replace or remove it"


def test_the_memory_limit_is_kept(tmp_path: Path) -> None:
    samples = make(tmp_path, 20)
    pair = 40 * 50 * 4  # three bytes of image and one of label a pixel
    for limit, fits in ((20 * pair, True), (20 * pair - 1, False), (0, False)):
        data = TrainingSet(samples, CLASSES, STILL, memory_bytes=limit)
        assert data.keep_in_memory() is fits
        assert bool(data._kept) is fits
        assert data[0, 3][0].shape == (3, 24, 32)


def test_the_memory_limit_is_kept_where_the_first_pair_is_the_smallest(tmp_path: Path) -> None:
    samples = make(tmp_path, 20)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(samples[0].image)
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(samples[0].mask or "")
    data = TrainingSet(samples, CLASSES, STILL, memory_bytes=10 * 40 * 50 * 4)
    assert not data.keep_in_memory()
    assert not data._kept


def test_collate() -> None:
    label = torch.zeros(2, 2, dtype=torch.uint8)
    bytes_, floats = torch.full((3, 2, 2), 51, dtype=torch.uint8), torch.full((3, 2, 2), 0.5)
    batch = collate([(bytes_, label, "a"), (bytes_, label, "b")])
    assert batch.image.dtype == torch.uint8
    assert batch.names == ("a", "b")
    mixed = collate([(bytes_, label, "a"), (floats, label, "b")])
    torch.testing.assert_close(mixed.image[:, 0, 0, 0], torch.tensor([0.2, 0.5]))
    with pytest.raises(UserError, match="b: 7 channels beside 3 in a"):
        collate([(bytes_, label, "a"), (torch.zeros(7, 2, 2), label, "b")])
