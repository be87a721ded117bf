"""The formats of image files, one file each; which of them a file is, by its first bytes."""

from collections.abc import Mapping

SUFFIXES = frozenset(
    (
        ".png .apng .jpg .jpeg .jpe .jfif .tif .tiff .btf .webp .bmp .dib .pbm .pgm .ppm .pnm .pfm .gif .jp2 .j2k .jpf .jpx .j2c "
        ".jpc .avif .tga .npy"
    ).split()
)
"""File name endings (lower case) that are taken for images."""

_TGA = (".tga", ".vda", ".icb", ".vst")
_BEGINS: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"BM": "bmp",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\xff\x4f\xff\x51": "jp2",
    b"\x93NUMPY": "npy",
}
_OTHERS: Mapping[bytes, str] = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"8BPS": "a Photoshop document",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip",
    b"\x89HDF": "HDF5",
    b"MATLAB": "a MATLAB file",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"v/1\x01": "OpenEXR",
    b"version https://git-lfs": "the address of a Git LFS file, which was not fetched",
    b"<": "HTML, XML or SVG",
    b"{": "JSON",
}


def format_of(head: bytes, suffix: str) -> str:
    """The name of a file's format by its first bytes, or nothing for one that cannot be read.

    The ending counts for TGA alone, which begins like nothing in particular.

    >>> format_of(b"GIF89a", ".png"), format_of(b"%!PS-Adobe", ".jpg")
    ('gif', '')
    """
    for start, name in _BEGINS.items():
        if head.startswith(start):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:12] in (b"ftypavif", b"ftypavis") or (head[4:12] in (b"ftypmif1", b"ftypmsf1") and b"avi" in head):
        return "avif"
    if len(head) > 2 and head[:1] == b"P" and head[1:2] in b"123456fF" and (head[2:3].isspace() or head[2:3] == b"#"):
        return "pnm"
    return "tga" if suffix.lower() in _TGA else ""


def other_content(head: bytes) -> str:
    """What a file that is no image holds, in words, or nothing.

    >>> other_content(b"%!PS-Adobe-3.0 EPSF-3.0")
    'PostScript'
    """
    if head[4:8] == b"ftyp":
        return "HEIC or video"
    return next((words for start, words in _OTHERS.items() if head.startswith(start)), "")
