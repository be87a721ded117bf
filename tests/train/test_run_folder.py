"""What a killed training left half-written goes when its folder is claimed again."""

from pathlib import Path

from perpixel.train.run_folder import RunFolder


def test_leftovers_of_a_killed_save_go(tmp_path: Path) -> None:
    killed = [tmp_path / folder / ".history.csv.999999999.partial.csv" for folder in ("", "best")]
    whole = [tmp_path / folder / "history.csv" for folder in ("", "best")]
    (tmp_path / "best").mkdir()
    for file in (*killed, *whole):
        file.write_text("step")
    with RunFolder(tmp_path).claimed():
        assert [file.exists() for file in killed] == [False, False]
    assert [file.read_text() for file in whole] == ["step", "step"]
