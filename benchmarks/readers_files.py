"""Hostile files for readers.py, of every format but TIFF: they claim much and hold little."""

import io
import struct
import zlib
from collections.abc import Callable

import imagecodecs
import numpy as np
from PIL import Image, features

LARGE = 16000
MAKERS: dict[str, Callable[[], bytes]] = {}


def zeros(length: int, level: int = 9) -> bytes:
    """So many zero bytes, deflated."""
    packer, block = zlib.compressobj(level), bytes(2**20)
    parts = [packer.compress(block) for _ in range(length // len(block))]
    return b"".join((*parts, packer.compress(bytes(length % len(block))), packer.flush()))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: int, depth: int, colour: int, idat: bytes, extra: bytes = b"", interlaced: int = 0) -> bytes:
    ihdr = struct.pack(">IIBBBBB", size, size, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + extra + chunk(b"IDAT", idat) + chunk(b"IEND", b"")


def rows(size: int, bits: int) -> int:
    return size * (1 + -(-size * bits // 8))


def filtered(size: int, channels: int, kind: int) -> bytes:
    """Black rows that each name the same filter."""
    return zlib.compress((bytes([kind]) + bytes(size * channels)) * size, 9)


SMALL = zlib.compress(bytes(rows(16, 24)))
MAKERS |= {
    "flat.png": lambda: png(LARGE, 8, 2, zeros(rows(LARGE, 24))),
    "paeth.png": lambda: png(LARGE, 8, 2, filtered(LARGE, 3, 4)),
    "rgba.png": lambda: png(11500, 8, 6, filtered(11500, 4, 4) + bytes(2**23)),
    "rgba-large.png": lambda: png(LARGE, 8, 6, filtered(LARGE, 4, 4) + bytes(2**23)),
    "deep-large.png": lambda: png(LARGE, 16, 2, filtered(LARGE, 6, 4) + bytes(2**24)),
    "grey-alpha.png": lambda: png(LARGE, 8, 4, filtered(LARGE, 2, 4)),
    "palette.png": lambda: png(LARGE, 8, 3, filtered(LARGE, 1, 0), chunk(b"PLTE", bytes(range(256)) * 3)),
    "grey-deep.png": lambda: png(LARGE, 16, 0, filtered(LARGE, 2, 4)),
    "one-bit.png": lambda: png(LARGE, 1, 0, zeros(rows(LARGE, 1))),
    "interlaced.png": lambda: png(LARGE, 8, 2, zeros(rows(LARGE, 24) + LARGE)),
    "sixteen-bits.png": lambda: png(9400, 16, 2, zeros(rows(9400, 48))),
    "claims.png": lambda: png(70000, 8, 2, SMALL),
    "excess.png": lambda: png(16, 8, 2, zeros(2**30)),
    "excess-fits.png": lambda: png(1300, 8, 2, zeros(2**32 + 2**30)),
    "excess-sixteen-bits.png": lambda: png(920, 16, 2, zeros(2**32 + 2**30)),
    "text.png": lambda: png(16, 8, 2, SMALL, chunk(b"zTXt", b"c\0\0" + zeros(2**32))),
    "profile.png": lambda: png(16, 8, 2, SMALL, chunk(b"iCCP", b"c\0\0" + zeros(2**32))),
    "texts.png": lambda: png(16, 8, 2, SMALL, chunk(b"zTXt", b"XML:com.adobe.xmp\0\0" + zeros(2**20)) * 5000),
    "chunks.png": lambda: png(16, 8, 2, SMALL, chunk(b"tIME", b"") * 1_000_000),
    "idats.png": lambda: png(16, 8, 2, SMALL[:-4], chunk(b"IDAT", b"") * 1_000_000),
}


def jpeg(size: int, scans: int = 1, mode: str = "RGB", **options: object) -> bytes:
    """A grey picture; beyond the scans that Pillow writes, its last one again and again."""
    out = io.BytesIO()
    Image.new(mode, (size, size), (90,) * len(mode)).save(out, "JPEG", progressive=scans > 1, **options)
    data = out.getvalue()
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * max(0, scans - data.count(b"\xff\xda")) + data[-2:]


MAKERS |= {
    "flat.jpg": lambda: jpeg(LARGE),
    "cmyk-large.jpg": lambda: jpeg(LARGE, mode="CMYK"),
    "grey-progressive.jpg": lambda: jpeg(LARGE, 10, mode="L"),
    "cmyk.jpg": lambda: jpeg(11500, mode="CMYK"),
    "scans-2000.jpg": lambda: jpeg(6000, 2000),
    "scans-100.jpg": lambda: jpeg(6000, 100),
    "progressive.jpg": lambda: jpeg(LARGE, 10),
    "progressive-444.jpg": lambda: jpeg(13000, 10, subsampling=0),
    "claims.jpg": lambda: jpeg(64).replace(b"\x00\x40\x00\x40", b"\xff\xdc\xff\xdc", 1),
    "comments.jpg": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 5_000_000 + jpeg(64)[2:],
}


def padded_webp(data: bytes, length: int) -> bytes:
    """With a chunk that nobody knows, so that the file looks long enough."""
    body = data[12:] + struct.pack("<4sI", b"none", length) + bytes(length)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def animation(size: int, frames: int) -> bytes:
    out = io.BytesIO()
    pictures = [Image.new("RGB", (size, size), (i % 200, 9, 9)) for i in range(frames)]
    pictures[0].save(out, "WEBP", save_all=True, append_images=pictures[1:], lossless=True, method=0)
    return out.getvalue()


def dotted(size: int) -> np.ndarray:
    picture = np.zeros((size, size, 3), np.uint8)
    picture[::37, ::29] = 255
    return picture


MAKERS |= {
    "flat.webp": lambda: imagecodecs.webp_encode(np.zeros((LARGE, LARGE, 3), np.uint8), lossless=True, method=0),
    "flat-padded.webp": lambda: padded_webp(MAKERS["flat.webp"](), 2**21),
    "alpha.webp": lambda: padded_webp(
        imagecodecs.webp_encode(np.full((11500, 11500, 4), 99, np.uint8), lossless=True, method=0), 2**21
    ),
    "alpha-large.webp": lambda: padded_webp(
        imagecodecs.webp_encode(np.full((LARGE, LARGE, 4), 99, np.uint8), lossless=True, method=0), 2**21
    ),
    "dotted.webp": lambda: padded_webp(imagecodecs.webp_encode(dotted(LARGE), lossless=True, method=0), 2**22),
    "animation.webp": lambda: animation(4000, 30),
}


def gif(width: int, height: int, before: bytes = b"", data: bytes = b"\x02\x02\x4c\x01\x00") -> bytes:
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + before + b"," + struct.pack("<4HB", 0, 0, width, height, 0) + data + b";"


def lzw_black(pixels: int) -> bytes:
    """GIF's LZW of one colour: each code stands for one pixel more than the last, from a cleared table on."""
    out = io.BytesIO()
    side = int(pixels**0.5)
    Image.new("P", (side, side)).save(out, "GIF")
    data = out.getvalue()
    return data[data.index(b",") + 10 : -1]


def frames(count: int, side: int) -> bytes:
    """An animation of one colour after the other."""
    out = io.BytesIO()
    pictures = [Image.new("L", (side, side), i % 250) for i in range(count)]
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:])
    return out.getvalue()


MAKERS |= {
    "flat.gif": lambda: gif(LARGE, LARGE, data=lzw_black(LARGE * LARGE)),
    "claims.gif": lambda: gif(65535, 65535),
    "frames.gif": lambda: frames(2000, 300),
    "comments.gif": lambda: gif(8, 8, b"!\xfe" + b"\1x" * 10_000_000 + b"\0"),
    "extensions.gif": lambda: gif(8, 8, b"!\xfe\0" * 5_000_000),
}


def bmp(width: int, height: int, bits: int, packing: int, data: bytes) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, len(data), 0, 0, 0, 0)
    colours = bytes(range(256)) * 4 if bits == 8 else b""
    return b"BM" + struct.pack("<IHHI", 54 + len(colours) + len(data), 0, 0, 54 + len(colours)) + head + colours + data


MAKERS |= {
    "claims.bmp": lambda: bmp(60000, 60000, 24, 0, b""),
    "honest.bmp": lambda: bmp(11500, 11500, 24, 0, bytes(11500 * 11500 * 3)),
    "row-ends.bmp": lambda: bmp(4000, 4000, 8, 1, b"\0\0" * 4000),
    "row-ends-fit.bmp": lambda: bmp(2890, 2890, 8, 1, b"\0\0" * 2890),
    "runs-of-one.bmp": lambda: bmp(2890, 2890, 8, 1, b"\1\7" * 2890 * 2890),
    "runs-of-none.bmp": lambda: bmp(2890, 2890, 8, 1, b"\0\0" + b"\0\2\0\0" * 4_000_000),
    "flat.tga": lambda: tga(LARGE, b"\xff\0\0\0" * (LARGE * LARGE // 128)),
    "flat-half.tga": lambda: tga(11520, b"\xff\0\0\0" * (11520 * 11520 // 128)),
    "claims.tga": lambda: tga(65535, b"\xff\0\0\0"),
    "plain.ppm": lambda: b"P3 2300 2300 255\n" + b"7 " * 2300 * 2300 * 3,
    "plain-too-long.pgm": lambda: b"P2 9000 9000 255\n" + b"7 " * 9000 * 9000,
    "plain.pbm": lambda: b"P1 4000 4000\n" + b"1" * 16_000_000,
    "comments.pgm": lambda: b"P2" + b"#\n" * 20_000_000 + b" 8 8 255\n" + b"7 " * 64,
    "claims.pgm": lambda: b"P5 16000 16000 255\n" + bytes(64),
    "packed.pbm": lambda: b"P4 16000 16000\n" + bytes(2000 * 16000),
    "claims.npy": lambda: npy("'|u1'", "(1000000, 1000000)"),
    "elements.npy": lambda: npy("'|V2000000000'", "(4, 4)"),
    "pickle.npy": lambda: npy("'|O'", "(4, 4)"),
}


def tga(size: int, data: bytes) -> bytes:
    return struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, size, size, 24, 0) + data


def npy(descr: str, shape: str) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + bytes(1000)


def jp2(picture: np.ndarray, padding: int = 0, **options: object) -> bytes:
    data = imagecodecs.jpeg2k_encode(picture, codecformat="j2k", numthreads=2, **options)
    return data + bytes(padding)


def stream(size: int, tile: int, layers: int = 1, levels: int = 5, precincts: bytes = b"", block: int = 4) -> bytes:
    """The header of a JPEG 2000 code stream, and a tile without any data."""
    siz = struct.pack(">H8IH", 0, size, size, 0, 0, tile, tile, 0, 0, 3) + b"\7\1\1" * 3
    cod = struct.pack(">BBHBBBBBB", bool(precincts), 0, layers, 1, levels, block, block, 0, 1) + precincts
    parts = ((0xFF51, siz), (0xFF52, cod), (0xFF5C, b"\x20" + bytes(3 * levels + 1)))
    head = b"\xff\x4f" + b"".join(struct.pack(">HH", marker, len(body) + 2) + body for marker, body in parts)
    return head + struct.pack(">HHHIBB", 0xFF90, 10, 0, 0, 0, 1) + b"\xff\x93" + bytes(2**20) + b"\xff\xd9"


MAKERS |= {
    "flat.j2k": lambda: jp2(np.zeros((6600, 6600, 3), np.uint8), 2**20),
    "grey.j2k": lambda: jp2(np.zeros((11500, 11500), np.uint16), 2**22),
    "one-tile.j2k": lambda: stream(LARGE, LARGE),
    "tiles.j2k": lambda: stream(4000, 4),
    "many-tiles.j2k": lambda: stream(2300, 16),
    "layers.j2k": lambda: stream(4000, 4000, layers=65535),
    "precincts.j2k": lambda: stream(4000, 4000, precincts=bytes(6)),
    "precincts-fit.j2k": lambda: stream(4000, 4000, precincts=b"\x33" * 6),
    "blocks.j2k": lambda: stream(3200, 3200, block=0),
}

if features.check("avif"):
    MAKERS |= {
        "flat.avif": lambda: avif(8000) + struct.pack(">I4s", 2**20, b"free") + bytes(2**20 - 8),
        "claims.avif": lambda: avif(64).replace(struct.pack(">II", 64, 64), struct.pack(">II", 16000, 16000)),
        "lies.avif": lambda: avif(8000).replace(struct.pack(">II", 8000, 8000), struct.pack(">II", 16, 16)),
    }


def avif(size: int) -> bytes:
    return bytes(imagecodecs.avif_encode(np.zeros((size, size, 3), np.uint8), speed=10, numthreads=2))
