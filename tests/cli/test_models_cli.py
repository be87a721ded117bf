"""`perpixel models` reads its files, and needs nothing that is slow to import."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import perpixel

PROGRAM = """
import sys
sys.argv = ["perpixel", "models", *sys.argv[1:]]
import perpixel.cli
try:
    perpixel.cli.main()
except SystemExit as end:
    assert not end.code, end.code
heavy = ("torch", "torchvision", "timm", "accelerate", "scipy", "matplotlib", "perpixel.models", "perpixel.infer")
print("LOADED", [name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize("arguments", [(), ("--markdown",), ("--fields",)])
def test_the_table_is_read_and_not_computed(arguments: tuple[str, ...]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(perpixel.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    *shown, loaded = done.stdout.splitlines()
    assert loaded == "LOADED []"
    row = {
        (): "unet                    31,032,915         247 G      1  not measured  2015 U-Net",
        ("--markdown",): "| `unet` | U-Net",
        ("--fields",): "unet                      204  contracting.0 5/1, ",
    }[arguments]
    assert len([line for line in shown if line.startswith(row)]) == 1
    assert arguments or shown[-1].startswith("bundled: street (enet, 11 classes, mIoU 0.693 on CamVid val)")
