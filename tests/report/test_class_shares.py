"""The table of what the loss listens to, from a history."""

from pathlib import Path

from perpixel.labels import Taxonomy
from perpixel.report.class_shares import BOUNDARY, share_table
from perpixel.report.run import read_run
from perpixel.train import Recipe

NAMES = Taxonomy.of(["road", "sky"])
HEADER = "step,loss," + ",".join(
    f"{what}_{name}" if name != "boundary" else f"boundary_{what}"
    for what in ("pixels", "loss", "gradient")
    for name in ("road", "sky", "boundary")
)


def history(folder: Path, text: str) -> Path:
    folder.mkdir()
    Recipe(steps=3).save(folder / "recipe.yaml")
    (folder / "history.csv").write_text(text)
    return folder


def test_first_and_last_row_with_shares(tmp_path: Path) -> None:
    rows = [
        "1,2.0,0.7,0.3,0.1,0.6,0.4,0.2,0.5,0.5,0.3",
        "2,1.9,0.6,0.4,0.1,0.5,0.5,0.2,0.4,0.6,0.3",
        "3,1.8,0.8,0.2,0.15,0.9,0.1,0.25,0.97,0.03,0.4",
        "4,1.7,,,,,,,,,",
    ]
    table = share_table(read_run(history(tmp_path / "run", "\n".join([HEADER, *rows, ""]))), NAMES)
    assert table is not None
    assert (table.first, table.last) == (1, 3)
    road, sky, border = table.rows
    assert (road.name, sky.name, border.name) == ("road", "sky", BOUNDARY)
    assert (sky.pixels, sky.loss, sky.gradient) == ((0.3, 0.2), (0.4, 0.1), (0.5, 0.03))
    assert (border.pixels, border.gradient) == ((0.1, 0.15), (0.3, 0.4))


def test_a_history_of_an_earlier_version_has_none(tmp_path: Path) -> None:
    run = read_run(history(tmp_path / "run", "step,loss\n1,2.0\n"))
    assert share_table(run, NAMES) is None
    assert share_table(run, None) is None
