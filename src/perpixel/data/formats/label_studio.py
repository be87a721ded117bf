"""Label Studio's JSON export: a list of tasks, each with a picture and annotations.

Rule of pixels: brush strokes by their runs (RGBA in Label Studio's own bit stream; what is at least half opaque counts), polygons,
rectangles and ellipses by corners in percent of the picture; polygons as pycocotools fills them, which is what its COCO export is
read with. Regions are drawn in the file's order, a later one over an earlier one. Of several annotations of one task the one
marked as ground truth counts, else the first that was not skipped; the others are counted. Pixels of no region are "background".
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core import Size
from perpixel.core.errors import UserError
from perpixel.core.image import Array
from perpixel.data.formats.annotations import Annotations, Drawing
from perpixel.data.formats.coco import polygons
from perpixel.data.formats.fields import need, points, size_of, whole
from perpixel.data.formats.inline import runs_of
from perpixel.data.formats.shapes import Ellipse, Shape
from perpixel.data.formats.turned import turned_box

KINDS = {"brushlabels", "polygonlabels", "rectanglelabels", "ellipselabels"}
OPAQUE = 128


def is_label_studio(data: Any) -> bool:
    """Whether a JSON's contents are an export of tasks."""
    first = data[0] if isinstance(data, list) and data else None
    return isinstance(first, Mapping) and isinstance(first.get("data"), Mapping) and "annotations" in first


def read(files: Mapping[Path, Any], root: Path) -> Annotations:
    """What exports (path: contents) say."""
    drawings, others, skipped = list[Drawing](), 0, 0
    for file, data in files.items():
        for i, task in enumerate(data):
            where = f"{file}: task {i}"
            given = [a for a in need(task, "annotations", where, list) if not _cancelled(a, where)]
            if not given:
                skipped += 1
                continue
            others += len(given) - 1
            chosen = next((a for a in given if a.get("ground_truth") is True), given[0])
            drawings.append(_drawing(file, task, need(chosen, "result", where, list), where))
    notes = [f"{skipped} tasks without an annotation are not used"] if skipped else []
    notes += [f"{others} further annotations of a task that has one already are not used"] if others else []
    return Annotations(drawings, notes=tuple(notes))


def _cancelled(annotation: Any, where: str) -> bool:
    if not isinstance(annotation, Mapping):
        raise UserError(f"{where}: an annotation must be an object, got {type(annotation).__name__}")
    return annotation.get("was_cancelled") is True


def _drawing(file: Path, task: Mapping[str, Any], result: Sequence[Any], where: str) -> Drawing:
    values = need(task, "data", where, Mapping)
    image = next((v for k, v in values.items() if k == "image" and isinstance(v, str)), None)
    image = image or next((v for v in values.values() if isinstance(v, str) and "." in v.rsplit("/", 1)[-1]), None)
    if image is None:
        raise UserError(f'{where}: "data" names no picture; it has {", ".join(map(str, list(values)[:8]))}')
    shapes, size = list[tuple[str, Shape]](), (0, 0)
    for j, entry in enumerate(result):
        place = f"{where}, region {j}"
        if need(entry, "type", place, str) not in KINDS:
            continue
        size = size_of(entry.get("original_height"), entry.get("original_width"), place)
        value = need(entry, "value", place, Mapping)
        names = need(value, entry["type"], place, list)
        if len(names) != 1 or not isinstance(names[0], str) or not names[0].strip():
            raise UserError(f"{place}: expected one class, got {str(names)[:60]}")
        shapes.append((names[0], _shape(entry["type"], value, size, place)))
    return Drawing(image, file, size, tuple(shapes))


def _shape(kind: str, value: Mapping[str, Any], size: Size, where: str) -> Shape:
    if kind == "brushlabels":
        return runs_of(_brush(whole(need(value, "rle", where, list), where, 255), size, where))
    sides = np.array(size[::-1]) / 100
    if kind == "polygonlabels":
        given = points(need(value, "points", where, list), (100, 100), where, 3)
        return polygons([(np.frombuffer(given).reshape(-1, 2) * sides).reshape(-1).tolist()], size, where)
    first, second = ("width", "height") if kind == "rectanglelabels" else ("radiusX", "radiusY")
    keys = ("x", "y", first, second)
    x, y, a, b = (float(need(value, k, where, (int, float))) * s for k, s in zip(keys, [*sides, *sides], strict=True))
    points([x, y, x + a, y + b], size, where)
    turn = float(value.get("rotation") or 0)
    if kind == "ellipselabels":
        return Ellipse(x, y, a, b, turn)
    return polygons([turned_box((x, y, x + a, y + b), turn, (x, y))], size, where)


def _brush(data: Sequence[int], size: Size, where: str) -> Array:
    """The mask (H, W) bool in Label Studio's bit stream: 32 bits for the number of values, 5 for the bits of a value less 1, four
    times 4 for the bits of a length less 1; then blocks: 1 bit whether one value is repeated, 2 bits for which length, the length
    less 1, the value or values."""
    bits = _Bits(bytes(data), where)
    count, word, lengths = bits.take(32), bits.take(5) + 1, [bits.take(4) + 1 for _ in range(4)]
    if count != 4 * size[0] * size[1]:
        raise UserError(
            f"{where}: the brush has {count:,} values, where {size[1]}x{size[0]} pixels have {4 * size[0] * size[1]:,}"
        )
    values, at = np.zeros(count, np.uint8), 0
    while at < count:
        repeated = bits.take(1)
        end = at + 1 + bits.take(lengths[bits.take(2)])
        if end > count:
            raise UserError(f"{where}: the brush's runs are longer than the picture")
        values[at:end] = bits.take(word) & 255 if repeated else bits.many(end - at, word)
        at = end
    return values.reshape(*size, 4)[..., 3] >= OPAQUE


class _Bits:
    """Numbers out of a stream of bits, the highest first."""

    def __init__(self, data: bytes, where: str) -> None:
        self.data, self.where, self.at = data, where, 0

    def take(self, n: int) -> int:
        """The number in the next n bits."""
        part = self._bytes(n)
        number = int.from_bytes(part, "big") >> (-(self.at + n) % 8) & ((1 << n) - 1)
        self.at += n
        return number

    def many(self, count: int, n: int) -> Array:
        """The next `count` numbers of n bits each, modulo 256."""
        start = self.at % 8
        flat = np.unpackbits(np.frombuffer(self._bytes(count * n), np.uint8))[start : start + count * n]
        self.at += count * n
        low = flat.reshape(count, n)[:, -8:]
        return (low @ (1 << np.arange(low.shape[1])[::-1])).astype(np.uint8)

    def _bytes(self, n: int) -> bytes:
        if self.at + n > 8 * len(self.data):
            raise UserError(f"{self.where}: the brush's runs are cut short")
        return self.data[self.at // 8 : (self.at + n + 7) // 8]
