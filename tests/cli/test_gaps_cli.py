"""What the shell and the disk do to the command line: blank values, a full disk, and notes about images of a detector."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import perpixel

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Perpixel, assert_one_line, picture

from perpixel.explain.journal import Journal

SMALL_DISK = (
    "import resource, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)),) * 2)\n"
    "from perpixel.cli import main\n"
    "main()\n"
)
"""No file may be larger, which fails in the middle of a write as a full disk does."""


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("demo", "--out"),
        ("train", "--out"),
        ("train", "--crop"),
        ("decoupled", "--out"),
        ("predict", "--out"),
        ("evaluate", "--out"),
        ("errors", "--out"),
        ("compare", "--out"),
        ("fields", "--out"),
        ("explain", "--out"),
    ],
)
def test_a_blank_value_runs_nothing(
    run: Perpixel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verb: str, option: str, blank: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ([option, blank], [f"{option}={blank}"]):
        assert_one_line(run(verb, "data", *given), f"what follows {option} is empty")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_model_makes_no_folder(run: Perpixel, tmp_path: Path) -> None:
    assert_one_line(
        run("predict", picture(tmp_path / "a.png"), "--model", "nosuch", "--out", tmp_path / "out"), "nosuch"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
def test_fields_on_a_full_disk_names_its_file(bundle: Path, scenes: Path, tmp_path: Path) -> None:
    arguments = ["fields", bundle, scenes, "--units", "1", "--images", "1", "--step", "20", "--layers", "contracting.4"]
    done = _on_a_small_disk(200, [*arguments, "--out", tmp_path])
    assert done.returncode == 2, done.stderr
    assert f"perpixel: {tmp_path / 'fields.jsonl'}: {os.strerror(errno.EFBIG)}" in done.stderr
    text = (tmp_path / "fields.jsonl").read_text()
    assert text.endswith("\n") and text.count("\n") == 1  # what it works on; the piece that did not fit is not there


def _on_a_small_disk(most: int, arguments: list[str | Path]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(Path(perpixel.__file__).parents[1])}
    command = [sys.executable, "-c", SMALL_DISK, str(most), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=120)


def test_a_journal_that_cannot_grow_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "j.jsonl", {"of": "a"})
    journal.add({"n": 1})
    before = (tmp_path / "j.jsonl").read_bytes()

    class Full:
        def __init__(self, file: Path, *_: object, **__: object) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, text: str) -> None:
            self.file.write_bytes(before + text[:3].encode())
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("builtins.open", Full)
    with pytest.raises(OSError, match=r"j\.jsonl") as raised:
        journal.add({"n": 2})
    monkeypatch.undo()
    assert raised.value.errno == errno.ENOSPC
    assert (tmp_path / "j.jsonl").read_bytes() == before and journal.pieces == [{"n": 1}]


@pytest.fixture
def translucent(squares: Path, tmp_path: Path) -> Path:
    """A copy of the squares whose image val/1 has an alpha band, half of it transparent."""
    folder = shutil.copytree(squares, tmp_path / "squares")
    file = folder / "images" / "val" / "1.png"
    rgb = np.asarray(Image.open(file))
    alpha = np.where(np.arange(rgb.shape[1]) < rgb.shape[1] // 2, 0, 255) * np.ones(rgb.shape[:2])
    Image.fromarray(np.dstack([rgb, alpha.astype(np.uint8)])).save(file)
    return folder


def test_a_detector_says_what_it_left_out(run: Perpixel, detector_run: Path, translucent: Path, tmp_path: Path) -> None:
    said = "read      the last band, tagged as alpha, is left out: "
    measured = run("evaluate", detector_run, translucent, "--device", "cpu")
    assert measured.status == 0, measured.err
    assert [line for line in measured.out.splitlines() if line.startswith(said)] == [f"{said}1"]
    images = translucent / "images" / "val"
    predicted = run("predict", images, "--model", detector_run, "--out", tmp_path / "out", "--device", "cpu")
    assert predicted.status == 0, predicted.err
    assert [x for x in predicted.out.splitlines() if x.startswith(said)] == [f"{said}{images / '1.png'}"]


@pytest.mark.parametrize("kind", ["bundle", "detector_run"])
def test_predict_shows_how_far_it_is_in_plain_lines(
    run: Perpixel,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    squares: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    times = iter(range(0, 10**6, 20))
    monkeypatch.setattr("perpixel.core.reporter.time.monotonic", lambda: next(times))
    model = request.getfixturevalue(kind)
    done = run("predict", squares / "images" / "val", "--model", model, "--out", tmp_path / "out", "--device", "cpu")
    assert done.status == 0, done.err
    assert "predicted 1/3" in done.err and "predicted 3/3" in done.err
    assert "predicted 1/3" not in done.out
