"""Which picture below a folder an annotation file means by a name: names lead to files that are there, and nowhere else."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perpixel.core.errors import UserError
from perpixel.core.text import with_slashes
from perpixel.data.listing import list_images
from perpixel.data.naming import composed, without_suffix


@dataclass(frozen=True)
class Pictures:
    """The pictures below a folder by every end of their paths: c.jpg, b/c.jpg and a/b/c.jpg.

    A name such as ../../x/c.jpg or https://host/x/c.jpg is compared with these alone; no path is ever made of it.
    """

    root: Path
    ends: dict[str, list[Path]]

    @classmethod
    def below(cls, root: Path, files: Iterable[Path] | None = None) -> "Pictures":
        """The pictures below a folder, or those of them that are given."""
        ends: dict[str, list[Path]] = {}
        for path in list_images(root) if files is None else files:
            parts = composed(path.relative_to(root).as_posix()).split("/")
            for i in range(len(parts)):
                for end in {whole := "/".join(parts[i:]), without_suffix(whole)}:
                    ends.setdefault(end.casefold(), []).append(path)
        return cls(root, ends)

    def find(self, name: str, source: Path) -> Path | None:
        """The picture that `source`, an annotation file, calls by a name; None where there is none.

        The longest end of the name counts, first with its ending, then without. Of several pictures that one is taken which
        lies in the folder of `source`, or in a folder that is called as `source` says (instances_val2017.json: val2017).

        Raises:
            UserError: several pictures could be meant.
        """
        parts = [p for p in composed(with_slashes(name)).split("?")[-1].split("/") if p not in ("", ".", "..")]
        whole = ["/".join(parts[i:]).casefold() for i in range(len(parts))]
        for end in (*whole, *map(without_suffix, whole)):
            if found := self.ends.get(end):
                return self._one(sorted(set(found)), name, source)
        return None

    def _one(self, found: list[Path], name: str, source: Path) -> Path:
        if len(found) == 1:
            return found[0]
        words = set(re.split(r"[^a-z0-9]+", source.stem.lower()))
        beside = [p for p in found if p.parent == source.parent]
        called = [p for p in found if words & {x.lower() for x in p.relative_to(self.root).parts[:-1]}]
        exact = [p for p in found if p.suffix.lower() == Path(name).suffix.lower()]
        for few in (beside, called, exact):
            if len(few) == 1:
                return few[0]
        names = " and ".join(p.relative_to(self.root).as_posix() for p in found[:2])
        raise UserError(f'{source}: "{name[:100]}" could be {names}; write the folder into the name, or keep one')
