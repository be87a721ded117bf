"""Average precision by hand, against a plain loop, and against pycocotools called as its own examples do."""

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.ops import box_iou

from perpixel.detection.annotations import read_coco, to_coco
from perpixel.detection.average_precision import DetectionEvaluation, match_in_image, voc07, voc10
from perpixel.detection.objects import Detections, Objects


def found(boxes: list[list[float]], scores: list[float], classes: list[int] | None = None) -> Detections:
    labels = torch.tensor(classes if classes is not None else [0] * len(boxes), dtype=torch.int64)
    return Detections(torch.tensor(boxes).float().reshape(-1, 4), torch.tensor(scores).float(), labels)


def evaluated(
    *images: tuple[Objects, Detections], names: tuple[str, ...] = ("a",), most: int = 100
) -> DetectionEvaluation:
    evaluation = DetectionEvaluation(names, most)
    for truth, finds in images:
        evaluation.update(truth, finds, (200, 200))
    return evaluation


def noisy(objects: Objects, rng: np.random.Generator, num_classes: int) -> Detections:
    """Most objects found, some twice, moved a little; some that are not there; some of another class."""
    kept = objects.boxes[torch.from_numpy(rng.random(len(objects)) < 0.8)]
    labels = objects.classes[: len(kept)]
    again = kept[: len(kept) // 3]
    boxes = torch.cat([kept, again, torch.tensor([[5.0, 5, 90, 80], [1, 2, 40, 30]])])
    boxes = boxes + torch.from_numpy(rng.normal(0, 5, boxes.shape)).float()
    boxes[:, 2:] = torch.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    labels = torch.cat([labels, labels[: len(again)], torch.tensor([0, num_classes - 1])])
    return Detections(boxes, torch.from_numpy(rng.random(len(boxes))).float(), labels)


def plain_ap(images: list[tuple[Objects, Detections]], label: int, rule: str) -> float:
    """VOC's development kit in a loop: all finds of a class in one list, by score."""
    finds = sorted(
        (
            (-score, image, box)
            for image, (_, f) in enumerate(images)
            for box, score, own in zip(f.boxes, f.scores.tolist(), f.classes.tolist(), strict=True)
            if own == label
        ),
        key=lambda x: x[:2],
    )
    taken, hits, curve = set(), 0, []
    total = sum(int(((t.classes == label) & ~t.difficult).sum()) for t, _ in images)
    counted = 0
    for _, image, box in finds:
        truth = images[image][0]
        overlap = [
            float(box_iou(box[None], b[None])) if c == label else 0.0
            for b, c in zip(truth.boxes, truth.classes, strict=True)
        ]
        best = int(np.argmax(overlap)) if overlap else -1
        if best >= 0 and overlap[best] >= 0.5:
            if truth.difficult[best]:
                continue
            if (image, best) not in taken:
                taken.add((image, best))
                hits += 1
        counted += 1
        curve.append((hits / total, hits / counted))
    if rule == "voc07":
        return sum(max([p for r, p in curve if r >= t / 10 - 1e-9], default=0.0) for t in range(11)) / 11
    area, before = 0.0, 0.0
    for i, (r, _) in enumerate(curve):
        area += (r - before) * max(p for _, p in curve[i:])
        before = r
    return area


def random_images(seed: int, num_classes: int, count: int = 6) -> list[tuple[Objects, Detections]]:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        n = int(rng.integers(0, 9))
        low = rng.uniform(0, 120, (n, 2))
        boxes = torch.from_numpy(np.concatenate([low, low + rng.uniform(10, 80, (n, 2))], 1)).float()
        truth = Objects.of(boxes, rng.integers(0, num_classes, n).tolist(), (rng.random(n) < 0.2).tolist())
        images.append((truth, noisy(truth, rng, num_classes)))
    return images


@pytest.mark.parametrize("seed", range(4))
def test_voc_is_a_plain_loop(seed: int) -> None:
    images = random_images(seed, 2)
    results = evaluated(*images, names=("a", "b")).results()
    for rule in ("voc07", "voc10"):
        expected = [plain_ap(images, k, rule) for k in range(2)]
        assert results[rule]["per_class"] == pytest.approx(expected, abs=1e-9)
        assert results[rule]["mean"] == pytest.approx(sum(expected) / 2, abs=1e-9)
        assert min(expected) > 0.01


def test_curve_by_hand() -> None:
    """Finds: right, a second one for the same object, right, beside; two objects of three are found."""
    truth = Objects.of([[0, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99]], [0, 0, 0])
    finds = found([[0, 0, 10, 10], [1, 0, 10, 10], [50, 50, 60, 61], [20, 20, 30, 30]], [0.9, 0.8, 0.7, 0.6])
    evaluation = evaluated((truth, finds))
    recall, precision = evaluation.curve(0)
    assert recall.tolist() == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])
    results = evaluation.results()
    assert results["voc10"]["mean"] == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert results["voc07"]["mean"] == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)  # recalls 0-0.3, 0.4-0.6, none from 0.7
    assert results["coco"]["ap50"] == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)  # recalls 0-0.33, 0.34-0.66
    assert results["objects"] == [3]


def test_the_two_rules_of_voc() -> None:
    recall, precision = np.array([0.25, 0.5, 0.5, 0.75]), np.array([0.5, 1.0, 2 / 3, 0.75])
    assert voc10(recall, precision) == pytest.approx(0.5 * 1 + 0.25 * 0.75)
    assert voc07(recall, precision) == pytest.approx((6 * 1 + 2 * 0.75) / 11)
    assert voc07(np.zeros(0), np.zeros(0)) == voc10(np.zeros(0), np.zeros(0)) == 0.0


@pytest.mark.parametrize("seed", range(2))
def test_coco_is_pycocotools_from_files(tmp_path: Path, real_data: Path, seed: int) -> None:
    """The same truth and finds through COCO's own JSON files, crowds with it, in the way of pycocoDemo."""
    file = real_data / "formats/coco_instances/annotations/instances_train2017.json"
    data = json.loads(file.read_text())
    for entry in data["annotations"]:
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]  # theirs is the mask's
    (tmp_path / "truth.json").write_text(json.dumps(data))
    theirs, rng = read_coco(file), np.random.default_rng(seed)
    evaluation, entries = DetectionEvaluation(theirs.names), []
    sizes = {i["file_name"]: (i["height"], i["width"]) for i in data["images"]}
    for name, objects in theirs.objects.items():
        finds = noisy(objects, rng, len(theirs.names))
        evaluation.update(objects, finds, sizes[name])
        entries += to_coco(finds, theirs.image_ids[name], theirs.category_ids)
    (tmp_path / "finds.json").write_text(json.dumps(entries))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(tmp_path / "truth.json"))
        judge = COCOeval(truth, truth.loadRes(str(tmp_path / "finds.json")), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    ours = evaluation.results()["coco"]
    keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    assert [ours[k] for k in keys] == pytest.approx(judge.stats[:6].tolist(), abs=1e-9)
    assert ours["recall"] == pytest.approx(judge.stats[8], abs=1e-9)
    assert 0.1 < ours["ap50"] < 0.9


def test_difficult_and_crowd_neither_count_nor_harm() -> None:
    clear, hidden = [[0, 0, 40, 40]], [100, 100, 150, 150]
    finds = found([[0, 0, 40, 40], hidden, hidden], [0.5, 0.9, 0.8])
    for marks in ({"difficult": [False, True]}, {"crowd": [False, True]}):
        results = evaluated((Objects.of([*clear, hidden], [0, 0], **marks), finds)).results()
        assert (results["voc07"]["mean"], results["voc10"]["mean"]) == (1.0, 1.0)
        assert results["objects"] == [1]
        if "crowd" in marks:
            assert results["coco"]["ap"] == pytest.approx(1.0)
    once = found([[0, 0, 40, 40], hidden], [0.5, 0.9])
    results = evaluated((Objects.of([*clear, hidden], [0, 0], difficult=[False, True]), once)).results()
    assert results["coco"]["ap"] == pytest.approx(1.0)  # a second find in a difficult object is an error to pycocotools
    assert evaluated((Objects.of([*clear, hidden], [0, 0]), once)).results()["coco"]["ap"] == pytest.approx(1.0)
    unseen = evaluated((Objects.of([*clear, hidden], [0, 0], difficult=[False, True]), found(clear, [0.5])))
    assert unseen.results()["coco"]["ap"] == pytest.approx(1.0)
    missed = evaluated((Objects.of([*clear, hidden], [0, 0]), found(clear, [0.5]))).results()
    assert missed["coco"]["ap"] == pytest.approx(51 / 101)


def test_a_crowd_takes_what_lies_inside_of_it() -> None:
    truth = Objects.of([[0, 0, 100, 100]], [0], crowd=[True])
    assert match_in_image(np.array([[10, 10, 20, 20], [90, 90, 120, 120]], np.float32), truth, 0.5).tolist() == [-1, 0]


def test_sizes_go_by_the_box() -> None:
    truth = Objects.of([[0, 0, 30, 30], [100, 0, 150, 50], [0, 60, 120, 180]], [0, 0, 0])
    results = evaluated((truth, found([[0, 0, 30, 30], [0, 60, 120, 180]], [0.9, 0.8]))).results()["coco"]
    assert [results[f"ap_{s}"] for s in ("small", "medium", "large")] == pytest.approx([1.0, 0.0, 1.0])


def test_a_class_without_objects_does_not_count_and_nothing_at_all_is_none() -> None:
    box = [[0.0, 0, 40, 40]]
    results = evaluated((Objects.of(box, [1]), found(box * 2, [0.9, 0.8], [1, 0])), names=("a", "b")).results()
    assert results["voc10"] == {"mean": 1.0, "per_class": [None, 1.0]}
    assert results["coco"]["per_class"] == [None, pytest.approx(1.0)]
    assert results["convention"].startswith("mean over 1 of 2 classes; coco: IoU 0.50:0.95")
    nothing = evaluated((Objects.of([], []), found([], []))).results()
    assert (nothing["voc07"]["mean"], nothing["coco"]["ap"], nothing["objects"]) == (None, None, [0])
    crowd = evaluated((Objects.of(box, [0], crowd=[True]), found(box, [0.5]))).results()
    assert (crowd["voc10"]["mean"], crowd["coco"]["ap"]) == (None, None)
    json.dumps(nothing)
    missed = evaluated((Objects.of(box, [0]), found([], []))).results()
    assert (missed["voc07"]["mean"], missed["voc10"]["mean"], missed["coco"]["ap50"]) == (0.0, 0.0, 0.0)


def test_most_boxes_of_an_image() -> None:
    boxes = [[float(x), 0, float(x) + 10, 10] for x in range(0, 1600, 10)]
    truth, finds = Objects.of(boxes, [0] * 160), found(boxes, [0.5] * 160)
    assert evaluated((truth, finds), most=160).results()["coco"]["ap"] == pytest.approx(1.0)
    assert evaluated((truth, finds), most=80).results()["coco"]["recall"] == pytest.approx(0.5)
