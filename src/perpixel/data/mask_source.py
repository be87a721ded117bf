"""Where a sample's mask comes from: whatever can be named in a message and read as it is on disk."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from perpixel.core.image import RawMask, read_mask


class MaskSource(Protocol):
    """A mask that is not read yet. Two are equal, and hash alike, where they would read the same."""

    @property
    def path(self) -> Path:
        """The file that a message names and whose bytes decide the mask."""

    def read(self) -> RawMask:
        """The mask, unconverted.

        Raises:
            UserError: it cannot be read.
        """


@dataclass(frozen=True)
class MaskFile:
    """A mask that is an image file of its own."""

    path: Path

    def read(self) -> RawMask:
        """The file's values, as `read_mask` keeps them."""
        return read_mask(self.path)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class InstanceIds:
    """A mask of Cityscapes' instanceIds: of an object the id of its class times 1000 and its number, of all else the id."""

    path: Path

    def read(self) -> RawMask:
        """The ids of the classes."""
        raw = read_mask(self.path)
        if raw.values.max() < 1000:
            return raw
        return replace(raw, values=np.where(raw.values >= 1000, raw.values // 1000, raw.values))
