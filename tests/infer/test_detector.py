"""A detector's answers are in the image's own pixels; pictures, figures of an image, COCO's form."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from perpixel.bundle import Detector, Preprocessing
from perpixel.core.errors import UserError
from perpixel.data.samples import Sample
from perpixel.detection import Detections, Objects
from perpixel.infer.detector import Boxes, BoxPredictor, coco_file, draw_truth
from perpixel.infer.evaluate_boxes import ImageBoxes, _scored, evaluate_boxes
from perpixel.labels import Taxonomy

NAMES = Taxonomy.of(["background", "cell", "dust"], colours=[(0, 0, 0), (255, 0, 0), (0, 255, 0)])
PART = Detector(classes=("dust", "cell"), least_pixels=1, least_side=1, least_score=0.1, iou=0.5, most=10)


class Quarter(nn.Module):
    """Finds one "cell", with score 0.8: the upper left quarter of the image that it is given."""

    def forward(self, image: Tensor) -> dict[str, Any]:
        height, width = image.shape[-2:]
        logits = torch.log(torch.tensor([[0.15, 0.05, 0.8]]))
        rois = torch.tensor([[0.0, 0, 0, width / 2, height / 2]])
        return {"features": [image], "proposals": rois, "class_logits": logits, "box_deltas": torch.zeros(1, 1, 4)}


def predictor(**preprocessing: Any) -> BoxPredictor:
    return BoxPredictor(Quarter(), Preprocessing(3, (0.5,) * 3, (0.2,) * 3, **preprocessing), NAMES, PART, "cpu")


@pytest.mark.parametrize("preprocessing", [{}, {"short_side": 24}, {"scale": 2.0}])
def test_boxes_are_in_the_images_own_pixels(preprocessing: dict[str, Any]) -> None:
    boxes = predictor(**preprocessing).predict(np.zeros((40, 60, 3), np.uint8))
    assert boxes.found.boxes.tolist() == [[0, 0, 30, 20]]
    assert boxes.found.classes.tolist() == [1]
    assert boxes.found.scores.tolist() == pytest.approx([0.8])
    assert boxes.summary() == {"height": 40, "width": 60, "objects": {"cell": 1}, "boxes": 1}


def test_a_picture_has_the_borders_in_the_classes_colours() -> None:
    picture = np.asarray(predictor().predict(np.zeros((40, 60, 3), np.uint8)).picture())
    red = (picture == (255, 0, 0)).all(axis=2)
    assert red[0, :30].all() and red[19, :30].all() and red[:20, 0].all() and red[:20, 29].all()
    assert not red[20:].any() and not red[:, 30:].any()
    hidden = predictor().predict(np.zeros((40, 60, 3), np.uint8)).picture(least_score=0.9)
    assert not np.asarray(hidden).any()


def test_truth_is_drawn_with_the_unclear_in_grey() -> None:
    objects = Objects.of([[0, 0, 5, 5], [10, 0, 16, 5]], [1, 0], difficult=[False, True])
    picture = np.asarray(draw_truth(np.zeros((8, 20, 3), np.uint8), objects, [(9, 9, 9), (255, 0, 0)]))
    assert picture[0, 0].tolist() == [255, 0, 0] and picture[0, 12].tolist() == [160, 160, 160]


def test_an_images_own_figures() -> None:
    sample = Sample("a", Path("a"), None)
    truth = Objects.of(
        [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10], [60, 0, 90, 10]], [0, 0, 1, 0], crowd=[False] * 3 + [True]
    )
    found = Detections(
        torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [40, 0, 50, 10], [20, 0, 30, 10], [62, 0, 70, 10]]),
        torch.tensor([0.9, 0.8, 0.7, 0.4, 0.6]),
        torch.tensor([0, 0, 1, 0, 0]),
    )
    one = _scored(sample, truth, found)  # a second time, and one of score 0.4 that is not shown
    assert (one.right, one.wrong, one.missed) == (2, 1, 1)
    assert one.f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert np.isnan(ImageBoxes(sample, 0, 0, 0).f1)


def test_cocos_form() -> None:
    found = Detections(torch.tensor([[1.0, 2, 4, 6]]), torch.tensor([0.5]), torch.tensor([1]))
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    image = np.zeros((7, 9, 3), np.uint8)
    boxes = [Boxes(f, ("dust", "cell"), ((0, 0, 0),) * 2, image) for f in (nothing, found)]
    data = coco_file([("a.png", boxes[0]), ("b.png", boxes[1])], ("dust", "cell"))
    assert data["images"][1] == {"id": 2, "file_name": "b.png", "height": 7, "width": 9}
    assert data["categories"] == [{"id": 1, "name": "dust"}, {"id": 2, "name": "cell"}]
    entry = {
        "id": 1,
        "image_id": 2,
        "category_id": 2,
        "bbox": [1.0, 2.0, 3.0, 4.0],
        "score": 0.5,
        "area": 12.0,
        "iscrowd": 0,
    }
    assert data["annotations"] == [entry]


def test_data_needs_the_classes_alone_that_are_objects() -> None:
    with pytest.raises(UserError, match="the data has no class dust"):
        evaluate_boxes(predictor(), [], Taxonomy.of(["cell", "ground"]))
    assert evaluate_boxes(predictor(), [], Taxonomy.of(["ground", "cell", "dust", "other"])).images == ()
