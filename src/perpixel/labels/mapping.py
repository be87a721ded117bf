"""One taxonomy over many data sets: a file that says what each class of each set is in common classes.

    name: street
    classes: [building, car, road, sky, vegetation, pavement]
    sets:
      camvid:                      # the set's name; every class of its own, once
        building: building
        tree: vegetation           # renamed
        pole: ignore               # dropped
      facades:
        building: building         # merged: three classes of the set are one
        door: building
        window: building
      oldtown:
        ground: [road, pavement]   # coarser than the common classes

A class that is split has masks of its own in which the parts are told apart: they are then classes of the set like all others.
Source: Lambert et al., "MSeg: A Composite Dataset for Multi-domain Semantic Segmentation", CVPR 2020.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from perpixel.core.errors import UserError, nearest
from perpixel.core.files import write_text
from perpixel.core.words import some_names
from perpixel.core.yaml import read_yaml
from perpixel.labels.taxonomy import Taxonomy

DROPPED = "ignore"
"""What stands for a class that is no common class."""
KEYS = ("name", "classes", "sets")
CLASS_KEYS = ("name", "colour", "color")

Block = Mapping[str, tuple[str, ...]]
"""Of one set: its class -> the common classes that it is made of, none where it is dropped."""


@dataclass(frozen=True)
class CommonTaxonomy:
    """Common classes, and what the classes of each data set are in them.

    Args:
        name: of the taxonomy.
        classes: the common classes.
        sets: a block for each data set, by its name.
        where: what to call it in an error, its file's name.

    Raises:
        UserError: a block names a class that is not among the common ones, or one of those twice for a class.
    """

    name: str
    classes: Taxonomy
    sets: Mapping[str, Block]
    where: str = "taxonomy"

    def __post_init__(self) -> None:
        known = (*self.classes.names, DROPPED)
        if DROPPED in self.classes.names:
            raise UserError(f'{self.where}: "{DROPPED}" stands for what is dropped; give that class another name')
        for key, block in self.sets.items():
            for name, parts in block.items():
                self._refuse_wrong(f'{self.where}: class "{name}" of {key}', parts, known)

    def _refuse_wrong(self, what: str, parts: Sequence[str], known: Sequence[str]) -> None:
        for part in parts:
            if part not in self.classes.names:
                raise UserError(f'{what} is "{part}", which is no class of the taxonomy.{nearest(part, known)}')
        if len(set(parts)) < len(parts):
            raise UserError(f"{what} names a common class twice: {', '.join(parts)}")

    def block(self, name: str) -> Block:
        """What the classes of a set are.

        Raises:
            UserError: the taxonomy has no such set.
        """
        if name not in self.sets:
            raise UserError(
                f'{self.where}: no set "{name}"; there are: {", ".join(self.sets)}.{nearest(name, self.sets)}'
            )
        return self.sets[name]

    def set_of(self, name: str, names: Sequence[str]) -> str:
        """Which of the sets a data set or a model is: by its name, or else by its classes.

        Args:
            name: of the data set.
            names: of its classes.

        Raises:
            UserError: it is none of them, or its classes are those of several that map them differently.
        """
        named = [key for key in self.sets if key == name] or [key for key in self.sets if plain(key) == plain(name)]
        if len(named) == 1:
            return named[0]
        alike = [key for key, block in self.sets.items() if set(map(plain, block)) == set(map(plain, names))]
        if alike and all(_plainly(self.sets[key]) == _plainly(self.sets[alike[0]]) for key in alike):
            return alike[0]
        known = some_names(list(self.sets), 8)
        why = f"its classes are those of {' and '.join(alike)}" if alike else "no block has its name or its classes"
        raise UserError(
            f'{self.where}: which set is "{name}"? There are: {known}; {why}; name it after one of them, or say which one '
            "(--data-as, --model-as)"
        )

    def parts(self, key: str, names: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """For each of a set's classes the common classes that it is made of, by label.

        Names may differ in capitals, blanks, hyphens and underscores.

        Args:
            key: of the set.
            names: of its classes, in their order.

        Raises:
            UserError: a class of the set is missing in its block, or the block names one that the set does not have.
        """
        block, labels = self.block(key), {n: i for i, n in enumerate(self.classes.names)}
        named = _matched(f"{self.where}: {key}", block, names)
        return tuple(tuple(labels[part] for part in block[named[name]]) for name in names)

    def labels_of(self, key: str, own: Taxonomy) -> Taxonomy:
        """How masks of a set are read as common classes: merged by their values; what is dropped is ignored.

        A class that is made of several common ones tells no pixel's class, and is ignored too.

        Raises:
            UserError: as `parts`.
        """
        values: list[tuple[Any, ...]] = [() for _ in self.classes.names]
        ignored = own.ignored_values()
        for parts, given in zip(self.parts(key, own.names), own.values, strict=True):
            if len(parts) == 1:
                values[parts[0]] += given
            else:
                ignored += given
        return Taxonomy(self.classes.names, self.classes.colours, tuple(values), ignored)

    def left_out(self, key: str, names: Sequence[str]) -> tuple[str, ...]:
        """The classes of a set that `labels_of` ignores."""
        return tuple(n for n, parts in zip(names, self.parts(key, names), strict=True) if len(parts) != 1)

    def to_dict(self) -> dict[str, Any]:
        """As in the file."""
        usual = Taxonomy.of(self.classes.names).colours == self.classes.colours
        colours = zip(self.classes.names, self.classes.colours, strict=True)
        classes = list(self.classes.names) if usual else [{"name": n, "colour": list(c)} for n, c in colours]
        sets = {key: {n: _written(parts) for n, parts in block.items()} for key, block in self.sets.items()}
        return {"name": self.name, "classes": classes, "sets": sets}

    def save(self, file: str | Path) -> None:
        """Writes YAML that `read_mapping` reads back to an equal taxonomy."""
        write_text(file, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120))


def read_mapping(file: str | Path) -> CommonTaxonomy:
    """Reads a mapping file.

    Raises:
        UserError: no such file, not YAML, an unknown key, a class named twice or unknown.
    """
    data, written = read_yaml(file), read_yaml(file, as_written=True)
    return _mapping(data, written if isinstance(written, dict) else {}, str(file), Path(file).stem)


def mapping_from(data: Mapping[str, Any], where: str) -> CommonTaxonomy:
    """The inverse of `CommonTaxonomy.to_dict`.

    Raises:
        UserError: as `read_mapping`.
    """
    return _mapping(data, data, where, where)


def _mapping(data: Any, written: Mapping[str, Any], where: str, name: str) -> CommonTaxonomy:
    if not isinstance(data, dict):
        raise UserError(f"{where}: expected the keys {', '.join(KEYS)}; got {type(data).__name__}")
    for key in data:
        if key not in KEYS:
            raise UserError(f'{where}: unknown key "{key}"; known: {", ".join(KEYS)}.{nearest(str(key), KEYS)}')
    sets = written.get("sets")
    if not isinstance(sets, dict) or not sets:
        raise UserError(
            f'{where}: "sets" must have a block for each data set, such as {{camvid: {{tree: vegetation}}}}'
        )
    blocks = {key: _block(f"{where}: {key}", block) for key, block in sets.items()}
    return CommonTaxonomy(str(written.get("name") or name), _classes(data, written, where), blocks, where)


def _classes(data: Mapping[str, Any], written: Mapping[str, Any], where: str) -> Taxonomy:
    """The common classes; a name is the text that stands there, such as no or 001."""
    entries = data.get("classes")
    try:
        if isinstance(entries, list):
            entries = [_named(e, w) for e, w in zip(entries, written["classes"], strict=True)]
        return Taxonomy.from_dict({"classes": entries})
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _named(entry: Any, written: Any) -> Any:
    if not isinstance(entry, dict):
        return written
    for key in entry:
        if key not in CLASS_KEYS:
            raise UserError(f'a common class has a name and a colour, got the key "{key}"')
    return {**entry, "name": written["name"]} if isinstance(written.get("name"), str) else entry


def _block(what: str, block: Any) -> Block:
    if not isinstance(block, dict) or not block:
        raise UserError(f"{what}: expected class: common class, a line each, such as tree: vegetation")
    return {name: _parts(what, name, value) for name, value in block.items()}


def _parts(what: str, name: str, value: Any) -> tuple[str, ...]:
    parts = value if isinstance(value, list) else [value]
    if not parts or not all(isinstance(p, str) and p for p in parts):
        raise UserError(f'{what}: "{name}" must be a common class, a list of them, or {DROPPED}; got {value!r}')
    return () if parts == [DROPPED] else tuple(parts)


def _written(parts: Sequence[str]) -> Any:
    return DROPPED if not parts else parts[0] if len(parts) == 1 else list(parts)


def plain(name: str) -> str:
    """A name without what sets like to write differently.

    >>> plain("Sign_Symbol") == plain("sign symbol") == plain("SignSymbol")
    True
    """
    return re.sub(r"[\s_-]", "", name).casefold()


def _plainly(block: Block) -> dict[str, tuple[str, ...]]:
    return {plain(name): parts for name, parts in block.items()}


def _matched(what: str, block: Block, names: Sequence[str]) -> dict[str, str]:
    """The set's own name of each class -> its name in the block."""
    close = _unique(block)
    found = {name: name if name in block else close.get(plain(name), "") for name in names}
    for name, key in found.items():
        if not key:
            raise UserError(f'{what} has a class "{name}" that its block does not name.{nearest(name, block)}')
    for key in block:
        if key not in found.values():
            raise UserError(f'{what} has no class "{key}", which its block names.{nearest(key, names)}')
    if len(set(found.values())) < len(found):
        twice = next(k for k in found.values() if list(found.values()).count(k) > 1)
        raise UserError(f'{what} has several classes that its block calls "{twice}"; name each of them in the block')
    return found


def _unique(names: Iterable[str]) -> dict[str, str]:
    """Plain name -> name, where only one has it."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(plain(name), []).append(name)
    return {key: same[0] for key, same in found.items() if len(same) == 1}
