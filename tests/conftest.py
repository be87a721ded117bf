"""Fixtures that every test may use."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: two test processes share two cores

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets, or a loud skip where it is absent (set PERPIXEL_DATA to it)."""
    folder = Path(os.environ.get("PERPIXEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA ABSENT: {folder} is not a folder; set PERPIXEL_DATA to run this test")
    return folder
