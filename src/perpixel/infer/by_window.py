"""Rasters larger than memory: read by window, predicted tile by tile, written as one tiled GeoTIFF.

Labels are kept in a plain file beside the output while the work goes on, and a journal says which tiles are in it and of
what input. A process that was killed goes on from there. In the end the journal stays beside the output as its
certificate: if the input is edited, the tiles that see the edit are predicted again, and no others.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write, write_text
from perpixel.core.georeference import Georeference, read_georeference, tags_to_write
from perpixel.core.image import Array
from perpixel.core.windows import Windows, open_windows
from perpixel.infer.layout import Layout
from perpixel.infer.predictor import Predictor, Question
from perpixel.infer.tiles import Span

CHUNK = 512
"""Side of the tiles in the file that is written."""
Known = dict[str, tuple[str, float]]
"""Of a tile, by its number: the hash of what it sees, and the sum of its pixels' confidence."""


@dataclass(frozen=True)
class Work:
    """The files of a raster: `output`.tif, its certificate, and while it is at work the labels and the journal."""

    output: Path

    @property
    def certificate(self) -> Path:
        """What each tile saw, as JSON."""
        return self.output.with_name(f"{self.output.stem}.certificate.json")

    @property
    def labels(self) -> Path:
        """(H, W) bytes, row by row."""
        return self.output.with_name(f".{self.output.stem}.working")

    @property
    def journal(self) -> Path:
        """A line for what the work is, and one for each tile that is done."""
        return self.output.with_name(f".{self.output.stem}.journal")


def predict_raster(
    predictor: Predictor,
    image: Path,
    output: Path,
    tile: int | None = None,
    see: Callable[[int, int], None] | None = None,
) -> dict[str, Any] | None:
    """The label map of a raster, as a tiled GeoTIFF of the image's size and place. It goes on where a killed one stopped.

    Args:
        output: a .tif; its certificate lies beside it.
        tile: as `Predictor.predict` takes it.
        see: is told after each tile how many are done, and of how many.

    Returns:
        As `Prediction.summary`, with "predicted", how many tiles were; None where the image cannot be read by window or
        its tiles do not equal the whole.

    Raises:
        UserError: the image cannot be read, or does not fit the model.
    """
    with open_windows(image) as windows:
        if windows is None or not _fits(predictor, windows):
            return None
        question = Question(np.broadcast_to(np.uint8(0), windows.shape), str(image), tile=tile)
        cut = predictor.layout(question.size, question)
        if not cut.exact:
            return None
        work, head = Work(output), _head(predictor, cut, windows)
        known = _known(work, head, windows)
        predicted, seen = 0, dict(known)
        with open(work.labels, "r+b") as labels, open(work.journal, "a", encoding="utf-8") as journal:
            for number, (rows, columns) in enumerate(cut.tiles):
                array = windows.read(slice(rows.start, rows.stop), slice(columns.start, columns.stop))
                digest = hashlib.sha256(array.tobytes()).hexdigest()
                if known.get(str(number), ("",))[0] != digest:
                    seen[str(number)] = digest, _one(predictor, array, (rows, columns), labels, question)
                    _note(journal, labels, number, seen[str(number)])
                    predicted += 1
                if see is not None:
                    see(number + 1, len(cut.tiles))
    counts = _finish(work, question.size, read_georeference(image), predictor)
    write_text(work.certificate, json.dumps({**head, "tiles": seen}, indent=1) + "\n")
    work.labels.unlink()
    work.journal.unlink()
    confidence = sum(one[1] for one in seen.values()) / counts.sum()
    shares = {n: float(c) / counts.sum() for n, c in zip(predictor.taxonomy.names, counts, strict=False) if c}
    height, width = question.size
    said = {"height": height, "width": width, "share": dict(sorted(shares.items(), key=lambda item: -item[1]))}
    return {**said, "mean_confidence": float(confidence), "tiles": cut.said, "predicted": predicted}


def _fits(predictor: Predictor, windows: Windows) -> bool:
    """Whether a window can be prepared without the rest of the image."""
    steps = predictor.preprocessing
    same = steps.dtype in (None, windows.page.dtype.name)
    return same and steps.short_side is None and steps.scale == 1 and windows.page.photometric.name != "PALETTE"


def _head(predictor: Predictor, cut: Layout, windows: Windows) -> dict[str, Any]:
    """What must be the same for a tile's labels to hold."""
    model = hashlib.sha256(json.dumps([predictor.preprocessing.__repr__(), predictor.taxonomy.names]).encode())
    for name, tensor in predictor.model.state_dict().items():
        model.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    for extra in (predictor.logit_bias, predictor.sums):
        model.update(b"" if extra is None else extra.cpu().numpy().tobytes())
    spans = [[list(vars(span).values()) for span in pair] for pair in cut.tiles]
    places = hashlib.sha256(json.dumps(spans).encode()).hexdigest()
    first = cut.tiles[0][0]
    return {
        "model": model.hexdigest(),
        "image": list(windows.shape),
        "grid": list(cut.grid),
        "tile": first.stop - first.start,
        "cut": places,
        "device": predictor.device.type,
    }


def _known(work: Work, head: dict[str, Any], windows: Windows) -> Known:
    """The tiles whose labels are in the working file, which is made if it is not there."""
    size = windows.shape[0] * windows.shape[1]
    try:
        lines = work.journal.read_text(encoding="utf-8").splitlines()
        if json.loads(lines[0]) == head and work.labels.stat().st_size == size:
            return dict(_lines(lines[1:]))
    except (OSError, ValueError, IndexError):
        pass
    known: Known = {}
    work.output.parent.mkdir(parents=True, exist_ok=True)
    with open(work.labels, "wb") as labels:
        labels.truncate(size)
        try:
            old = json.loads(work.certificate.read_text(encoding="utf-8"))
            if {k: v for k, v in old.items() if k != "tiles"} == head and _copied(work.output, labels, windows.shape):
                known = {k: (str(v[0]), float(v[1])) for k, v in old["tiles"].items()}
        except (OSError, ValueError, UserError, KeyError):
            known = {}
    with open(work.journal, "w", encoding="utf-8") as journal:
        journal.write(json.dumps(head) + "\n" + "".join(json.dumps([k, *v]) + "\n" for k, v in known.items()))
    return known


def _lines(lines: list[str]) -> Iterator[tuple[str, tuple[str, float]]]:
    for line in lines:
        try:
            number, digest, confidence = json.loads(line)
        except ValueError:  # the last line of a killed process may be half of one
            continue
        yield str(number), (digest, confidence)


def _copied(output: Path, labels: Any, shape: tuple[int, int, int]) -> bool:
    """The labels of an earlier output, band by band."""
    with open_windows(output) as old:
        if old is None or old.shape[:2] != shape[:2]:
            return False
        for top in range(0, shape[0], CHUNK):
            labels.write(old.read(slice(top, min(top + CHUNK, shape[0])), slice(0, shape[1])).tobytes())
    return True


def _one(predictor: Predictor, array: Array, place: tuple[Span, Span], labels: Any, question: Question) -> float:
    """Predicts a tile and writes its labels; the sum of their confidence."""
    rows, columns = place
    values = predictor.ask(array, question.where)[0]
    inner = values[:, rows.first - rows.start : rows.last - rows.start]
    best, chosen = inner[..., columns.first - columns.start : columns.last - columns.start].max(0)
    for y, line in enumerate(chosen.byte().cpu().numpy(), start=rows.first):
        labels.seek(y * question.size[1] + columns.first)
        labels.write(line.tobytes())
    return best.double().sum().item()


def _note(journal: Any, labels: Any, number: int, found: tuple[str, float]) -> None:
    """The labels reach the disk before the line that says so."""
    labels.flush()
    os.fsync(labels.fileno())
    journal.write(json.dumps([str(number), *found]) + "\n")
    journal.flush()
    os.fsync(journal.fileno())


def _finish(work: Work, size: tuple[int, int], place: Georeference | None, predictor: Predictor) -> Array:
    """Writes the GeoTIFF from the working file; how many pixels each class has."""
    import tifffile

    counts = np.zeros(256, np.int64)

    def chunks() -> Iterator[Array]:
        with open(work.labels, "rb") as file:
            for top in range(0, size[0], CHUNK):
                rows = min(CHUNK, size[0] - top)
                band = np.frombuffer(file.read(rows * size[1]), np.uint8).reshape(rows, size[1])
                counts[:] += np.bincount(band.ravel(), minlength=256)
                for left in range(0, size[1], CHUNK):
                    chunk = np.zeros((CHUNK, CHUNK), np.uint8)
                    part = band[:, left : left + CHUNK]
                    chunk[: part.shape[0], : part.shape[1]] = part
                    yield chunk

    tags = [] if place is None else [(c, kind, n, value, True) for c, kind, n, value in tags_to_write(place)]
    with atomic_write(work.output) as aside:
        tifffile.imwrite(
            aside,
            chunks(),
            shape=size,
            dtype=np.uint8,
            bigtiff=size[0] * size[1] > 2**31,
            tile=(CHUNK, CHUNK),
            photometric="palette",
            colormap=predictor.taxonomy.palette.T.astype(np.uint16) * 257,
            compression="zlib",
            metadata=None,
            extratags=tags,
        )
    return counts
