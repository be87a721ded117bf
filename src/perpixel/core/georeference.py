"""Where an image lies on the earth: read from a GeoTIFF's tags or a world file, and written beside its label map.

Source of the tags: OGC 19-008r4, GeoTIFF 1.1; of the world file's six lines, their order and the centre of the first
pixel: the ESRI world file, as GDAL documents it.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from perpixel.core.errors import UserError
from perpixel.core.files import atomic_write
from perpixel.core.image import MAX_PIXELS, Array
from perpixel.core.source import Source, as_path, in_one_line
from perpixel.core.text import read_text
from perpixel.core.tiff import GDAL_NODATA, open_tiff

Affine = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a column + b row + c, y = d column + e row + f, of a pixel's upper left corner."""

_SCALE, _TIEPOINT, _MATRIX, _KEYS, _DOUBLES, _TEXTS = 33550, 33922, 34264, 34735, 34736, 34737
_TAGS = (_SCALE, _TIEPOINT, _MATRIX, _KEYS, _DOUBLES, _TEXTS)
_RASTER_TYPE, _GEOGRAPHIC, _PROJECTED, _USER_DEFINED = 1025, 2048, 3072, 32767
_POINT = 2
_MODEL, _CITATION, _PE = 1024, 3073, "ESRI PE String = "
"""A coordinate system without a number of EPSG's is written as a citation that begins so, as ESRI's programs and GDAL read it."""
_EPSG = re.compile(r'(?:AUTHORITY|ID)\[\s*"EPSG"\s*,\s*"?([0-9]{1,5})"?\s*\]\s*\]\s*$', re.IGNORECASE)
# the upright picture's (column, row) to the stored one's, as (columns: of column, of row, of width), (rows: ..., of height)
_TURNS = {
    1: ((1, 0, 0), (0, 1, 0)),
    2: ((-1, 0, 1), (0, 1, 0)),
    3: ((-1, 0, 1), (0, -1, 1)),
    4: ((1, 0, 0), (0, -1, 1)),
    5: ((0, 1, 0), (1, 0, 0)),
    6: ((0, 1, 0), (-1, 0, 1)),
    7: ((0, -1, 1), (-1, 0, 1)),
    8: ((0, -1, 1), (1, 0, 0)),
}


@dataclass(frozen=True)
class Georeference:
    """tags: (code, type, count, value) as in the file; affine: where pixels lie, None for ground control points alone."""

    tags: tuple[tuple[int, int, int, Any], ...] = ()
    affine: Affine | None = None

    @property
    def crs(self) -> str:
        """The coordinate system, such as "EPSG:32633", as text (WKT) where a .prj alone says it, or nothing."""
        values = {code: value for code, _, _, value in self.tags}
        keys = _geo_keys(values)
        code = keys.get(_PROJECTED, 0) or keys.get(_GEOGRAPHIC, 0)
        text = str(values.get(_TEXTS, ""))
        said = text.removeprefix(_PE).rstrip("|\0") if text.startswith(_PE) else ""
        return f"EPSG:{code}" if code not in (0, _USER_DEFINED) else said

    def world_file(self) -> str:
        """The text of a .pgw (of a PNG), .jgw or .tfw. Raises UserError where there is no affine."""
        if self.affine is None:
            raise UserError("an image placed by ground control points alone has no world file; warp it first")
        a, b, c, d, e, f = self.affine
        return "".join(f"{v:.12g}\n" for v in (a, d, b, e, c + (a + b) / 2, f + (d + e) / 2))


def read_georeference(path: str | Path) -> Georeference | None:
    """Where the upright picture of a file lies, by its own tags, else by a world file beside it and the coordinate system in a
    .prj file; None if nothing says so.

    Raises:
        UserError: the file cannot be read, its world file does not hold six numbers, or its .prj file no coordinate system.
    """
    file = as_path(path)
    with in_one_line(file):
        source = Source.of(file, MAX_PIXELS)
        found = _from_tiff(source) if source.head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") else None
        return found or _from_world_file(file)


def write_labels(
    path: str | Path, labels: Array, place: Georeference, palette: Array | None = None, nodata: int | None = None
) -> None:
    """Writes a label map (H, W) uint8 as a GeoTIFF that lies where its image does, whole or not at all.

    Args:
        palette: (256, 3) uint8, a colour for each label.
        nodata: the label that means "no data" (GDAL's tag); the image's own is not a label.
    """
    import tifffile

    extra = [(code, kind, count, value, True) for code, kind, count, value in tags_to_write(place)]
    if nodata is not None:
        extra.append((GDAL_NODATA, 2, 0, str(nodata), True))
    colours = None if palette is None else palette.T.astype(np.uint16) * 257
    with atomic_write(path) as aside:
        tifffile.imwrite(
            aside,
            labels,
            photometric="minisblack" if colours is None else "palette",
            colormap=colours,
            compression="zlib",
            metadata=None,
            extratags=extra,
        )


def _from_tiff(source: Source) -> Georeference | None:
    with open_tiff(source) as series:
        page = series.keyframe
        tags = {code: page.tags[code] for code in _TAGS if code in page.tags}
        kept = tuple((c, int(t.dtype), 0 if isinstance(t.value, str) else t.count, t.value) for c, t in tags.items())
        turn = page.tags["Orientation"].value if "Orientation" in page.tags else 1
        height, width = page.imagelength, page.imagewidth
    if not kept:
        return None
    place = Georeference(kept, _affine({code: value for code, _, _, value in kept}))
    return place if turn not in _TURNS or turn == 1 else _turned(place, turn, height, width)


def _affine(values: dict[int, Any]) -> Affine | None:
    """From the matrix, or from one tie point and the scale."""
    if len(values.get(_MATRIX, ())) == 16:
        m = values[_MATRIX]
        a, b, c, d, e, f = m[0], m[1], m[3], m[4], m[5], m[7]
    elif len(values.get(_SCALE, ())) >= 2 and len(values.get(_TIEPOINT, ())) == 6:
        (across, down), (column, row, _, x, y, _) = values[_SCALE][:2], values[_TIEPOINT]
        a, b, c, d, e, f = across, 0.0, x - column * across, 0.0, -down, y + row * down
    else:
        return None
    half = 0.5 if _geo_keys(values).get(_RASTER_TYPE) == _POINT else 0.0  # a tie point may be a pixel's centre
    return a, b, c - half * (a + b), d, e, f - half * (d + e)


def _turned(place: Georeference, turn: int, height: int, width: int) -> Georeference:
    """The place of the upright picture; control points cannot be turned."""
    if place.affine is None:
        return Georeference()
    a, b, c, d, e, f = place.affine
    (cc, cr, cw), (rc, rr, rh) = _TURNS[turn]
    c, f = c + a * cw * width + b * rh * height, f + d * cw * width + e * rh * height
    return replace(place, affine=(a * cc + b * rc, a * cr + b * rr, c, d * cc + e * rc, d * cr + e * rr, f))


def tags_to_write(place: Georeference) -> list[tuple[int, int, int, Any]]:
    """The tags as they were, or where the affine is another than theirs, with the affine as a matrix."""
    if place.affine is None or _affine({code: value for code, _, _, value in place.tags}) == place.affine:
        return list(place.tags)
    a, b, c, d, e, f = place.affine
    half = 0.5 if _geo_keys({code: value for code, _, _, value in place.tags}).get(_RASTER_TYPE) == _POINT else 0.0
    c, f = c + half * (a + b), f + half * (d + e)
    matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    others = [tag for tag in place.tags if tag[0] not in (_SCALE, _TIEPOINT, _MATRIX)]
    return [(_MATRIX, 12, 16, matrix), *others]


def _geo_keys(values: dict[int, Any]) -> dict[int, int]:
    """The keys of the directory whose value stands in it."""
    numbers = values.get(_KEYS, ())
    entries = (numbers[i : i + 4] for i in range(4, len(numbers) - 3, 4))
    return {int(key): int(value) for key, place, _, value in entries if place == 0}


def _from_world_file(image: Path) -> Georeference | None:
    ending = image.suffix
    names = [f"{ending[:2]}{ending[-1:]}w", f"{ending}w", ".wld"] if len(ending) > 2 else [".wld"]
    for name in (n for given in names for n in (given, given.upper())):
        file = image.with_suffix(name)
        if os.path.isfile(file):  # not of the path, which raises where the name is too long
            numbers = file.read_text(encoding="latin-1").replace(",", ".").split()
            try:
                a, d, b, e, x, y = map(float, numbers[:6])
            except ValueError:
                raise UserError(f"{file}: a world file holds six numbers, one a line; this one does not") from None
            return Georeference(_coordinate_system(image), (a, b, x - (a + b) / 2, d, e, y - (d + e) / 2))
    return None


def _coordinate_system(image: Path) -> tuple[tuple[int, int, int, Any], ...]:
    """The tags that say what a .prj file beside an image says; none without such a file."""
    file = next((f for s in (".prj", ".PRJ") if (f := image.with_suffix(s)).is_file()), None)
    if file is None:
        return ()
    text = " ".join(read_text(file).split())
    if not re.match(r"(PROJ|GEOG|GEOD)(CS|CRS)\[", text, re.IGNORECASE):
        raise UserError(
            f'{file}: expected a coordinate system as text (WKT) such as PROJCS["...", ...]; mend or remove it'
        )
    projected, number = text[:4].upper() == "PROJ", _EPSG.search(text)
    raster = (_RASTER_TYPE, 0, 1, 1)
    if number:
        kind = _PROJECTED if projected else _GEOGRAPHIC
        keys = (1, 1, 0, 3, _MODEL, 0, 1, 1 if projected else 2, *raster, kind, 0, 1, int(number[1]))
        return ((_KEYS, 3, len(keys), keys),)
    said = f"{_PE}{text}|"
    keys = (1, 1, 0, 3, _MODEL, 0, 1, _USER_DEFINED, *raster, _CITATION, _TEXTS, len(said), 0)
    return ((_KEYS, 3, len(keys), keys), (_TEXTS, 2, 0, said))
