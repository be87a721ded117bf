"""PBM, PGM, PPM and PFM, plain or packed: their own values are kept, whatever their largest value ("maxval") is."""

import re
from dataclasses import dataclass

import numpy as np

from perpixel.core.pixels import Array, Pixels
from perpixel.core.source import Header, Source

MAX_PLAIN = 2**24
"""Numbers written as text that are read; each takes many times what a packed one takes."""

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_START = re.compile(rb"P([1-6fF])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})")
_LARGEST = re.compile(_GAP + rb"(-?[\d.eE+-]{1,20})")
_COMMENT, _NO_NUMBER = re.compile(rb"#[^\r\n]*"), re.compile(rb"[^\d\s]")


@dataclass(frozen=True)
class _Head:
    kind: bytes
    height: int
    width: int
    largest: float
    start: int

    @property
    def samples(self) -> int:
        return 3 if self.kind in b"36F" else 1


def header(source: Source) -> Header:
    """Size, by the header alone."""
    head = _head(source)
    return Header(head.height, head.width)


def read(source: Source, as_mask: bool) -> Pixels:
    """(H, W) or (H, W, 3) uint8, uint16 where the largest value is above 255, or float32."""
    head = _head(source)
    shape = (head.height, head.width, head.samples)
    count = head.height * head.width * head.samples
    if head.kind in b"123" and count > MAX_PLAIN:
        raise source.fault(f"{count} numbers written as text; save it packed (P4, P5, P6) or as PNG")
    values = _numbers(source, head, count)
    if values.size < count:
        raise ValueError("the file ends before the picture does")
    values = values[:count].reshape(shape)[..., slice(None) if head.samples == 3 else 0]
    if head.kind in b"fF":
        return Pixels(values[::-1].astype(np.float32))
    if head.kind in b"14":
        return Pixels(values ^ 1, top=1)  # 1 is black
    top = int(head.largest)
    return Pixels(values.astype(np.uint8 if top < 256 else np.uint16), top=0 if top in (255, 65535) else top)


def _head(source: Source) -> _Head:
    data = source.read(2**16)
    start = _START.match(data)
    if start is None:
        raise ValueError("its header is broken")
    kind, width, height = start[1], int(start[2]), int(start[3])
    largest, at = 1.0, start.end()
    if kind not in b"14":
        found = _LARGEST.match(data, at)
        if found is None:
            raise ValueError("its header is broken")
        largest, at = float(found[1]), found.end()
        if kind not in b"fF" and not (0 < largest < 65536 and largest.is_integer()):
            raise ValueError(f"its largest value is {found[1].decode()}")
    head = _Head(kind, height, width, largest, at + 1)
    source.check(height, width, head.samples, 4 if kind in b"fF" else 2 if largest > 255 else 1)
    return head


def _numbers(source: Source, head: _Head, count: int) -> Array:
    """The numbers behind the header, at least `count` where the file holds them."""
    if head.kind in b"123":
        return _plain(source, head)
    with open(source.path, "rb") as file:
        file.seek(head.start)
        if head.kind == b"4":
            row = -(-head.width // 8)
            packed = np.frombuffer(file.read(head.height * row), np.uint8)
            return np.unpackbits(packed[: len(packed) // row * row].reshape(-1, row), axis=1)[:, : head.width].ravel()
        name = "u1" if head.largest < 256 else ">u2"
        if head.kind in b"fF":
            name = "<f4" if head.largest < 0 else ">f4"
        return np.fromfile(file, name, count)


def _plain(source: Source, head: _Head) -> Array:
    text = _COMMENT.sub(b"", source.read(16 * MAX_PLAIN)[head.start - 1 :])
    if head.kind == b"1":
        return np.frombuffer(text.translate(None, b" \t\r\n\v\f"), np.uint8) - ord("0")
    if _NO_NUMBER.search(text):
        raise ValueError("it holds something else than numbers")
    values = np.fromstring(text, np.int64, sep=" ")
    if values.size and values.max() > head.largest:
        raise ValueError(f"it holds a value above {head.largest:.0f}")
    return values
