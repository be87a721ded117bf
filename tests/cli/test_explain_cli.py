"""perpixel fields and perpixel explain: what they print and write, and one line for a user's fault."""

import json
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from perpixel.bundle import BundleInfo, save_bundle
from perpixel.cli.explain import point, radius
from perpixel.core.errors import UserError
from perpixel.data.scenes import SCENES, write_scenes
from perpixel.explain import fields as module
from perpixel.models import build

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Perpixel


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    info = BundleInfo(
        network="unet",
        options={"width": 2, "padding": "same"},
        taxonomy=SCENES.to_dict(),
        channels=3,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
    )
    model = build("unet", num_classes=SCENES.num_classes, width=2, padding="same")
    return save_bundle(tmp_path_factory.mktemp("bundle"), model, info)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=3, val=3, size=(48, 64))
    return folder


FEW = ("--layers", "contracting.0,score", "--units", "2", "--images", "2", "--step", "8")


def test_fields_prints_the_table_and_writes_it(run: Perpixel, bundle: Path, scenes: Path, tmp_path: Path) -> None:
    done = run("fields", bundle, scenes, *FEW, "--out", tmp_path / "new")
    assert done.status == 0, done
    assert "passes, over" in done.out
    rows = {
        line.split()[0]: line.split() for line in done.out.splitlines() if line.startswith(("contracting", "score"))
    }
    assert rows["contracting.0"][1] == "5", "two 3 x 3 convolutions"
    record = json.loads((tmp_path / "new" / "fields.json").read_text())
    assert [layer["layer"] for layer in record["layers"]] == ["contracting.0", "score"]
    assert record["layers"][0]["theoretical"] == [5, 5]
    assert record["input"] == [48, 64]
    assert Image.open(tmp_path / "new" / "fields.png").width > 500
    again = run("fields", bundle, scenes, *FEW, "--out", tmp_path / "new")
    assert "\n0 passes" in f"\n{again.out}"
    assert [line for line in again.out.splitlines() if line.startswith("score")] == [
        line for line in done.out.splitlines() if line.startswith("score")
    ]


def test_an_interrupt_says_how_to_go_on(
    run: Perpixel, bundle: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "discrepancies", interrupt)
    done = run("fields", bundle, scenes, *FEW, "--out", tmp_path)
    assert done.status == 75 and "the same command goes on" in done.out
    assert run("fields", bundle, scenes, *FEW).status == 130


def test_explain_prints_and_writes(run: Perpixel, bundle: Path, scenes: Path, tmp_path: Path) -> None:
    image = next((scenes / "images" / "val").iterdir())
    done = run("explain", bundle, image, "--at", "20,30", "--class", "road", "--step", "16", "--out", tmp_path / "new")
    assert done.status == 0, done
    for word in ("scores", "occlusion", "fields", "context"):
        assert f"\n{word} " in f"\n{done.out}"
    stem = f"{image.stem}_20_30"
    record = json.loads((tmp_path / "new" / f"{stem}.json").read_text())
    assert record["explained"] == "road" and record["input_at"] == [20, 30]
    assert Image.open(tmp_path / "new" / f"{stem}.png").width > 1000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layers", "scor"], 'Did you mean "score"'),
        (["--layers", "zzz"], "It has contracting"),
        (["--layers", "contracting"], "gives no map"),
        (["--split", "vall"], 'Did you mean "val"'),
        (["--layers", "score", "--minutes", "0"], "more than the time given"),
    ],
)
def test_faults_of_fields_are_one_line(
    run: Perpixel, bundle: Path, scenes: Path, options: list[str], said: str
) -> None:
    done = run("fields", bundle, scenes, *options)
    assert done.status == 2 and said in done.err, done
    assert len(done.err.strip().splitlines()) <= 2 and "Traceback" not in done.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at", "48,0"], "48 rows and 64 columns"),
        (["--at", "0,64"], "lies outside"),
        (["--at", "-1,3"], "--at takes a row and a column"),
        (["--at", "5"], "--at takes a row and a column"),
        (["--at", "5,5", "--class", "roda"], 'Did you mean "road"'),
        (["--at", "5,5", "--fill", "black"], '"mean" or "blur"'),
    ],
)
def test_faults_of_explain_are_one_line(
    run: Perpixel, bundle: Path, scenes: Path, options: list[str], said: str, tmp_path: Path
) -> None:
    image = next((scenes / "images" / "val").iterdir())
    done = run("explain", bundle, image, *options, "--step", "32", "--out", tmp_path / "new")
    assert done.status == 2 and said in done.err, done
    assert len(done.err.strip().splitlines()) <= 2 and "Traceback" not in done.err
    assert not (tmp_path / "new").exists()


def test_an_image_that_is_none(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    done = run("explain", bundle, tmp_path / "x.png", "--at", "0,0")
    assert done.status == 2 and "not an image" in done.err


def test_points_and_radii() -> None:
    assert point(" 12, 7") == (12, 7)
    for wrong in ("1", "1,2,3", "a,b", "1.5,2", ""):
        with pytest.raises(UserError, match="--at 120,200"):
            point(wrong)
    assert [radius(r) for r in (0, 16, float("inf"))] == ["nothing around it", "16 pixels around it", "the whole image"]
