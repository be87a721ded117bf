"""Boxes move with their image.

A box that is turned becomes the smallest upright box around the turned one, which is larger than the object in it may be:
where masks of instances are at hand, boxes drawn anew from the moved mask (boxes.py) are tighter.
"""

import math

import numpy as np
import torch
from torch import Tensor

from perpixel.core import Size
from perpixel.data.transforms import Augmentation, View, apply_view, draw_view
from perpixel.detection.objects import Objects


def augment_objects(
    image: Tensor, labels: Tensor, objects: Objects, how: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Objects]:
    """One random view of a sample: image and labels as `perpixel.data.transforms.augment` has them, and its objects.

    Of an object that the view shows in part the box ends at the view's border; where it shows less than a quarter of it,
    the object is difficult, and one that it does not show is gone. Without labels give zeros, (H, W) uint8.
    """
    view = draw_view(labels, how, rng)
    image, labels = apply_view(image, labels, view)
    return image, labels, move_objects(objects, view)


def move_objects(objects: Objects, view: View) -> Objects:
    """The objects of a source on the view of it, in the order in which `View` says things are done."""
    top, left, height, width = view.box
    scale = objects.boxes.new_tensor([view.size[1] / width, view.size[0] / height] * 2)
    place = objects.boxes.new_tensor([view.place[1], view.place[0]] * 2)
    boxes = (objects.boxes - objects.boxes.new_tensor([left, top] * 2)) * scale + place
    objects = with_boxes(objects, boxes).inside(view.canvas)
    boxes = objects.boxes
    if view.flip:
        boxes = torch.stack([view.canvas[1] - boxes[:, 2], boxes[:, 1], view.canvas[1] - boxes[:, 0], boxes[:, 3]], 1)
    if view.flip_vertical:
        boxes = torch.stack([boxes[:, 0], view.canvas[0] - boxes[:, 3], boxes[:, 2], view.canvas[0] - boxes[:, 1]], 1)
    if view.angle:
        objects = with_boxes(objects, turn(boxes, view.angle, view.canvas)).inside(view.canvas)
        boxes = objects.boxes
    if view.displacement is not None:
        objects = with_boxes(objects, displace(boxes, view.displacement[0])).inside(view.canvas)
        boxes = objects.boxes
    return with_boxes(objects, boxes)


def with_boxes(objects: Objects, boxes: Tensor) -> Objects:
    return Objects(boxes, objects.classes, objects.difficult, objects.crowd)


def turn(boxes: Tensor, angle: float, size: Size) -> Tensor:
    """`(N, 4)` boxes, turned counterclockwise by degrees around the middle of an image (H, W), and made upright again."""
    middle = boxes.new_tensor([size[1] / 2, size[0] / 2])
    corners = boxes[:, [[0, 1], [2, 1], [0, 3], [2, 3]]] - middle  # N,4,2
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    turned = corners @ boxes.new_tensor([[cos, -sin], [sin, cos]]) + middle  # rows count downwards
    return torch.cat([turned.amin(dim=1), turned.amax(dim=1)], dim=1)


def displace(boxes: Tensor, displacement: Tensor) -> Tensor:
    """`(N, 4)` boxes under an elastic deformation, (H, W, 2) columns and rows from a pixel to where it is read: the
    smallest boxes around the pixels that are read inside of them. One that no pixel is read in has no size."""
    height, width = displacement.shape[:2]
    x = torch.arange(width) + 0.5 + displacement[..., 0]
    y = torch.arange(height)[:, None] + 0.5 + displacement[..., 1]
    moved = torch.zeros_like(boxes)
    for n, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        inside = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
        if len(rows):
            moved[n] = boxes.new_tensor([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return moved
