"""A detector that answers for one image at a time, in that image's own pixels. Segmentation does not import it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import nn

from perpixel.bundle import BundleInfo, Detector, Preprocessing, load_bundle
from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.detection import Detections, Objects, choose
from perpixel.detection.annotations import to_coco
from perpixel.detection.truth import ObjectRule
from perpixel.infer.images import ImageLike, as_array, display_image, read_with_notes
from perpixel.infer.prediction import notebook_png, save_picture
from perpixel.infer.predictor import pick_device
from perpixel.labels import Taxonomy

Colour = tuple[int, int, int]
SHOWN = 0.5
"""Boxes of a lower score are not drawn: average precision needs them, a picture does not."""

DRAWN = "_boxes.jpg"
"""What the name of a picture with boxes ends with."""


def load_detector(path_or_name: str | Path, device: str = "auto") -> "BoxPredictor":
    """A detector from a bundle or run folder.

    Args:
        path_or_name: such as "runs/mine" or "runs/mine/best".
        device: "cpu", "cuda", "mps", or "auto" for the best that is there.

    Raises:
        UserError: nothing there, its files are damaged, or it is no detector.
    """
    model, info = load_bundle(path_or_name)
    if info.detection is None:
        raise UserError(f"{path_or_name}: {info.network} segments and finds no boxes; perpixel.load loads it")
    return BoxPredictor(model, info.preprocessing, info.classes, info.detection, device, info)


@dataclass(frozen=True, repr=False)
class Boxes:
    """What a detector says of one image: `found` in the image's own pixels, the image (H, W, 3) uint8 for pictures, and a line for
    each thing of its file that was not taken as it is stored."""

    found: Detections
    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    image: Array
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Such as Boxes(48x64, cell 12, dust 1): those of score 0.5 and more."""
        objects = ", ".join(f"{name} {n}" for name, n in self.summary()["objects"].items()) or "nothing"
        return f"Boxes({self.size[0]}x{self.size[1]}, {objects})"

    def _repr_png_(self) -> bytes:
        """The picture, for a notebook."""
        return notebook_png(self.picture())

    @property
    def size(self) -> Size:
        return self.image.shape[0], self.image.shape[1]

    def picture(self, least_score: float = SHOWN) -> Image.Image:
        """The image with the boxes of at least this score drawn on it."""
        shown = self.found.scores >= least_score
        scores = self.found.scores[shown].tolist()
        boxes, classes = self.found.boxes[shown].tolist(), self.found.classes[shown].tolist()
        words = [f"{self.names[k]} {score:.2f}" for k, score in zip(classes, scores, strict=True)]
        return draw_boxes(self.image, boxes, [self.colours[k] for k in classes], words)

    def summary(self) -> dict[str, Any]:
        """Size, and how many objects of each class there are by boxes of score 0.5 and more."""
        sure = self.found.classes[self.found.scores >= SHOWN].tolist()
        counts = {name: sure.count(k) for k, name in enumerate(self.names) if k in sure}
        return {"height": self.size[0], "width": self.size[1], "objects": counts, "boxes": len(self.found)}

    def save(self, folder: str | Path, stem: str) -> dict[str, str]:
        """Writes `stem_boxes.jpg`, whole or not at all; the name written is returned."""
        folder, name = Path(folder), f"{stem}{DRAWN}"
        folder.mkdir(parents=True, exist_ok=True)
        save_picture(self.picture(), folder / name, quality=92)
        return {"picture": name}


class BoxPredictor:
    """A detector with everything that it needs to answer for an image file.

    Args:
        model: see `perpixel.detection`.
        preprocessing: how an image becomes its input.
        taxonomy: of the masks that it was trained on; its objects are some of these classes.
        detection: which classes, and which boxes it gives.
        device: "cpu", "cuda", "mps" or "auto".
        info: the bundle's description, if it came from one.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Preprocessing,
        taxonomy: Taxonomy,
        detection: Detector,
        device: str = "auto",
        info: BundleInfo | None = None,
    ) -> None:
        self.device = pick_device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.preprocessing, self.taxonomy, self.detection, self.info = preprocessing, taxonomy, detection, info
        self.names = detection.classes
        self.colours = tuple(taxonomy.colours[taxonomy.names.index(name)] for name in self.names)

    def __repr__(self) -> str:
        """Such as BoxPredictor(rfcn, 2 classes of objects (cell, dust), 3 channels, cpu)."""
        network, k = self.info.network if self.info else type(self.model).__name__, len(self.names)
        listed = ", ".join(self.names[:4]) + (", ..." if k > 4 else "")
        channels = self.preprocessing.channels
        return f"BoxPredictor({network}, {k} classes of objects ({listed}), {channels} channels, {self.device})"

    @property
    def rule(self) -> ObjectRule:
        """Which objects masks show, as in training."""
        d = self.detection
        return ObjectRule(d.classes, d.instances, d.least_pixels, d.least_side)

    def predict(self, image: ImageLike) -> Boxes:
        """The boxes of one image: a path, a PIL image, or (H, W), (H, W, C) uint8, uint16 or float32.

        Raises:
            UserError: the file cannot be read, or its channels do not fit the model.
        """
        takes = self.preprocessing
        if isinstance(image, str | Path):
            array, notes = read_with_notes(image, takes)
            found = self.find(array, str(image))
        else:
            array, notes = as_array(image, takes.stored, takes.mean_of_bands), []
            found = self.find(array)
        return Boxes(found, self.names, self.colours, display_image(array, takes.bands), tuple(notes))

    @torch.inference_mode()
    def find(self, image: Array, where: str = "image") -> Detections:
        """The boxes of an (H, W, C) array, on the CPU."""
        tensor = self.preprocessing(image, where).to(self.device).contiguous(memory_format=torch.channels_last)
        size, d = (tensor.shape[-2], tensor.shape[-1]), self.detection
        found = choose(self.model(tensor), size, d.least_score, d.iou, d.most)[0].to("cpu")
        return found.scaled(image.shape[0] / size[0], image.shape[1] / size[1])


def draw_boxes(
    image: Array, boxes: Sequence[Sequence[float]], colours: Sequence[Colour], words: Sequence[str] = ()
) -> Image.Image:
    """An image (H, W, 3) uint8 with boxes (x1, y1, x2, y2) drawn inside their borders, and words where a box has room."""
    picture = Image.fromarray(image).convert("RGB")
    draw = ImageDraw.Draw(picture)
    width = max(1, round(max(picture.size) / 400))
    for n, ((x1, y1, x2, y2), colour) in enumerate(zip(boxes, colours, strict=True)):
        draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=width)
        if words and draw.textlength(words[n]) < x2 - x1:
            draw.text((x1 + width + 1, y1 + width), words[n], fill=colour)
    return picture


def draw_truth(
    image: Array, objects: Objects, colours: Sequence[Colour], unclear: Colour = (160, 160, 160)
) -> Image.Image:
    """The true objects on an image (H, W, 3) uint8; difficult ones and crowds are grey."""
    clear = objects.clear.tolist()
    own = [colours[k] if c else unclear for k, c in zip(objects.classes.tolist(), clear, strict=True)]
    return draw_boxes(image, objects.boxes.tolist(), own)


def coco_file(found: Sequence[tuple[str, Boxes]], names: Sequence[str]) -> dict[str, Any]:
    """What was found in images of these file names, as a COCO file of instances whose annotations have scores."""
    images = [
        {"id": n, "file_name": name, "height": boxes.size[0], "width": boxes.size[1]}
        for n, (name, boxes) in enumerate(found, start=1)
    ]
    entries = [entry for n, (_, boxes) in enumerate(found, start=1) for entry in to_coco(boxes.found, n)]
    numbered = [
        {"id": i, **e, "area": e["bbox"][2] * e["bbox"][3], "iscrowd": 0} for i, e in enumerate(entries, start=1)
    ]
    categories = [{"id": k, "name": name} for k, name in enumerate(names, start=1)]
    return {"images": images, "annotations": numbered, "categories": categories}
