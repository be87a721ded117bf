"""The command line: exit statuses, one line for a user's fault, and nothing heavy before it is needed."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

import perpixel
from perpixel import cli
from perpixel.bundle import BundleInfo, save_bundle
from perpixel.core.image import read_mask
from perpixel.data.scenes import write_scenes
from perpixel.infer import load
from perpixel.labels import Taxonomy
from perpixel.models import MODELS, build
from perpixel.train import Interrupted, load_recipe

VERBS = (
    "demo",
    "check",
    "train",
    "evaluate",
    "predict",
    "report",
    "errors",
    "compare",
    "explain",
    "fields",
    "models",
    "decoupled",
    "convert",
)


class Done(NamedTuple):
    status: int
    out: str
    err: str


Perpixel = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Perpixel:
    """`perpixel ARGUMENTS` in this process."""

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["perpixel", *map(str, arguments)])
        capfd.readouterr()
        status = 0
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        return Done(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    info = BundleInfo(
        network="unet",
        options={"width": 2, "padding": "same"},
        taxonomy=Taxonomy.of(["road", "sky", "car"]).to_dict(),
        channels=3,
        mean=(0.5,) * 3,
        std=(0.3,) * 3,
    )
    model = build("unet", num_classes=3, width=2, padding="same")
    return save_bundle(tmp_path_factory.mktemp("bundle"), model, info)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    write_scenes(folder, train=3, val=2, size=(48, 64))
    return folder


def picture(file: Path, seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)
    return file


def assert_one_line(done: Done, *said: str) -> None:
    assert done.status == 2, done
    lines = [line for line in done.err.splitlines() if line.startswith("perpixel: ")]
    assert len(lines) == 1, done.err
    assert len(done.err.strip().splitlines()) <= 2, done.err
    assert "Traceback" not in done.err
    assert [words for words in said if words not in done.err] == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["predict", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    heavy = ("torch", "torchvision", "timm", "accelerate", "numpy", "PIL", "scipy", "matplotlib", "yaml")
    heavy += ("pydantic",) if len(arguments) == 1 else ()  # typer imports it to describe a verb's options
    code = (
        f"import sys; sys.argv = ['perpixel', *{arguments!r}]\n"
        "from perpixel.cli import main\n"
        "try: main()\n"
        f"finally: print('HEAVY', *(m for m in {heavy!r} if m in sys.modules))"
    )
    env = {"PYTHONPATH": str(Path(perpixel.__file__).parents[1]), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["HEAVY"]
    assert len(done.stdout) > 10


def test_help_names_every_verb(run: Perpixel) -> None:
    done = run("--help")
    assert done.status == 0
    assert [v for v in VERBS if not re.search(rf"^\s+{v}\s", done.out, re.MULTILINE)] == []
    for verb in VERBS:
        assert run(verb, "--help").status == 0


def test_version(run: Perpixel) -> None:
    assert run("--version") == Done(0, f"perpixel {perpixel.__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train", "--epoch", "3"],
        ["train", "data", "--epochs", "many"],
        ["train", "data", "--epochs", "-1"],
        ["train", "data", "--batch-size", "0"],
        ["evaluate", "street"],
        ["predict"],
        ["predict", "x.png", "--flip=maybe"],
    ],
)
def test_wrong_usage(run: Perpixel, arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.status == 2
    assert "Usage" in done.err or done.err.startswith("Error: ")
    assert "Traceback" not in done.err


def test_users_faults_are_one_line(run: Perpixel, bundle: Path, scenes: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    (tmp_path / "empty").mkdir()
    (tmp_path / "recipe.yaml").write_text("optimiser: {lrr: 1}")
    a_file = picture(tmp_path / "x.png")
    small = ["train", scenes, "--set", "steps=1", "--no-report"]
    cases: list[tuple[list[str | Path], str]] = [
        (["train"], "give DATA"),
        (["train", nowhere], "nowhere"),
        (["train", tmp_path / "empty"], "empty"),
        (["train", scenes, "--model", "unett"], 'Did you mean "unet"'),
        (["train", scenes, "--recipe", tmp_path / "recipe.yaml"], 'Did you mean "optimiser.lr"'),
        (["train", scenes, "--recipe", nowhere], "nowhere"),
        (["train", scenes, "--set", "optimiser.lr"], "KEY=VALUE"),
        (["train", scenes, "--set", "optimizer.lr=1"], 'Did you mean "optimiser"'),
        (["train", scenes, "--set", "batch_size=[1"], "YAML"),
        (["train", scenes, "--set", "batch_size=two"], "batch_size"),
        (["train", scenes, "--crop", "big"], "HEIGHTxWIDTH"),
        (["train", scenes, "--crop", "0x3"], "HEIGHTxWIDTH"),
        (["train", scenes, "--lr", "0"], "optimiser.lr"),
        (["train", scenes, "--epochs", "0"], "epochs"),
        (["train", scenes, "--epochs", "1", "--minutes", "1"], "epochs and minutes"),
        (["train", "--resume", nowhere], "recipe.yaml"),
        (["train", scenes, "--resume", nowhere], "recipe.yaml"),
        (["train", "--resume", nowhere, "--seed", "1"], "leave out the other options"),
        ([*small, "--out", a_file / "run"], "x.png"),
        (["evaluate", nowhere, scenes], "nowhere"),
        (["evaluate", bundle, nowhere], "nowhere"),
        (["evaluate", bundle, scenes], "classes"),
        (["evaluate", bundle, scenes, "--split", "vall"], 'Did you mean "val"'),
        (["evaluate", bundle, scenes, "--device", "tpu9"], "tpu9"),
        (["predict", nowhere, "--model", bundle], "nowhere"),
        (["predict", tmp_path / "empty", "--model", bundle], "no image"),
        (["predict", tmp_path / "*.tif", "--model", bundle], "no image"),
        (["predict", a_file, "--model", "streat"], "streat"),
        (["predict", a_file, "--model", tmp_path / "empty"], "model.json"),
        (["predict", a_file, "--model", bundle, "--out", a_file], "x.png"),
        (["report", nowhere], "nowhere"),
        (["check", nowhere], "nowhere"),
    ]
    for arguments, said in cases:
        assert_one_line(run(*arguments), said)
    assert len(cases) == 32
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "recipe.yaml", "x.png"]


def test_debug_shows_where_from_wherever_it_stands(run: Perpixel) -> None:
    for arguments in (["--debug", "train", "nowhere"], ["train", "nowhere", "--debug"]):
        done = run(*arguments)
        assert done.status == 2
        assert "Traceback" in done.err
        assert done.err.splitlines()[-1].startswith("perpixel: nowhere")


def test_our_faults_are_1(run: Perpixel, monkeypatch: pytest.MonkeyPatch, scenes: Path, bundle: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("perpixel.infer.load", broken)
    done = run("evaluate", bundle, scenes)
    assert done.status == 1
    assert "a fault of ours: ZeroDivisionError: by zero" in done.err
    assert "--debug" in done.err
    assert "Traceback" not in done.err
    assert "Traceback" in run("evaluate", bundle, scenes, "--debug").err


def test_interrupted_is_75(run: Perpixel, monkeypatch: pytest.MonkeyPatch, scenes: Path) -> None:
    def interrupted(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr("perpixel.train.train", interrupted)
    done = run("train", scenes)
    assert (done.status, done.err) == (75, "")


def test_predict_goes_on_past_a_bad_file(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    picture(folder / "a.png", 1)
    picture(folder / "sub" / "b.jpg", 2)
    picture(folder / "c.png", 3)
    (folder / "bad.png").write_bytes((folder / "a.png").read_bytes()[:60])
    (folder / "zero.png").write_bytes(b"")
    np.save(folder / "five.npy", np.zeros((4, 4, 5), np.uint8))
    (folder / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    done = run("predict", folder, "--model", bundle, "--out", out)
    assert done.status == 2
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) == 3
    assert "3 of 6 images" in done.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["classes"] == ["road", "sky", "car"]
    assert {Path(p).name for p in summary["images"]} == {"a.png", "b.jpg", "c.png"}
    assert {Path(p).name for p in summary["failed"]} == {"bad.png", "zero.png", "five.npy"}
    assert all(Path(p).name in reason for p, reason in summary["failed"].items())
    predictor = load(bundle, device="cpu")
    for path, entry in summary["images"].items():
        assert (entry["height"], entry["width"]) == (12, 14)
        assert sum(entry["share"].values()) == pytest.approx(1)
        labels = read_mask(out / entry["files"]["labels"]).values
        np.testing.assert_array_equal(labels, predictor.predict(path).labels)
        assert (out / entry["files"]["overlay"]).is_file()
    assert not (out / "bad.png").exists()


def test_an_image_too_large_for_memory_does_not_stop_the_others(
    run: Perpixel, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perpixel.infer import Predictor

    real = Predictor.predict

    def predict(self: Predictor, image: Any, *given: Any, name: str = "", **named: Any) -> object:
        if Path(name).stem == "large":
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9e12 bytes"
            )
        return real(self, image, *given, name=name, **named)

    monkeypatch.setattr(Predictor, "predict", predict)
    files = [picture(tmp_path / f"{stem}.png") for stem in ("a", "large", "z")]
    done = run("predict", *files, "--model", bundle, "--out", tmp_path / "out")
    assert done.status == 2
    assert "2 of 3 images" in done.out
    assert_one_line(done, "large.png", "memory")


def test_globs_folders_and_files_count_once(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.jpg"):
        picture(tmp_path / "in" / name)
    (tmp_path / "in" / "x.txt").write_text("")
    arguments = [tmp_path / "in" / "*.png", tmp_path / "in" / "a.png", tmp_path / "in", tmp_path / "in" / "**"]
    done = run("predict", *arguments, "--model", bundle, "--out", tmp_path / "out", "--probabilities", "--flip")
    assert done.status == 0, done.err
    assert "3 of 3 images" in done.out
    for stem in "abc":
        assert {f"{stem}.png", f"{stem}.json", f"{stem}_overlay.jpg", f"{stem}_probabilities.npy"} <= {
            p.name for p in (tmp_path / "out").iterdir()
        }
    assert len(list((tmp_path / "out").iterdir())) == 13


def test_stems_that_collide(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    names = [
        "a.png",
        "a.jpg",
        "a_png.png",
        "a_png_2.png",
        "x/a.png",
        "summary.png",
        "B.png",
        "x/b.png",
        "a_overlay.png",
    ]
    for i, name in enumerate(names):
        picture(tmp_path / "in" / name, i)
    done = run("predict", tmp_path / "in", "--model", bundle, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert len(summary["images"]) == len(names)
    written = [name.casefold() for entry in summary["images"].values() for name in entry["files"].values()]
    assert len(set(written)) == len(written) == 3 * len(names)
    assert "summary.json" not in written
    predictor = load(bundle, device="cpu")
    for path, entry in summary["images"].items():
        labels = read_mask(tmp_path / "out" / entry["files"]["labels"]).values
        np.testing.assert_array_equal(labels, predictor.predict(path).labels, err_msg=path)


def test_the_images_are_never_overwritten(run: Perpixel, bundle: Path, tmp_path: Path) -> None:
    file = picture(tmp_path / "a.png")
    before = file.read_bytes()
    assert_one_line(run("predict", tmp_path, "--model", bundle, "--out", tmp_path), "overwritten", "--out")
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_train_evaluate_predict(run: Perpixel, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    (tmp_path / "recipe.yaml").write_text("model: {name: unet}\nepochs: 9\nbatch_size: 3\n")
    options = [
        "--recipe",
        tmp_path / "recipe.yaml",
        "--model",
        "fast_scnn",
        "--crop",
        "32",
        "--epochs",
        "2",
        "--lr",
        "1e-3",
    ]
    done = run("train", scenes, *options, "--set", "precision=fp32", "--seed", "3", "--out", out, "--no-report")
    assert done.status == 0, done.err
    assert "val mIoU" in done.out
    assert "\x1b" not in done.out
    recipe = load_recipe(out / "recipe.yaml")
    assert (recipe.model.name, recipe.batch_size, recipe.steps, recipe.seed) == ("fast_scnn", 3, 2, 3)
    assert (recipe.data.crop, recipe.optimiser.lr, recipe.precision) == ((32, 32), 0.001, "fp32")
    assert_one_line(run("train", scenes, *options, "--out", out), "holds a run already")

    done = run("evaluate", out, scenes, "--out", tmp_path / "figures.json")
    assert done.status == 0, done.err
    figures, info = json.loads((tmp_path / "figures.json").read_text()), load(out).info
    assert info is not None
    same = ("mean_iou", "iou", "pixel_accuracy", "class_accuracy", "pixels", "convention", "images")
    assert [k for k in same if figures[k] != info.metrics[k]] == []
    assert figures["split"] == "val"
    assert "of " in figures["convention"]
    assert f"{figures['mean_iou']:.4f}" in done.out
    assert figures["convention"].split()[0] in done.out

    done = run("predict", scenes / "images" / "val", "--model", out, "--out", tmp_path / "predictions")
    assert done.status == 0, done.err
    assert "2 of 2 images" in done.out

    done = run("train", "--resume", out, "--no-report")
    assert done.status == 0, done.err
    assert "done      2 steps" in done.out


def test_models_lists_every_network(run: Perpixel) -> None:
    done = run("models")
    assert done.status == 0
    assert len(MODELS) >= 3
    assert [name for name in MODELS if name not in done.out] == []


def test_convert_weights_lists_its_sources_and_keeps_what_is_there(run: Perpixel, tmp_path: Path) -> None:
    listed = run("convert", "weights", "any", "--from", "?")
    assert listed.status == 0 and "fyu/drn: " in listed.out
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("mine")
    (tmp_path / "w.safetensors").write_bytes(b"")
    done = run("convert", "weights", tmp_path / "w.safetensors", "--from", "fyu/drn", "--out", tmp_path / "there")
    assert done.status == 2 and "is there already" in done.err
    assert (tmp_path / "there" / "file").read_text() == "mine"
    done = run("convert", "weights", tmp_path / "w.safetensors", "--from", "fyu/drn", "--out", tmp_path / "new")
    assert done.status == 2 and "cannot be read as weights" in done.err and "Traceback" not in done.err


def test_decoupled_trains_on_few_masks_and_on_images_without(run: Perpixel, scenes: Path, tmp_path: Path) -> None:
    photos = sorted((scenes / "images/val").iterdir())
    (tmp_path / "labels.csv").write_text(f"image,classes\n{photos[0]},road;tree\n{photos[1]},road\n")
    small = ["--set", "width=2", "--set", "window=2", "--set", "batch_norm=true", "--crop", "48", "--batch-size", "2"]
    short = ["--masks-per-class", "1", "--classifier-steps", "2", "--mask-steps", "2"]
    out = tmp_path / "run"
    done = run("decoupled", scenes, "--out", out, "--labels", tmp_path / "labels.csv", *small, *short)
    assert done.status == 0, done.err
    assert f"the model is {out}/best" in done.out
    assert (out / "report.html").is_file()
    assert run("evaluate", out, scenes).status == 0
    again = run("decoupled", scenes, "--out", out, *small, *short)
    assert (again.status, again.err.count("\n")) == (2, 1)
    assert "holds a run already" in again.err
    assert 'no class "rood"' in (
        run("decoupled", scenes, "--out", tmp_path / "b", *small, *short, "--labels", rewritten(tmp_path)).err
    )


def rewritten(folder: Path) -> Path:
    file = folder / "labels.csv"
    file.write_text(file.read_text().replace("road\n", "rood\n"))
    return file
