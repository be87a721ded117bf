"""Files are whole or not there."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from perpixel.core.errors import UserError, nearest
from perpixel.core.files import atomic_write, clean_leftovers, sha256_file, write_text


def test_a_written_file_is_whole_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    with atomic_write(target) as aside:
        assert aside.parent == target.parent, "a rename across file systems would not be atomic"
        assert aside.suffix == target.suffix, "writers choose their format by it"
        aside.write_bytes(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_after_an_error_the_old_file_is_as_it_was(tmp_path: Path, error: BaseException) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"old")

    def write() -> None:
        with atomic_write(target) as aside:
            aside.write_bytes(b"half of the n")
            raise error

    with pytest.raises(type(error)):
        write()
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_a_writer_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "model.bin"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(str(tmp_path / "x.yaml"), "Straße\n")
    assert (tmp_path / "x.yaml").read_bytes() == "Straße\n".encode()


def test_hash(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    large = bytes(range(256)) * 9999
    (tmp_path / "large").write_bytes(large)
    assert sha256_file(str(tmp_path / "large")) == hashlib.sha256(large).hexdigest()


def test_a_user_error_is_a_value_error() -> None:
    assert issubclass(UserError, ValueError)
    assert nearest("imges", ["images", "masks"]) == ' Did you mean "images"?'
    assert nearest("x", []) == ""


def test_leftovers_of_a_kill_go_and_everything_else_stays(tmp_path: Path) -> None:
    gone = [".model.safetensors.999999999.partial.safetensors", ".summary.json.999999999.partial.json", ".last.partial"]
    gone += [f".x.png.{os.getpid()}.partial.png", ".no_ending.999999999.partial"]
    stay = ["model.safetensors", ".partial", "a.partial", ".hidden", ".x.1.partial.txt", "partial.png"]
    for name in gone + stay:
        (tmp_path / name).write_text("")
    (tmp_path / ".last.partial").unlink()
    (tmp_path / ".last.partial").mkdir()
    (tmp_path / ".last.partial" / "state.json").write_text("{")
    outside = tmp_path.parent / f"{tmp_path.name}_outside"
    outside.mkdir()
    (outside / "mine").write_text("")
    (tmp_path / ".link.partial").symlink_to(outside)
    clean_leftovers(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(stay)
    assert (outside / "mine").exists()
    clean_leftovers(tmp_path / "nowhere")


def test_a_name_as_long_as_the_system_allows(tmp_path: Path) -> None:
    for name in (f"{'n' * 251}.png", f"{'水' * 83}.json"):
        with atomic_write(tmp_path / name) as aside:
            assert aside.suffix == (tmp_path / name).suffix
            aside.write_bytes(b"1")
        assert (tmp_path / name).read_bytes() == b"1"
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_names_the_file_that_was_meant(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_write(tmp_path / "model.bin") as aside:
            aside.symlink_to("/dev/full")
            aside.write_bytes(b"x" * 10**6)

    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / "model.bin")
    assert list(tmp_path.iterdir()) == []
