"""perpixel check on the command line: what it prints, its exit status, and the dataset.yaml that it writes."""

from pathlib import Path

import numpy as np
import pytest
import typer
import yaml
from PIL import Image
from typer.testing import CliRunner, Result

from perpixel.cli.check import check
from perpixel.core.errors import UserError

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(check)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def make(root: Path, palette: list[tuple[int, int, int]] | None = None) -> Path:
    """Five pairs; masks are 0 / 255, or index into a list of colours."""
    rng = np.random.default_rng(0)
    for i in range(5):
        mask = np.zeros((24, 32), np.uint8)
        mask[4 : 14 + i, 4:16], mask[4 : 14 + i, 16:28] = 1, 2
        stored = np.array(palette, np.uint8)[mask] if palette else (mask > 0).astype(np.uint8) * 255
        for name, array in (("images", rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)), ("masks", stored)):
            (root / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(root / name / f"p{i}.png")
    return root


def test_clean_data(tmp_path: Path) -> None:
    result = run(make(tmp_path))
    assert result.exit_code == 0
    expected = ("layout    flat", "background", "foreground", "2 classes", "all 24x32", "a dataset.yaml to start from")
    assert [words for words in expected if words not in result.output] == []
    assert result.output.splitlines()[-1] == "no defect found"
    assert "\x1b[" not in result.output
    assert not (tmp_path / "dataset.yaml").exists()


def test_defect_names_the_file_and_exits_with_2(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "images/p2.png").write_bytes(b"")
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "    images/p2.png: the file is empty (0 bytes)" in result.output
    assert "fix: " in result.output
    assert result.output.splitlines()[-1] == "1 defect"


def test_warning_alone_exits_with_0(tmp_path: Path) -> None:
    make(tmp_path)
    Image.new("RGB", (32, 24)).save(tmp_path / "images/p2.png")
    result = run(tmp_path)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "no defect found, 1 warning"


def test_long_file_lists_are_cut_and_long_paths_are_not(tmp_path: Path) -> None:
    root = make(tmp_path / ("deep" * 30))
    for i in range(30):
        Image.new("L", (32, 24)).save(root / f"masks/{'long_name_' * 12}{i}.png")
    result = run(root)
    assert result.exit_code == 2
    assert f"    masks/{'long_name_' * 12}0.png\n" in result.output
    assert "and 20 more" in result.output


def test_write_and_then_train_takes_it(tmp_path: Path) -> None:
    from perpixel.data.folders import open_dataset
    from perpixel.data.pairs import read_labels
    from perpixel.data.statistics import infer_taxonomy

    data = make(tmp_path, [(0, 0, 0), (128, 64, 0), (0, 0, 200)])
    first = run(data)
    assert first.exit_code == 0
    assert "--write, then give the classes" in first.output
    with pytest.raises(UserError, match="perpixel check DATA --write"):
        infer_taxonomy(open_dataset(data).split("train"))
    written = run(data, "--write")
    assert written.exit_code == 0
    assert f"wrote {data / 'dataset.yaml'}" in written.output
    dataset = open_dataset(data)
    assert dataset.taxonomy is not None
    assert dataset.taxonomy.names == ("class 0-0-0", "class 0-0-200", "class 128-64-0")
    samples = [s for split in dataset.splits.values() for s in split]
    assert {int(v) for s in samples for v in np.unique(read_labels(s, dataset.taxonomy))} == {0, 1, 2}
    after = run(data)
    assert after.exit_code == 0
    assert "to start from" not in after.output


def test_write_never_replaces_a_file(tmp_path: Path) -> None:
    data = make(tmp_path)
    text = yaml.safe_dump({"classes": [{"name": "a", "values": [0]}, {"name": "b", "values": [255]}]})
    (data / "dataset.yaml").write_text(text)
    result = run(data, "--write")
    assert result.exit_code == 0
    assert "stays as it is" in result.output
    assert (data / "dataset.yaml").read_text() == text


def test_yaml_without_classes_gets_the_lines_to_add(tmp_path: Path) -> None:
    data = make(tmp_path, [(0, 0, 0), (128, 64, 0), (0, 0, 200)])
    (data / "dataset.yaml").write_text("licence: CC0\n")
    result = run(data, "--write")
    assert result.exit_code == 0
    assert "names no classes" in result.output
    assert "class 128-64-0" in result.output
    assert (data / "dataset.yaml").read_text() == "licence: CC0\n"


def test_help_needs_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, perpixel.cli.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert run("--help").exit_code == 0
