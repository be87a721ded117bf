"""A taxonomy: which classes there are, how they look, and which mask values mean them.

It travels in every bundle, prediction and report, so that a label is never a bare number.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from perpixel.core import IGNORE
from perpixel.core.errors import UserError, nearest
from perpixel.core.image import NO_NUMBER, Array, RawMask

Colour = tuple[int, int, int]
Value = int | Colour
_UNKNOWN = 254
_CLASS_KEYS = ("name", "values", "value", "colour", "color")


def default_colours(n: int) -> tuple[Colour, ...]:
    """The first `n` colours of the VOC colour map: bit j of a label lands in bit 7-j/3 of channel j mod 3.

    >>> default_colours(3)
    ((0, 0, 0), (128, 0, 0), (0, 128, 0))
    """

    def channel(label: int, offset: int) -> int:
        return sum(((label >> (3 * bit + offset)) & 1) << (7 - bit) for bit in range(8))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(n))


def tell_apart(colours: Sequence[Colour]) -> bool:
    """Whether colours can be told apart by eye: most have no other one within 8 of 255 in every channel.

    Numbers that a program wrote into a channel of a colour mask cannot: (1, 0, 0), (2, 0, 0).
    """
    near = [any(a != b and max(abs(x - y) for x, y in zip(a, b, strict=True)) < 8 for b in colours) for a in colours]
    return 2 * sum(near) <= len(colours)


@dataclass(frozen=True)
class Taxonomy:
    """Classes in label order.

    Args:
        names: K class names, K from 1 to 254.
        colours: K colours (r, g, b), each 0 to 255, for pictures.
        values: for every class the mask values that mean it, integers or colours (r, g, b).
        ignore: mask values that mean "do not count this pixel"; `NO_NUMBER` is NaN, "nan" in files.

    Raises:
        UserError: a name or a value is given twice, or the lengths differ.

    >>> t = Taxonomy.of(["cell", "membrane"], values=[(255,), (0,)])
    >>> t.encode(np.array([[0, 255]], np.uint8))
    array([[1, 0]], dtype=uint8)
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    values: tuple[tuple[Value, ...], ...]
    ignore: tuple[Value, ...] = (IGNORE,)

    def __post_init__(self) -> None:
        k = len(self.names)
        if not 1 <= k <= _UNKNOWN:
            raise UserError(f"a taxonomy has 1 to {_UNKNOWN} classes, got {k}")
        if len(self.colours) != k or len(self.values) != k:
            raise UserError(
                f"{k} class names need {k} colours and values, got {len(self.colours)} and {len(self.values)}"
            )
        _refuse_repeats("class name", self.names)
        _refuse_repeats("mask value", [v for values in (*self.values, self.ignore) for v in values])
        spoken_for = self.values if self.ignore == (IGNORE,) else (*self.values, self.ignore)
        if len({isinstance(v, int) for values in spoken_for for v in values}) > 1:
            raise UserError("mask values must be all integers or all colours [r, g, b], not both")

    @classmethod
    def of(
        cls,
        names: Iterable[str],
        colours: Iterable[Colour] | None = None,
        values: Iterable[tuple[Value, ...]] | None = None,
        ignore: tuple[Value, ...] | None = None,
    ) -> "Taxonomy":
        """A taxonomy with what is usual filled in: the VOC colours, class i is mask value i, 255 (if no class) ignored."""
        names = tuple(names)
        given = tuple(values) if values is not None else tuple((i,) for i in range(len(names)))
        return cls(
            names,
            tuple(colours) if colours is not None else default_colours(len(names)),
            given,
            (() if any(IGNORE in v for v in given) else (IGNORE,)) if ignore is None else ignore,
        )

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.names)

    def encode(self, mask: Array | RawMask, where: str = "mask") -> Array:
        """Turns mask values into labels.

        Args:
            mask: (H, W) integers or (H, W, 3) uint8 colours; a `RawMask` may bring a palette, which is
                used when this taxonomy speaks of colours.
            where: what to call the mask in an error, its file name.

        Returns:
            (H, W) uint8 labels in [0, K), 255 where the value is one of `ignore`.

        Raises:
            UserError: a value that the taxonomy does not name; the message names file, value and fix.
        """
        raw = mask if isinstance(mask, RawMask) else RawMask(mask)
        values = raw.values
        if self.uses_colours and values.ndim == 2:
            values = self._as_colours(raw, where)
        if not self.uses_colours and values.ndim == 3:
            raise UserError(
                f"{where}: the mask holds colours such as {tuple(int(v) for v in values[0, 0])}, but the classes are given by "
                "integer values; give each class its colour in dataset.yaml (perpixel check writes a starter)"
            )
        keys = _pack(values) if self.uses_colours else values
        low, high = self._lowest, self._lowest + len(self._table)
        if keys.size and (keys.min() < low or keys.max() >= high):
            raise self._unknown(int(keys.min() if keys.min() < low else keys.max()), where)
        labels = self._table[keys.astype(np.int64) - low if low else keys]  # bytes have no room for a negative value
        if (labels == _UNKNOWN).any():
            raise self._unknown(int(keys[labels == _UNKNOWN][0]), where)
        return labels

    def colourise(self, labels: Array) -> Array:
        """(H, W) labels as an (H, W, 3) uint8 picture; ignored pixels are black."""
        return self.palette[np.asarray(labels).astype(np.uint8)]

    @cached_property
    def uses_colours(self) -> bool:
        """Whether classes are told apart by colours rather than integer values."""
        return any(not isinstance(v, int) for values in self.values for v in values)

    @cached_property
    def label_of(self) -> dict[Value, int]:
        """Mask value -> label, 255 for those to ignore."""
        labels = {v: label for label, values in enumerate(self.values) for v in values}
        return labels | dict.fromkeys(self.ignore, IGNORE)

    @cached_property
    def palette(self) -> Array:
        """(256, 3) uint8: the colour of every label, black for those that are no class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: self.num_classes] = self.colours
        return palette

    def to_dict(self) -> dict[str, Any]:
        """A plain dict for JSON and YAML; `from_dict` takes it back."""
        classes = [
            {"name": n, "colour": list(c), "values": [v if isinstance(v, int) else list(v) for v in vs]}
            for n, c, vs in zip(self.names, self.colours, self.values, strict=True)
        ]
        return {"classes": classes, "ignore": [plain_value(v) for v in self.ignore]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Taxonomy":
        """The inverse of `to_dict`; a class may also be a bare name, and colours and values may be left out.

        Raises:
            UserError: the entries are not of that form.
        """
        classes = data.get("classes")
        if not isinstance(classes, list) or not classes:
            raise UserError('"classes" must be a list such as [{name: road, values: [0]}, {name: sky, values: [1]}]')
        entries = [{"name": c} if isinstance(c, str) else c for c in classes]
        if any(not isinstance(e, Mapping) or "name" not in e for e in entries):
            raise UserError('each of "classes" needs a name, such as {name: road, values: [0], colour: [128, 64, 128]}')
        for entry in entries:
            _refuse_unknown_keys(entry)
        values = [_values(e.get("values", e.get("value", i)), e["name"]) for i, e in enumerate(entries)]
        usual = default_colours(len(values))
        shown = [next((v for v in vs if not isinstance(v, int)), c) for vs, c in zip(values, usual, strict=True)]
        shown = shown if tell_apart(shown) else list(usual)
        colours = [_colour(e.get("colour", e.get("color", c)), e["name"]) for e, c in zip(entries, shown, strict=True)]
        ignore = _values(data.get("ignore", IGNORE), "ignore") if data.get("ignore", IGNORE) != [] else ()
        named = {v for vs in values for v in vs}
        if "ignore" not in data and IGNORE in named:
            ignore = ()
        return cls(tuple(str(e["name"]) for e in entries), tuple(colours), tuple(values), ignore)

    @cached_property
    def _table(self) -> Array:
        pairs = [(v, i) for i, values in enumerate(self.values) for v in values] + [(v, IGNORE) for v in self.ignore]
        if self.uses_colours:
            table = np.full(2**24, _UNKNOWN, np.uint8)
            pairs = [(int(_pack(np.array(v, np.uint8))), i) for v, i in pairs if not isinstance(v, int)]
        else:
            highest = max(255, *(v for v, _ in pairs if isinstance(v, int)))
            table = np.full(1 + highest - self._lowest, _UNKNOWN, np.uint8)
        for value, label in pairs:
            assert isinstance(value, int)
            table[value - self._lowest] = label
        return table

    @cached_property
    def _lowest(self) -> int:
        """Entry 0 of the table is this value: 0, or below it where negative values have a meaning."""
        return min(0, *(v for values in (*self.values, self.ignore) for v in values if isinstance(v, int)), 0)

    def _as_colours(self, raw: RawMask, where: str) -> Array:
        if raw.palette is not None:
            palette = np.zeros((256, 3), np.uint8)
            palette[: len(raw.palette)] = raw.palette
            return palette[raw.values]
        if raw.values.dtype == np.uint8:  # a mask whose every colour is grey was read as one channel
            return np.repeat(raw.values[..., None], 3, axis=2)
        raise UserError(f"{where}: the classes are given by colours, but the mask holds {raw.values.dtype} values")

    def _unknown(self, key: int, where: str) -> UserError:
        value: Value = (key >> 16, key >> 8 & 255, key & 255) if self.uses_colours else key
        shown = plain_value(value)
        return UserError(
            f"{where}: mask value {shown} belongs to none of the {self.num_classes} classes; "
            f'add it to a class or to "ignore" in dataset.yaml (perpixel check writes a starter)'
        )


def plain_value(value: Value) -> int | list[int] | str:
    """A value as files and messages have it.

    >>> plain_value(7), plain_value((1, 2, 3)), plain_value(NO_NUMBER)
    (7, [1, 2, 3], 'nan')
    """
    return list(value) if isinstance(value, tuple) else "nan" if value == NO_NUMBER else value


def _pack(colours: Array) -> Array:
    c = colours.astype(np.int32)
    return (c[..., 0] << 16) | (c[..., 1] << 8) | c[..., 2]


def _refuse_repeats(what: str, items: Iterable[Any]) -> None:
    seen: set[Any] = set()
    for item in items:
        if item in seen:
            raise UserError(f"the {what} {item!r} is given twice; each must mean one thing")
        seen.add(item)


def _refuse_unknown_keys(entry: Mapping[str, Any]) -> None:
    for key in entry:
        if key not in _CLASS_KEYS:
            hint = f"known: {', '.join(_CLASS_KEYS)}.{nearest(str(key), _CLASS_KEYS)}"
            raise UserError(f'class {entry["name"]!r}: unknown key "{key}"; {hint}')


def _colour(value: Any, name: str) -> Colour:
    if not (
        isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(v, int) and 0 <= v <= 255 for v in value)
    ):
        raise UserError(f"the colour of {name!r} must be three numbers from 0 to 255, got {value!r}")
    return (value[0], value[1], value[2])


def _values(value: Any, name: str) -> tuple[Value, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    items = [NO_NUMBER if name == "ignore" and str(v).lower() == "nan" else v for v in items]
    if not items or not all(
        (isinstance(v, int) and (abs(v) < 2**24 or v == NO_NUMBER)) or isinstance(v, list | tuple) for v in items
    ):
        raise UserError(f"the mask values of {name!r} must be integers or colours [r, g, b], got {value!r}")
    return tuple(v if isinstance(v, int) else _colour(v, name) for v in items)
