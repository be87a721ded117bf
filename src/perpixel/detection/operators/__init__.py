"""What detectors compute with: boxes coded and decoded, anchors, pooling of regions, suppression.

Boxes are (x1, y1, x2, y2) in pixels of the image, and continuous: the pixel in row 0 and column 0 is 0, 0, 1, 1. Many
papers' code says instead which pixels are the first and the last, and adds 1 to every width.
Regions are `(R, 5)`: the number of the image in its batch, then the box.
RoI pooling, RoI align and NMS are torchvision's.
"""

from perpixel.detection.operators.anchors import cell_anchors, grid_anchors
from perpixel.detection.operators.coding import DELTA_SCALES, decode, encode, overlaps, shares_inside
from perpixel.detection.operators.deformable_ps_roi_pool import deformable_ps_roi_pool
from perpixel.detection.operators.ps_roi_pool import ps_roi_pool
from perpixel.detection.operators.soft_nms import soft_nms

__all__ = [
    "DELTA_SCALES",
    "cell_anchors",
    "decode",
    "deformable_ps_roi_pool",
    "encode",
    "grid_anchors",
    "overlaps",
    "ps_roi_pool",
    "shares_inside",
    "soft_nms",
]
