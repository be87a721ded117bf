"""PNG: the chunks that hold the picture and its orientation are read, all others (texts, profiles) are passed over.

Texts and profiles are compressed, so that a kilobyte of them may be a gigabyte; no decoder gets to see them.
"""

import io
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from perpixel.core.orientation import from_exif, from_xmp, upright
from perpixel.core.pillow import from_pillow, open_pillow
from perpixel.core.pixels import Array, Pixels
from perpixel.core.source import Header, Source

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_SPNG = (0, 2, 6)  # colour types of 8 bits that libspng gives as stored
_MAX_CHUNKS = 2**18
_MAX_TEXT, _MAX_TEXTS = 2**20, 8
_PIECE = 2**16


@dataclass
class _Chunks:
    """What was found: the IHDR, the chunks of the picture as they are in the file, its orientation, 0 unsaid, in so many texts, and
    how many frames an animation has."""

    ihdr: bytes = b""
    picture: list[bytes] = field(default_factory=list)
    exif: int = 0
    xmp: int = 0
    texts: int = 0
    frames: int = 1

    def header(self) -> Header:
        width, height = struct.unpack(">II", self.ihdr[:8])
        return Header(height, width, self.exif or self.xmp or 1)


def header(source: Source) -> Header:
    """Size and orientation, without decoding anything."""
    return _chunks(source, with_picture=False).header()


def read(source: Source, as_mask: bool) -> Pixels:
    """Every bit as stored; 2- and 4-bit grey keeps its own values, which Pillow would stretch to 255."""
    found = _chunks(source, with_picture=True)
    depth, colour = found.ihdr[8:10]
    whole = b"".join((_SIGNATURE, *found.picture, _chunk(b"IEND", b"")))
    orientation = found.header().orientation
    if (depth == 8 and colour in _SPNG) or (depth == 16 and colour != 0):
        array = _eight_bits(whole) if depth == 8 else _sixteen_bits(whole, found)
        alpha = "straight" if colour in (4, 6) else ""
        return Pixels(upright(array, orientation), alpha=alpha, more=found.frames - 1)
    with open_pillow(source, "png", whole) as image:
        pixels = from_pillow(image, as_mask)
    values, top = pixels.values, pixels.top
    if colour == 0 and depth in (2, 4):
        top = 2**depth - 1
        values = values // (255 // top)
    return Pixels(upright(values, orientation), pixels.palette, top, pixels.alpha, more=found.frames - 1)


def _chunks(source: Source, with_picture: bool) -> _Chunks:
    found, kept = _Chunks(), 0
    with open(source.path, "rb") as file:
        file.seek(len(_SIGNATURE))
        for _ in range(_MAX_CHUNKS):
            length, kind = struct.unpack(">I4s", file.read(8).ljust(8, b"\0"))
            if kind in (b"IEND", b"\0\0\0\0"):
                break
            if kind == b"IHDR" and not found.ihdr:
                found.picture = [_read_chunk(file, length, kind)]
                found.ihdr = found.picture[0][8:-4]
                _check(source, found.ihdr)
            elif kind in (b"PLTE", b"IDAT") and with_picture:
                kept += length
                if kept > 2 * _raw_bytes(found.ihdr) + 2**20:
                    raise source.fault("the PNG holds far more data than its size needs; save it again")
                found.picture.append(_read_chunk(file, length, kind))
            elif kind in (b"eXIf", b"iTXt", b"zTXt", b"tEXt") and length <= _MAX_TEXT:
                _note(found, kind, file.read(length + 4)[:length])
            elif kind == b"acTL" and length == 8:
                found.frames = max(1, int.from_bytes(file.read(12)[:4], "big"))
            else:
                file.seek(length + 4, io.SEEK_CUR)
        else:
            raise source.fault(f"the PNG has more than {_MAX_CHUNKS} chunks; save it again")
    if not found.ihdr or (with_picture and not any(c[4:8] == b"IDAT" for c in found.picture)):
        raise ValueError("the file ends before the picture")
    return found


def _read_chunk(file: BinaryIO, length: int, kind: bytes) -> bytes:
    """A chunk as it is in the file, its checksum compared."""
    data = file.read(length + 4)
    if len(data) < length + 4:
        raise ValueError(f"the file ends inside of its {kind.decode('latin-1')}")
    if zlib.crc32(data[:-4], zlib.crc32(kind)) != int.from_bytes(data[-4:], "big"):
        raise ValueError(f"the checksum of its {kind.decode('latin-1')} is wrong")
    return struct.pack(">I4s", length, kind) + data


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4s", len(data), kind) + data + zlib.crc32(kind + data).to_bytes(4, "big")


def _check(source: Source, ihdr: bytes) -> None:
    if len(ihdr) != 13 or ihdr[9] not in _SAMPLES:
        raise ValueError("its IHDR is broken")
    width, height = struct.unpack(">II", ihdr[:8])
    samples, wide = _SAMPLES[ihdr[9]], 2 if ihdr[8] == 16 else 1
    source.check(height, width, samples, wide)
    room = (2 if samples == 4 or wide == 2 else 3) * source.max_pixels  # bytes: alpha costs a copy, 16 bits a counting
    most = room // (samples * wide)
    if height * width > most:
        claim = f"{width}x{height} pixels of {samples} channels and {8 * wide} bits"
        raise source.fault(f"a PNG of {claim}, more than {most} pixels; save it as TIFF")


def _raw_bytes(ihdr: bytes) -> int:
    """How many bytes the picture is before compression: rows of pixels, each with the byte that names its filter."""
    if not ihdr:
        raise ValueError("it does not begin with its IHDR")
    width, height = struct.unpack(">II", ihdr[:8])
    row = 1 + -(-width * _SAMPLES[ihdr[9]] * ihdr[8] // 8)
    return int(height * row * (2 if ihdr[12] else 1))  # interlaced: up to 7 passes with rows of their own


def _note(found: _Chunks, kind: bytes, data: bytes) -> None:
    """The orientation in EXIF, in XMP, or in EXIF as ImageMagick writes it, in a text of hexadecimal digits."""
    keyword, _, text = data.partition(b"\0")
    if kind != b"eXIf" and keyword not in (b"XML:com.adobe.xmp", b"Raw profile type exif"):
        return
    found.texts += 1
    if found.texts > _MAX_TEXTS:
        return
    with suppress(ValueError, zlib.error):  # a broken text says nothing
        if kind == b"eXIf":
            found.exif = found.exif or from_exif(data)
        elif keyword == b"XML:com.adobe.xmp":
            found.xmp = found.xmp or from_xmp(_text(kind, text))
        else:
            digits = b"".join(_text(kind, text).split()[2:])
            found.exif = found.exif or from_exif(bytes.fromhex(digits.decode("latin-1")))


def _text(kind: bytes, text: bytes) -> bytes:
    """The words of a text chunk, the first megabyte of them."""
    if kind == b"tEXt":
        return text
    if kind == b"zTXt":
        return zlib.decompressobj().decompress(text[1:], _MAX_TEXT)
    packed, rest = text[:1], text[2:].split(b"\0", 2)[-1]
    return zlib.decompressobj().decompress(rest, _MAX_TEXT) if packed == b"\1" else rest


def _eight_bits(whole: bytes) -> Array:
    """Straight into an array, where Pillow would hold 4 bytes of each pixel besides."""
    import imagecodecs

    return imagecodecs.spng_decode(whole)  # type: ignore[no-any-return]


def _sixteen_bits(whole: bytes, found: _Chunks) -> Array:
    """Pillow would keep 8 of the 16 bits. libpng reads to the end of whatever was packed, so that is measured before."""
    import imagecodecs

    unpacked, raw = _unpacked_bytes(found), _raw_bytes(found.ihdr)
    if unpacked > raw or (unpacked < raw and not found.ihdr[12]):
        raise ValueError("its IDAT does not hold the picture")
    return imagecodecs.png_decode(whole)  # type: ignore[no-any-return]


def _unpacked_bytes(found: _Chunks) -> int:
    """How many bytes the IDAT unpacks to; counting ends soon after those of the picture."""
    stream, unpacked, most = zlib.decompressobj(), 0, _raw_bytes(found.ihdr)
    for chunk in found.picture:
        for at in range(8, len(chunk) - 4 if chunk[4:8] == b"IDAT" else 0, _PIECE):
            piece = chunk[at : min(at + _PIECE, len(chunk) - 4)]
            while piece and not stream.eof and unpacked <= most:
                unpacked += len(stream.decompress(piece, 2**20))
                piece = stream.unconsumed_tail
    return unpacked
