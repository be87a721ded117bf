"""Image and mask move together, and nothing that was not in the mask comes out of it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from perpixel.data.tensors import resize_short_side, to_tensor
from perpixel.data.transforms import Augmentation, augment

STILL = Augmentation(crop=(96, 96), scale=(1.0, 1.0), max_class_share=1.0, flip=False, jitter=0.0)


def change(**what: object) -> Augmentation:
    return Augmentation(**{**STILL.__dict__, **what})  # type: ignore[arg-type]


def impulse(height: int = 96, width: int = 128, dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor]:
    """A bright disc of label 1 on black of label 0, not in the middle."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = (y - 0.4 * height) ** 2 + (x - 0.6 * width) ** 2 < 11**2
    return (disc * 200).to(dtype).expand(3, -1, -1).clone(), disc.to(torch.uint8)


def centroid(weight: Tensor) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in weight.shape), indexing="ij")
    return torch.stack([(y * weight).sum(), (x * weight).sum()]) / weight.sum()


KINDS = {
    "crop": change(crop=(64, 64)),
    "larger crop": change(crop=(160, 200)),
    "smaller": change(scale=(0.5, 0.5)),
    "larger": change(scale=(1.9, 1.9), crop=(190, 260)),
    "any scale": change(scale=(0.5, 2.0), crop=(192, 256)),
    "flip": change(flip=True),
    "flip vertical": change(flip_vertical=True),
    "rotate": change(rotate=30.0),
    "elastic": change(elastic=4.0),
    "all": change(scale=(0.7, 1.5), flip=True, flip_vertical=True, rotate=20.0, elastic=3.0),
}


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("kind", KINDS)
def test_image_and_mask_move_together(kind: str, dtype: torch.dtype) -> None:
    image, labels = impulse(dtype=dtype)
    seen = 0
    for seed in range(12):
        moved, moved_labels = augment(image, labels, KINDS[kind], np.random.default_rng(seed))
        assert moved.shape[1:] == moved_labels.shape == KINDS[kind].crop
        assert moved.dtype == dtype
        assert moved_labels.dtype == torch.uint8
        bright, disc = moved[1].double(), (moved_labels == 1).double()
        if disc.sum() < 40 or disc[0].any() or disc[-1].any() or disc[:, 0].any() or disc[:, -1].any():
            continue  # cut off by the crop
        seen += 1
        assert torch.dist(centroid(bright), centroid(disc)) < 0.5
        overlap = bright[moved_labels == 1].sum() / bright.sum()
        assert overlap > 0.85
    assert seen >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_labels_out_are_a_subset_of_labels_in(kind: str) -> None:
    rng = np.random.default_rng(0)
    labels = torch.from_numpy(rng.choice(np.array([0, 7, 200, 255], np.uint8), (60, 70)))
    image = torch.zeros(3, 60, 70, dtype=torch.uint8)
    for seed in range(5):
        _, out = augment(image, labels, KINDS[kind], np.random.default_rng(seed))
        assert set(out.unique().tolist()) <= {0, 7, 200, 255}


def test_the_same_generator_gives_the_same_and_another_another() -> None:
    image, labels = impulse()
    how = KINDS["all"]
    before = image.clone(), labels.clone(), torch.random.get_rng_state()
    first = augment(image, labels, how, np.random.default_rng(5))
    torch.rand(3)
    again = augment(image, labels, how, np.random.default_rng(5))
    other = augment(image, labels, how, np.random.default_rng(6))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert torch.equal(image, before[0]), "the source, which may be kept in memory, is left alone"
    assert torch.equal(labels, before[1])


def test_torchs_generator_is_left_alone() -> None:
    image, labels = impulse()
    before = torch.random.get_rng_state()
    augment(image, labels, KINDS["all"], np.random.default_rng(5))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_number_of_threads_changes_nothing(dtype: torch.dtype) -> None:
    """Workers have one thread, the main process has many, and both must make the same sample."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.uniform(0, 256, (3, 600, 600))).to(dtype)
    how = change(crop=(600, 600), jitter=0.3)
    threads, made = torch.get_num_threads(), []
    try:
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            made.append([augment(image, image[0].byte(), how, np.random.default_rng(s))[0] for s in range(3)])
    finally:
        torch.set_num_threads(threads)
    for one, two, four in zip(*made, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, four)


@pytest.mark.parametrize("bands", [1, 3, 7])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2), (40, 40)])
def test_any_size_bands_and_dtype(size: tuple[int, int], dtype: torch.dtype, bands: int) -> None:
    how = change(crop=(32, 24), scale=(0.5, 2.0), flip=True, flip_vertical=True, rotate=10.0, elastic=2.0, jitter=0.3)
    image, labels = torch.ones(bands, *size, dtype=dtype), torch.full(size, 3, dtype=torch.uint8)
    for seed in range(4):
        out, out_labels = augment(image, labels, how, np.random.default_rng(seed))
        assert out.shape == (bands, 32, 24)
        assert out.dtype == dtype
        assert out_labels.shape == (32, 24)
        assert set(out_labels.unique().tolist()) <= {3, 255}
        assert torch.isfinite(out.float()).all()


def test_outside_of_the_source_is_0_and_ignored() -> None:
    image, labels = torch.full((3, 20, 30), 9, dtype=torch.uint8), torch.zeros(20, 30, dtype=torch.uint8)
    out, out_labels = augment(image, labels, change(crop=(50, 60)), np.random.default_rng(0))
    assert torch.equal(out[0] == 0, out_labels == 255)
    assert int((out_labels == 0).sum()) == 20 * 30


def test_a_source_that_is_large_enough_fills_the_crop() -> None:
    """Rounding the part that is cut out must not leave a border that nobody labelled."""
    image, labels = torch.full((3, 300, 300), 9, dtype=torch.uint8), torch.zeros(300, 300, dtype=torch.uint8)
    for seed in range(40):
        out, out_labels = augment(image, labels, change(crop=(97, 65), scale=(0.5, 2.0)), np.random.default_rng(seed))
        assert bool((out == 9).all())
        assert bool((out_labels == 0).all())


def test_the_scale_is_the_factor_on_size() -> None:
    """A 40 pixel square of the source is 20 and 80 pixels at factors 1/2 and 2."""
    labels = torch.zeros(200, 200, dtype=torch.uint8)
    labels[80:120, 80:120] = 1
    image = labels.expand(3, -1, -1) * 100
    for factor, side in ((0.5, 20), (2.0, 80)):
        how = change(crop=(int(200 * factor), int(200 * factor)), scale=(factor, factor))
        _, out = augment(image, labels, how, np.random.default_rng(0))
        assert int((out == 1).sum()) == side * side


def test_the_scale_is_drawn_evenly_in_the_logarithm() -> None:
    labels = torch.zeros(64, 64, dtype=torch.uint8)
    labels[12:52, 12:52] = 1
    how, image = change(crop=(128, 128), scale=(0.5, 2.0)), labels[None]
    areas = [int((augment(image, labels, how, np.random.default_rng(s))[1] == 1).sum()) for s in range(300)]
    shrunk = sum(a < 1600 for a in areas) / 300
    assert 0.4 < shrunk < 0.6, "as often smaller as larger; uniform in the factor itself would give one third"


def test_flips_are_drawn_half_of_the_time() -> None:
    image, labels = impulse(96, 96)
    for axis, how in ((-1, change(flip=True)), (-2, change(flip_vertical=True))):
        flipped = 0
        for seed in range(100):
            out, out_labels = augment(image, labels, how, np.random.default_rng(seed))
            turned = torch.equal(out, image.flip(axis))
            assert turned or torch.equal(out, image)
            assert torch.equal(out_labels, labels.flip(axis) if turned else labels)
            flipped += turned
        assert 30 < flipped < 70


def test_no_augmentation_is_the_identity() -> None:
    image, labels = impulse(96, 96)
    out, out_labels = augment(image, labels, STILL, np.random.default_rng(0))
    assert torch.equal(out, image)
    assert torch.equal(out_labels, labels)


def test_jitter_changes_colours_alone_and_a_little_of_it_changes_nothing() -> None:
    every = torch.arange(400).reshape(20, 20) % 256
    levels, labels = every.to(torch.uint8).expand(3, -1, -1).clone(), every.to(torch.uint8)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        out, out_labels = augment(levels, labels, change(crop=(20, 20), jitter=1e-9), rng)
        assert torch.equal(out, levels)
        assert torch.equal(out_labels, labels)
    changed, _ = augment(levels, labels, change(crop=(20, 20), jitter=0.5), np.random.default_rng(0))
    assert not torch.equal(changed, levels)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_brightness_and_contrast_by_hand(dtype: torch.dtype, seed: int) -> None:
    """Two bands, so no saturation: (x - mean) * contrast + mean, times brightness."""
    image = torch.tensor([50, 150], dtype=dtype).reshape(1, 1, 2).repeat(2, 8, 4)
    labels = torch.zeros(8, 8, dtype=torch.uint8)
    image[:, :, ::4] = 50  # every fourth column, which the mean is taken from, is of one level
    rng = np.random.default_rng(seed)
    rng.uniform(), rng.integers(1), rng.integers(1)  # what scale and place draw
    brightness, contrast, _ = rng.uniform(0.8, 1.2, 3)
    mean = 50.0 if dtype == torch.uint8 else float(image[0].mean())
    wanted = ((image.double() - mean) * contrast + mean) * brightness
    out, _ = augment(image, labels, change(crop=(8, 8), jitter=0.2), np.random.default_rng(seed))
    torch.testing.assert_close(out.double(), wanted, atol=0.51 if dtype == torch.uint8 else 1e-4, rtol=0)


@pytest.mark.parametrize("factor", [1 / 3, 2, 3])
def test_resizing_a_mask_shifts_nothing(factor: float) -> None:
    """OpenCV's nearest takes pixel floor(i / factor), which moves everything by up to half a pixel."""
    _, labels = impulse(96, 132)
    labels = labels | labels.flip(-1) | labels.flip(-2) | labels.flip(-1).flip(-2)  # symmetric
    _, small = resize_short_side(labels[None].expand(3, -1, -1), labels, round(96 * factor))
    assert small is not None
    assert small.shape == (round(96 * factor), round(132 * factor))
    assert torch.equal(small, small.flip(-1))
    assert torch.equal(small, small.flip(-2))


@pytest.mark.parametrize(
    ("size", "short", "wanted"), [((30, 40), 15, (15, 20)), ((40, 30), 60, (80, 60)), ((1, 9), 2, (2, 18))]
)
def test_resize_short_side(size: tuple[int, int], short: int, wanted: tuple[int, int]) -> None:
    image, labels = torch.full((7, *size), 5.0), torch.full(size, 2, dtype=torch.uint8)
    out, out_labels = resize_short_side(image, labels, short)
    assert out.shape == (7, *wanted)
    assert out_labels is not None
    assert out_labels.shape == wanted
    torch.testing.assert_close(out, torch.full_like(out, 5.0))
    assert set(out_labels.unique().tolist()) == {2}
    assert resize_short_side(image, None, short)[1] is None


def test_resize_to_its_own_size_is_the_same_object() -> None:
    image, labels = impulse(30, 40)
    assert resize_short_side(image, labels, 30)[0] is image


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bands", [1, 3])
def test_to_tensor(bands: int) -> None:
    image = np.arange(6 * bands, dtype=np.uint8).reshape(2, 3, bands)
    image.setflags(write=False)
    tensor = to_tensor(image)
    assert tensor.shape == (bands, 2, 3)
    assert tensor.dtype == torch.uint8
    assert tensor[0, 1, 2] == image[1, 2, 0]
    deep = to_tensor(np.array([[[0], [65535], [13107]]], np.uint16))
    assert deep.dtype == torch.float32
    torch.testing.assert_close(deep, torch.tensor([[[0.0, 1.0, 0.2]]]))
    stored = to_tensor(np.array([[[-3.5]]], np.float32))
    assert stored.item() == -3.5
