"""A set of one pair: its val is empty, and the word of it names a split that has something."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perpixel.core.errors import UserError
from perpixel.data.folders import open_dataset


def test_an_empty_split_is_not_offered_for_itself(tmp_path: Path) -> None:
    for folder, pixels in (("images", np.zeros((8, 8, 3), np.uint8)), ("masks", np.eye(8, dtype=np.uint8))):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "a.png")
    with pytest.raises(UserError) as told:
        open_dataset(tmp_path).split("val")
    assert 'no split "val"; there are: train (1), val (0).' in str(told.value)
    assert str(told.value).endswith('The split "all" is all of them.')
