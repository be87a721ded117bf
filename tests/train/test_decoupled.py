"""Decoupled training: which masks are taken, what a sample is, that each stage trains its own part, and a whole run."""

import dataclasses
import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file

import perpixel
from perpixel.bundle import BundleInfo, read_info, save_bundle
from perpixel.bundle.preprocessing import Preprocessing
from perpixel.core.errors import UserError
from perpixel.models.decouplednet import DecoupledNet
from perpixel.train import decoupled, decoupled_samples
from perpixel.train.decoupled import Decoupled, train_decoupled
from perpixel.train.decoupled_samples import Strong, Weak

SMALL = {"width": 2, "window": 2, "batch_norm": True}
GREY = Preprocessing(3, (0.5,) * 3, (0.25,) * 3)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def squares(count: int, side: int = 40) -> Strong:
    """Grey noise with a red square (class 1), a blue one (class 2), or both, and their masks; the rest is background."""
    random, images, labels = rng(5), [], []
    for n in range(count):
        image = random.integers(90, 120, (3, side, side)).astype(np.uint8)
        mask = np.zeros((side, side), np.uint8)
        for c in (1, 2):
            if n % 3 in (c - 1, 2):
                top, left = random.integers(0, side - 12), random.integers(0, side // 2 - 12) + (c - 1) * side // 2
                box = slice(top, top + 12), slice(left, left + 12)
                image[:, *box] = np.array([230, 30, 30] if c == 1 else [30, 30, 230])[:, None, None]
                mask[box] = c
        images.append(torch.from_numpy(image))
        labels.append(torch.from_numpy(mask))
    return Strong(images, labels)


def presence(strong: Strong) -> torch.Tensor:
    return torch.stack([decoupled_samples.classes_of(x, 3, 0.0) for x in strong.labels])


def test_so_many_masks_a_class_and_none_twice() -> None:
    present = torch.tensor([[True, c] for c in [True] * 4 + [False] * 20])
    taken = decoupled_samples.choose(present, 3, rng())
    assert len(taken) == len(set(taken)) == 6
    assert sum(i < 4 for i in taken) >= 3  # the rare class has its own before the frequent one takes them
    assert len(decoupled_samples.choose(present, 100, rng())) == 24
    assert decoupled_samples.choose(present, 3, rng()) == taken != decoupled_samples.choose(present, 3, rng(1))


def test_subsets_are_half_single_classes_and_half_any() -> None:
    present = torch.tensor([True, False, True, True])
    drawn = [tuple(decoupled_samples.subset(present, random).tolist()) for random in [rng()] for _ in range(4000)]
    counts = {s: drawn.count(s) for s in set(drawn)}
    every = [s for s in itertools.product([False, True], repeat=4) if any(s) and not s[1]]
    assert set(counts) == set(every)
    for s, count in counts.items():
        share = 1 / 14 + (1 / 6 if sum(s) == 1 else 0)
        assert count / 4000 == pytest.approx(share, abs=0.03)


def test_a_sample_holds_the_whole_foreground_and_calls_the_rest_background() -> None:
    labels = torch.zeros(60, 80, dtype=torch.uint8)
    labels[20:30, 30:50], labels[0:4, 0:4], labels[40:50, 10:20] = 1, 2, 255
    image = labels[None].repeat(3, 1, 1)
    random, seen = rng(), set()
    for _ in range(60):
        _, target, chosen = decoupled_samples.one_mask(Strong([image], [labels]), 0, 3, (60, 80), random)
        assert set(target.unique().tolist()) <= {0, 1, 255}
        assert not chosen[2]
        area = int((target == 1).sum())
        if chosen.tolist() == [True, False, False]:
            assert area >= 190  # 200 pixels of the whole image; a window of less shows them larger
        if chosen[1]:
            assert (target == 1).any()
        seen.add((tuple(chosen.tolist()), area))
    assert len({c for c, _ in seen}) == 3
    assert len(seen) > 20  # windows differ


def test_windows_always_hold_their_spans() -> None:
    image = torch.zeros(3, 50, 50, dtype=torch.uint8)
    labels = torch.zeros(50, 50, dtype=torch.uint8)
    labels[0, 7], labels[49, 31] = 1, 1
    random = rng()
    for _ in range(50):
        _, found = decoupled_samples.cut(image, labels, [(0, 50), (7, 32)], (100, 100), random)
        assert (found[:2] == 1).any() and (found[-2:] == 1).any()


def test_image_and_mask_of_a_sample_move_together() -> None:
    labels = squares(3, 60).labels[2]
    image = (labels * 100)[None].repeat(3, 1, 1)
    for seed in range(20):
        found, mask = decoupled_samples.nearly_whole(image, labels, (90, 90), rng(seed))
        grown, shrunk = (s * F.max_pool2d(s * mask[None].float(), 7, 1, 3)[0] for s in (1, -1))
        inner = grown == shrunk  # beside an edge the image is resized bilinearly, the mask is not
        for c in (1, 2):
            lit = found[0].float()[(mask == c) & inner]
            assert lit.numel() > 20
            assert lit.min() > found[0].float()[(mask == c - 1) & inner].max()


def test_the_background_comes_first_and_the_classes_keep_their_order() -> None:
    labels = torch.tensor([[0, 1, 2, 3, 255]], dtype=torch.uint8)
    assert decoupled_samples.background_first(labels, 0).tolist() == labels.tolist()
    assert decoupled_samples.background_first(labels, 3).tolist() == [[1, 2, 3, 0, 255]]


@pytest.fixture
def model() -> DecoupledNet:
    torch.manual_seed(0)
    return DecoupledNet(3, width=2, window=2, batch_norm=True)


def changed(model: DecoupledNet, before: dict[str, torch.Tensor]) -> set[str]:
    """The parts of the network in which a parameter or a running average moved."""
    after = model.state_dict()
    return {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}


def copy(model: DecoupledNet) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_each_stage_trains_its_own_part(model: DecoupledNet) -> None:
    strong, how = squares(6), Decoupled(size=(40, 40), steps=(2, 2), batch_size=3)
    before = copy(model)
    decoupled.train_classifier(model, GREY, Weak(strong.images, presence(strong)), how, lambda _: None)
    assert changed(model, before) == {"classifier"}
    assert not any(p.requires_grad for p in model.classifier.parameters())
    before = copy(model)
    decoupled.train_segmentation(model, GREY, strong, how, lambda _: None)
    assert changed(model, before) == {"norm_pool5", "norm_back", "segmentation"}


def test_both_stages_learn_their_task() -> None:
    """Coloured squares: stage 1 tells the colours apart, stage 2 finds the squares of the colour that it is asked for."""
    torch.manual_seed(0)
    model = DecoupledNet(3, width=4, window=2, batch_norm=True)
    strong, lines = squares(24), []
    quick = (decoupled.OptimiserPart(lr=3e-3), decoupled.SGD.model_copy(update={"lr": 0.1}))
    how = Decoupled(size=(40, 40), steps=(60, 80), batch_size=8, optimisers=quick)
    decoupled.train_classifier(model, GREY, Weak(strong.images, presence(strong)), how, lines.append)
    first, last = (float(lines[i].rsplit(" ", 1)[1]) for i in (0, -1))
    assert last < 0.6 * first
    decoupled.train_segmentation(model, GREY, strong, how, lines.append)
    both = [i for i in range(24) if presence(strong)[i].all()]
    with torch.no_grad():
        seen = model.eval().classify(GREY.normalise(torch.stack([strong.images[i] for i in both])))
        asked = [model.segment(seen, F.one_hot(torch.tensor([c] * len(both)), 2).float()) for c in (0, 1)]
    labels = torch.stack([strong.labels[i] for i in both])
    red, blue = (x.softmax(1)[:, 1] for x in asked)
    assert red[labels == 1].mean() > red[labels == 2].mean() + 0.2
    assert blue[labels == 2].mean() > blue[labels == 1].mean() + 0.2


def test_without_any_class_in_the_masks_there_is_nothing_to_learn(model: DecoupledNet) -> None:
    empty = Strong([torch.zeros(3, 40, 40, dtype=torch.uint8)], [torch.zeros(40, 40, dtype=torch.uint8)])
    with pytest.raises(UserError, match="no mask has a pixel of a class beside the background"):
        decoupled.train_segmentation(model, GREY, empty, Decoupled(size=(40, 40)), lambda _: None)


def test_a_loss_that_is_no_number_says_so(model: DecoupledNet) -> None:
    with pytest.raises(UserError, match="the loss of masks became nan at step 1; lower its learning rate"):
        decoupled.descend(model, lambda: torch.tensor(math.nan), 3, decoupled.OptimiserPart(), "masks", lambda _: None)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    strong = squares(8)
    for i, (image, labels) in enumerate(zip(strong.images, strong.labels, strict=True)):
        split = "train" if i < 6 else "val"
        for kind, array in (("images", image.permute(1, 2, 0).numpy()), ("masks", labels.numpy())):
            path = tmp_path / "data" / kind / split / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(path)
    (tmp_path / "data/dataset.yaml").write_text("classes: [ground, red, blue]\n")
    return tmp_path / "data"


def test_a_whole_run_leaves_a_bundle_that_predicts(data: Path, tmp_path: Path) -> None:
    how = Decoupled(masks_per_class=1, size=(40, 40), steps=(2, 2), batch_size=2, options=SMALL)
    photo = tmp_path / "photo.png"
    Image.fromarray(np.full((50, 60, 3), 90, np.uint8)).save(photo)
    lines: list[str] = []
    done = train_decoupled(data, tmp_path / "run", how, {photo: ["blue"]}, lines.append)
    assert done.masks == 2
    assert "7 images with classes, 2 of them with masks" in lines[0]
    predictor = perpixel.load(tmp_path / "run")
    assert predictor.predict(photo).labels.shape == (50, 60)
    measured = perpixel.evaluate(predictor, perpixel.open_dataset(data).split("val"))
    assert measured.evaluation.confusion.mean_iou == pytest.approx(done.mean_iou, nan_ok=True)
    again = train_decoupled(data, tmp_path / "again", how, {photo: ["blue"]}, lines.append)
    read = [(r.bundle / "model.safetensors").read_bytes() for r in (done, again)]
    assert read[0] == read[1]


def test_a_classifier_serves_other_masks(data: Path, tmp_path: Path) -> None:
    how = Decoupled(masks_per_class=1, size=(40, 40), steps=(2, 2), batch_size=2, options=SMALL)
    train_decoupled(data, tmp_path / "one", how, say=lambda _: None)
    later = dataclasses.replace(how, masks_per_class=2, steps=(0, 2), init=str(tmp_path / "one/classifier"))
    done = train_decoupled(data, tmp_path / "two", later, say=lambda _: None)
    assert done.masks == 4
    first, second = (load_file(tmp_path / run / "best/model.safetensors") for run in ("one", "two"))
    same = {k for k in first if torch.equal(first[k], second[k])}
    assert all(k in same for k in first if k.startswith("classifier."))
    assert not all(k in same for k in first if k.startswith("segmentation."))
    assert not (tmp_path / "two/classifier").exists()


def test_weights_that_want_blue_first_get_it(data: Path, tmp_path: Path) -> None:
    how = Decoupled(masks_per_class=1, size=(40, 40), steps=(1, 1), batch_size=2, options=SMALL)
    model = perpixel.build("decouplednet", 3, **SMALL)
    info = BundleInfo(
        network="decouplednet",
        options=SMALL,
        taxonomy=perpixel.Taxonomy.of(["a", "b", "c"]).to_dict(),
        channels=3,
        mean=(0.4, 0.5, 0.6),
        std=(0.1, 0.1, 0.1),
        bgr=True,
    )
    save_bundle(tmp_path / "caffe", model, info)
    train_decoupled(data, tmp_path / "run", dataclasses.replace(how, init=str(tmp_path / "caffe")), say=lambda _: None)
    kept = read_info(tmp_path / "run/best").preprocessing
    assert (kept.mean, kept.std, kept.bgr) == (info.preprocessing.mean, info.preprocessing.std, True)


def test_a_class_that_does_not_exist_is_named(data: Path, tmp_path: Path) -> None:
    photo = data / "images/val/6.png"
    with pytest.raises(UserError, match=r'6\.png: there is no class "bleu"\. Did you mean "blue"\?'):
        train_decoupled(data, tmp_path / "run", Decoupled(size=(40, 40), options=SMALL), {photo: ["bleu"]}, print)
