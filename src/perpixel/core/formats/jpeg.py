"""JPEG: its segments are walked before it is decoded, for a few kilobytes of scans can keep a decoder busy for minutes."""

import re
import struct
from dataclasses import dataclass

from perpixel.core.orientation import from_exif, from_xmp, upright
from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

MAX_SCANS = 100
"""A progressive JPEG has about 10 scans; decoders work through the whole picture once for each."""

MAX_SCANNED = 2**32
"""So many pixels times scans: 16 scans of the largest picture allowed."""

_MAX_SEGMENTS = 2**16
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 without DHT, JPG and DAC
_AFTER_SCAN = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")  # not 0xFF00, a byte of data, nor a restart
_SOI, _EOI, _SOS, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1


@dataclass(frozen=True)
class Frame:
    """What the segments of a JPEG say; end is where its EOI ends, coefficients how many numbers its blocks hold."""

    height: int
    width: int
    channels: int
    bits: int
    coefficients: int
    scans: int
    end: int
    orientation: int

    @property
    def at_once(self) -> bool:
        """Whether the decoder needs no more than a few rows: one scan holds all."""
        return self.scans <= 1


def header(source: Source) -> Header:
    """Size and orientation, without decoding anything."""
    frame = walk(source.read(_longest(source)))
    source.check(frame.height, frame.width, min(3, frame.channels))
    return Header(frame.height, frame.width, frame.orientation)


def read(source: Source, as_mask: bool) -> Pixels:
    """8-bit grey or RGB; CMYK becomes RGB."""
    import imagecodecs

    data = source.read(_longest(source))
    frame = walk(data)
    source.check(frame.height, frame.width, min(3, frame.channels))
    check_work(source, frame)
    if frame.bits != 8:
        raise source.fault(f"a JPEG of {frame.bits} bits cannot be read; save it as 16-bit PNG")
    if frame.channels in (1, 3):
        return Pixels(upright(imagecodecs.jpeg8_decode(data[: frame.end]), frame.orientation))
    with open_pillow(source, "jpeg", data[: frame.end]) as image:
        pixels = from_pillow(image, as_mask)
    return Pixels(upright(pixels.values, frame.orientation), alpha=pixels.alpha)


def check_work(source: Source, frame: Frame) -> None:
    """Refuses scans that would keep the decoder busy, and coefficients that would not fit into memory.

    Raises:
        UserError: more scans than an encoder makes.
    """
    if frame.scans > MAX_SCANS or frame.scans * frame.height * frame.width > MAX_SCANNED:
        size = f"{frame.width}x{frame.height}"
        raise source.fault(f"{frame.scans} scans of {size} pixels, more than a JPEG needs; save it again as PNG")
    if not frame.at_once and 2 * frame.coefficients > 3 * source.max_pixels:
        raise source.fault(f"a progressive JPEG of {frame.width}x{frame.height} pixels; save it again as baseline JPEG")


def walk(data: bytes, whole: bool = True) -> Frame:
    """What the segments say, from SOI to EOI. Raises ValueError where there is no picture, or (`whole`) no EOI."""
    sizes: tuple[int, ...] = ()
    at, scans, exif, xmp, coefficients = 0, 0, 0, 0, 0
    for _ in range(_MAX_SEGMENTS):
        found = _AFTER_SCAN.search(data, at)
        if found is None and not whole:
            break
        if found is None:
            raise ValueError("the file ends before the picture does")
        marker, at = data[found.end() - 1], found.end()
        if marker == _EOI:
            break
        if marker == _SOI:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if marker in _FRAMES and not sizes:
            sizes = struct.unpack(">BHHB", data[at + 2 : at + 8])
            coefficients = _coefficients(sizes[1], sizes[2], data[at + 8 : at + length])
        elif marker == _SOS:
            scans += 1
        elif marker == _APP1:
            part = data[at + 2 : at + length]
            exif = exif or (from_exif(part) if part[:6] == b"Exif\0\0" else 0)
            xmp = xmp or (from_xmp(part) if part[:5] == b"http:" else 0)
        at += max(2, length)
    else:
        raise ValueError(f"it has more than {_MAX_SEGMENTS} segments")
    if not sizes or not scans:
        raise ValueError("there is no picture in it")
    bits, height, width, channels = sizes
    return Frame(height, width, channels, bits, coefficients, scans, at, exif or xmp or 1)


def _coefficients(height: int, width: int, components: bytes) -> int:
    """Samples of all components, each of its share of the size by its sampling factors."""
    factors = [(b >> 4, b & 15) for b in components[1::3]]
    most = max((h * v for h, v in factors), default=1) or 1
    return sum(height * width * h * v for h, v in factors) // most


def _longest(source: Source) -> int:
    """So many bytes are read at most; behind the picture there may be a film."""
    return 3 * source.max_pixels
