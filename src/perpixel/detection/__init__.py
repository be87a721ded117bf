"""Detectors: networks that find objects and draw a box around each. Nothing in the segmentation path imports them.

A detector is a plain `torch.nn.Module`. It, its loss and the choice of its final boxes meet only in the dict that it
returns, of which each may be used without the others:

    detector = build("rfcn", num_classes=3, encoder="resnet18")
    output = detector(image)                      # (B, C, H, W) float, normalised, any H and W from 1 up
    loss = detection_loss("rfcn", detector)       # called with an output and the objects of each image
    found = choose(output, size=image.shape[-2:]) # the boxes, scores and classes of each image

`detector(image, proposals=None)` is `propose`, then `head`, and returns the keys of both:

    features       list of maps, B first; what they are is the network's own affair, only its `head` reads them
    rpn_logits     (B, N)          how much each anchor looks like an object; absent where nothing proposes
    rpn_deltas     (B, N, 4)       from anchors to boxes, see `encode`; absent likewise
    anchors        (N, 4)          the anchors of one image, the same for all; absent likewise
    proposals      (R, 5)          regions, those of image 0 first; they carry no gradient
    class_logits   (R, K + 1)      scores of the background, then of the K classes
    box_deltas     (R, K, 4)       from proposals to boxes, for each class, in `DELTA_SCALES`;
                   (R, 1, 4)       where all classes share them

`detector.propose(image)` returns all but the last two, with proposals of its own; `detector.head(features, rois)`
returns those for any regions, (R, 5). A loss wants other regions than the proposals, for it knows where the objects
are: it takes features and proposals out of an output, and calls `head` for those that it learns from. So training
needs no more than `loss(detector.propose(image), objects)`; with `detector(image)` it comes out the same, at the cost
of a head on every proposal. The keys never depend on whether the network trains.

Boxes are (x1, y1, x2, y2) in pixels of the image as it was given, continuous: the pixel in row 0 and column 0 is the
box 0, 0, 1, 1.
"""

from perpixel.detection.catalog import DETECTORS, build, detector_options
from perpixel.detection.choose import choose
from perpixel.detection.losses import DetectionLoss, detection_loss
from perpixel.detection.objects import Detections, Objects

__all__ = [
    "DETECTORS",
    "DetectionLoss",
    "Detections",
    "Objects",
    "build",
    "choose",
    "detection_loss",
    "detector_options",
]
