"""WebP: a still picture is decoded straight into an array; an animation's first frame by Pillow, which needs far more."""

import struct
from collections.abc import Iterator

from perpixel.core.orientation import from_exif, from_xmp, upright
from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Pixels
from perpixel.core.source import Header, Source

_MAX_CHUNKS = 2**12
_MAX_ANIMATED = 2**25  # pixels; Pillow holds five such pictures at once
_MAX_ALPHA = 2**27  # pixels; with and without alpha, the picture is in memory twice


def header(source: Source) -> Header:
    """Size and orientation, without decoding anything."""
    return _header(source, source.read(3 * source.max_pixels))


def read(source: Source, as_mask: bool) -> Pixels:
    """8-bit RGB, or RGB with alpha."""
    import imagecodecs

    data = source.read(3 * source.max_pixels)
    head = _header(source, data)
    if any(kind == b"ANIM" for kind, _ in _chunks(data)):
        if head.height * head.width > _MAX_ANIMATED:
            raise source.fault(f"an animated WebP of {head.width}x{head.height} pixels; save its first picture as PNG")
        with open_pillow(source, "webp", data) as image:
            pixels = from_pillow(image, as_mask)
        more = sum(kind == b"ANMF" for kind, _ in _chunks(data)) - 1
        return Pixels(upright(pixels.values, head.orientation), alpha=pixels.alpha, more=max(more, 0))
    if _has_alpha(data) and head.height * head.width > _MAX_ALPHA:
        raise source.fault(f"a WebP of {head.width}x{head.height} pixels with alpha; save it without")
    array = upright(imagecodecs.webp_decode(data), head.orientation)
    return Pixels(array, alpha="straight" if array.shape[-1] == 4 else "")


def frame_size(data: bytes) -> tuple[int, int]:
    """(height, width) by the header of the whole and of every picture in it, the larger ones; (0, 0) if there is none."""
    sizes = [_size(kind, part) for kind, part in _chunks(data)]
    return max((h for h, _ in sizes), default=0), max((w for _, w in sizes), default=0)


def _header(source: Source, data: bytes) -> Header:
    height, width = frame_size(data)
    if not height:
        raise ValueError("there is no picture in it")
    source.check(height, width, 3)
    parts = dict(_chunks(data))
    exif, xmp = from_exif(parts.get(b"EXIF", b"")), from_xmp(parts.get(b"XMP ", b""))
    return Header(height, width, exif or xmp or 1)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, bytes) of each chunk; of a picture the first 64 bytes."""
    at = 12
    for _ in range(_MAX_CHUNKS):
        if at + 8 > len(data):
            return
        kind, length = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + (min(length, 64) if kind in (b"VP8 ", b"VP8L", b"ANMF") else length)]
        at += 8 + length + length % 2


def _has_alpha(data: bytes) -> bool:
    """Whether the decoder makes four channels of it."""
    flags = {b"VP8X": (0, 0x10), b"VP8L": (4, 0x10)}  # a byte of the chunk, a bit of that
    found = ((part, *flags[kind]) for kind, part in _chunks(data) if kind in flags)
    return any(len(part) > byte and bool(part[byte] & bit) for part, byte, bit in found)


def _size(kind: bytes, part: bytes) -> tuple[int, int]:
    if kind == b"VP8X" and len(part) >= 10:
        return int.from_bytes(part[7:10], "little") + 1, int.from_bytes(part[4:7], "little") + 1
    if kind == b"VP8 " and len(part) >= 10:
        width, height = struct.unpack_from("<HH", part, 6)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L" and len(part) >= 5:
        bits = int.from_bytes(part[1:5], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return 0, 0
