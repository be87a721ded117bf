"""Which sample a list means by an entry, whatever system and program wrote the list."""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perpixel.core.errors import nearest
from perpixel.core.image import SUFFIXES
from perpixel.core.text import with_slashes
from perpixel.data.samples import Sample

EXAMPLES = 3


@dataclass(frozen=True)
class Names:
    """Samples by their names.

    Args:
        exact: by the whole name, and by its last part (a/b: b) where only one sample has it.
        folded: by the same in small letters, where only one sample has it.
        numbered: by the one number in the last part, or that which it begins with, where only one sample has it.
    """

    exact: Mapping[str, Sample]
    folded: Mapping[str, Sample]
    numbered: Mapping[int, Sample]

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Names":
        """The names of some samples."""
        samples = tuple(samples)
        exact = _unique((_last(s.name), s) for s in samples) | {s.name: s for s in samples}
        folded = _unique((name.casefold(), s) for name, s in exact.items())
        return cls(exact, folded, _unique((n, s) for s in samples if (n := _number(_last(s.name))) is not None))

    def find(self, entry: str) -> Sample | None:
        """The sample that an entry means: a name, a file's name, or a path of which only the end is ours.

        The longest end counts. Then the same in other letters (A for a), and last, for an entry of digits alone, the sample
        of that number: 2 for 002_image.
        """
        entry = composed(with_slashes(entry)).strip().removeprefix("./")
        parts = without_suffix(entry).split("/")
        ends = [entry, *("/".join(parts[i:]) for i in range(len(parts)))]
        found = next((self.exact[e] for e in ends if e in self.exact), None)
        found = found or next((self.folded[e.casefold()] for e in ends if e.casefold() in self.folded), None)
        return found or (self.numbered.get(int(entry)) if re.fullmatch("[0-9]{1,9}", entry) else None)

    def find_in_line(self, line: str) -> Sample | None:
        """The sample that a line means: all of it (names may have spaces), or what stands before a tab, comma,
        semicolon or space, the longest that is a name."""
        cuts = [m.start() for m in re.finditer(r"[\t,; ]+", line)]
        tried = [line, *(line[:cut] for cut in reversed(cuts))]
        return next((s for text in tried if (s := self.find(text.strip().strip("\"'"))) is not None), None)

    def unknown(self, entry: str) -> str:
        """Words for an entry that means no sample, with examples of those that do."""
        names = sorted({s.name for s in self.exact.values()})
        like = f" Names here are such as {', '.join(names[:EXAMPLES])}." if names else " There is no pair here."
        return f'no image and mask for "{entry.strip()[:200]}".{nearest(entry.strip()[:200], names)}{like}'


def composed(name: str) -> str:
    """A name in the one form of Unicode (NFC) that compares: macOS takes letters and their accents apart."""
    return unicodedata.normalize("NFC", name)


def without_suffix(entry: str) -> str:
    """A file name without the ending of an image; other dots belong to the name.

    >>> without_suffix("scan 1.5.png"), without_suffix("scan 1.5")
    ('scan 1.5', 'scan 1.5')
    """
    ending = Path(entry).suffix
    return entry.removesuffix(ending) if ending.lower() in SUFFIXES else entry


def _last(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _number(name: str) -> int | None:
    numbers = re.findall("[0-9]{1,9}", name)
    return int(numbers[0]) if len(numbers) == 1 or (numbers and name[0] in "0123456789") else None


def _unique(named: Iterable[tuple[Any, Sample]]) -> dict[Any, Sample]:
    found: dict[Hashable, Sample] = {}
    twice = set()
    for key, sample in named:
        if found.setdefault(key, sample) is not sample:
            twice.add(key)
    return {key: sample for key, sample in found.items() if key not in twice}
