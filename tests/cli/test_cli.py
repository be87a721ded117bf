"""The command line: exit statuses, one line for a user's fault, and nothing heavy before it is needed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import perpixel
from perpixel.infer import load
from perpixel.models import MODELS
from perpixel.train import Interrupted, load_recipe

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from command_line import Done, Perpixel, assert_one_line, picture

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
