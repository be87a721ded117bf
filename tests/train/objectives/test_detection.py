"""Detection on the common engine: resumed bit for bit, its bundle, what it refuses, and that it learns."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import perpixel
from perpixel.bundle import load_bundle, read_info
from perpixel.core.errors import UserError
from perpixel.core.reporter import Silent
from perpixel.detection import detection_loss
from perpixel.detection.objects import Objects
from perpixel.detection.samples import pack, unpack
from perpixel.infer import load
from perpixel.infer.detector import load_detector
from perpixel.train import Interrupted, Recipe, load_recipe, resume, train
from perpixel.train.checkpoint import load_checkpoint
from perpixel.train.objective import Place
from perpixel.train.objectives import make_job
from perpixel.train.objectives.detection import Learner
from perpixel.train.run import fit

TIMING = ("seconds", "images_per_second", "clock", "judged_at", "row_at", "tensors_sha256")


class Told:
    """A reporter that keeps its lines and asks to stop after a step."""

    def __init__(self, stop_after: int = 0) -> None:
        self.stop_after, self.lines = stop_after, []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def step(self, step: int, steps: int, text: str = "") -> None:
        if step == self.stop_after and text.startswith("loss"):
            os.kill(os.getpid(), signal.SIGTERM)


def outcome(run: Path) -> tuple[dict[str, torch.Tensor], dict[str, object], bytes]:
    checkpoint, _ = load_checkpoint(run)
    state = {k: v for k, v in checkpoint.state.items() if k not in TIMING}
    state["rows"] = [{k: v for k, v in row.items() if k not in TIMING} for row in state["rows"]]
    return dict(checkpoint.tensors), state, (run / "best" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(("stop", "workers"), [(2, 0), (4, 2)])
def test_a_resumed_run_is_the_uninterrupted_one(
    tmp_path: Path, detector_recipe: Recipe, detector_run: Path, stop: int, workers: int
) -> None:
    recipe = detector_recipe.changed({"data.workers": workers})
    with pytest.raises(Interrupted):
        train(recipe, tmp_path / "run", Told(stop))
    assert load_checkpoint(tmp_path / "run")[0].state["step"] == stop
    resume(tmp_path / "run")
    (tensors, state, best), (wanted, wanted_state, wanted_best) = outcome(tmp_path / "run"), outcome(detector_run)
    assert state == wanted_state
    assert [k for k in wanted if not torch.equal(tensors[k], wanted[k])] == []
    assert best == wanted_best


def test_the_run_says_everything(detector_run: Path, squares: Path) -> None:
    _, state, _ = outcome(detector_run)
    assert [r["step"] for r in state["rows"] if "val_ap" in r] == [3, 6]
    info, described = read_info(detector_run / "best"), json.loads((detector_run / "best" / "model.json").read_text())
    assert (info.task, described["task"], info.network) == ("detection", "detection", "rfcn")
    assert info.detection is not None
    assert (info.detection.classes, info.detection.most) == (("bright", "dark"), 300)
    assert info.classes.names == ("background", "bright", "dark")
    assert info.metrics["convention"].startswith("mean over 2 of 2 classes; coco:")
    recipe = load_recipe(detector_run / "recipe.yaml")
    assert recipe.detection is not None
    assert recipe.detection.classes == ("bright", "dark")
    sizes = recipe.model.options["anchor_sizes"]
    assert len(sizes) == 3 and 12 <= sizes[0] <= sizes[1] <= sizes[2] <= 24  # the sides of the squares
    model, _ = load_bundle(detector_run)
    assert model(torch.zeros(1, 3, 40, 50))["class_logits"].shape[1] == 3


def test_each_predictor_refuses_the_other_task(detector_run: Path, bundle: Path) -> None:
    with pytest.raises(UserError, match=r"a detector \(rfcn\); perpixel.infer.detector.load_detector loads it"):
        load(detector_run)
    with pytest.raises(UserError, match="unet segments and finds no boxes"):
        load_detector(bundle)


def test_a_segmentation_bundle_stays_as_it_was(bundle: Path) -> None:
    described = json.loads((bundle / "model.json").read_text())
    assert "task" not in described and "detection" not in described
    assert read_info(bundle).task == "segmentation"


@pytest.mark.parametrize("key", ["task", "detection"])
def test_task_and_part_go_together(detector_run: Path, tmp_path: Path, key: str) -> None:
    described = json.loads((detector_run / "best" / "model.json").read_text())
    del described[key]
    (tmp_path / "model.json").write_text(json.dumps(described))
    with pytest.raises(UserError, match='"detection" goes with the task detection'):
        read_info(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detection.classes": ["bright", "drak"]}, '"drak" is no class of the data .*Did you mean "dark"'),
        ({"detection.classes": []}, "must name one class of objects or more"),
        ({"detection.classes": ["dark", "dark"]}, "each once; got dark, dark"),
        ({"detection.least_pixels": 5000}, "no training mask shows an object of bright, dark of 5000 pixels or more"),
        ({"detection.instances": "nowhere"}, "no mask of instances for it; looked for .*nowhere"),
        ({"detection.loss": {"regoins": 3}}, "has no option"),
        ({"model.options": {"encoder": "resnet10t", "strid": 8}}, 'rfcn has no option "strid"'),
        ({"detection.mots": 3}, "unknown key"),
        ({"detection.iou": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_learned_says_why(
    tmp_path: Path, detector_recipe: Recipe, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(detector_recipe.changed(changes), tmp_path / "run")
    assert not (tmp_path / "run").exists() or not (tmp_path / "run" / "best").exists()


def test_detection_is_no_part_of_a_segmentation_recipe(tmp_path: Path, squares: Path) -> None:
    with pytest.raises(UserError, match="unet is no detector; leave detection out"):
        train(Recipe().changed({"model.name": "unet", "detection": {}, "data.path": str(squares)}), tmp_path / "run")


def test_lines_tell_what_is_learned(detector_recipe: Recipe) -> None:
    lines = make_job(detector_recipe.changed({"detection.instances": "instances"}), Silent()).lines
    text = "\n".join(lines)
    assert "objects   masks in instances: bright " in text
    assert "anchors   of " in text and "[128, 256, 512]" in text


def test_batches_are_views_with_their_objects(detector_recipe: Recipe) -> None:
    """A bright square is where a bright box says, in every view."""
    job = make_job(detector_recipe.changed({"data.jitter": 0.0}), Silent())
    objective, seen = job.stages[0].make(), 0
    for batch in objective.batches(0, 6, Place(torch.device("cpu"))):
        assert len(batch.objects) == len(batch.image) == len(batch.names) == 2
        for image, objects in zip(batch.image, batch.objects, strict=True):
            for box, label in zip(objects.boxes[objects.clear], objects.classes[objects.clear], strict=True):
                x1, y1, x2, y2 = (round(v) for v in box.tolist())
                inside = image[:, y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].float().mean()
                assert inside > 220 if label == 0 else inside < 40
                seen += 1
    assert seen > 12


def test_pack_and_unpack() -> None:
    given = [
        Objects.of([[0, 1, 2.5, 3]], [7], difficult=[True]),
        Objects.of([], []),
        Objects.of([[1, 1, 2, 2], [3, 3, 4, 4]], [0, 2], crowd=[False, True]),
    ]
    for one, other in zip(given, unpack(pack(given), 3), strict=True):
        for key in ("boxes", "classes", "difficult", "crowd"):
            assert torch.equal(getattr(one, key), getattr(other, key))
            assert getattr(one, key).dtype == getattr(other, key).dtype


def test_the_learner_is_the_loss_of_the_proposals(detector_recipe: Recipe) -> None:
    objective = make_job(detector_recipe, Silent()).stages[0].make()
    batch = next(iter(objective.batches(0, 1, Place(torch.device("cpu")))))
    detector = objective.network.eval().detector
    inputs = objective.inputs(batch, torch.device("cpu"))
    torch.manual_seed(3)
    loss = objective.loss(objective.network(*inputs), batch)
    torch.manual_seed(3)
    wanted = detection_loss("rfcn", detector, regions=32)(detector.propose(inputs[0]), batch.objects)["loss"]
    assert torch.equal(loss, wanted)
    assert isinstance(objective.network, Learner)
    before = torch.random.get_rng_state()
    objective.predictor(objective.network.state_dict(), torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)  # how often one judges changes no training


def test_an_image_without_objects_trains_and_evaluates(tmp_path: Path, detector_recipe: Recipe, squares: Path) -> None:
    """And so do a class that no training image shows, and a val split with nothing to find."""
    for kind in ("images", "masks"):
        for split in ("train", "val"):
            (tmp_path / kind / split).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, n in (("train", 0), ("train", 1), ("val", 2)):
        Image.fromarray(rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)).save(
            tmp_path / "images" / split / f"{n}.png"
        )
        mask = np.zeros((64, 64), np.uint8)
        mask[10:30, 10:40] = n == 0
        Image.fromarray(mask).save(tmp_path / "masks" / split / f"{n}.png")
    (tmp_path / "dataset.yaml").write_text((squares / "dataset.yaml").read_text())
    run = tmp_path / "run"
    train(detector_recipe.changed({"data.path": str(tmp_path), "steps": 2}), run)
    metrics = read_info(run / "best").metrics
    assert (metrics["coco"]["ap"], metrics["objects"]) == (None, [0, 0])
    assert metrics["convention"].startswith("mean over 0 of 2 classes")


def test_it_learns(detector_recipe: Recipe) -> None:
    """The squares are found after some steps, on images that were not learned from."""
    options = {"encoder": "resnet10t", "channels": 32, "hidden": 64, "proposals": 60}
    changes = {"model.name": "fpn_detector", "model.options": options, "steps": 45, "detection.loss": {"regions": 64}}
    recipe = detector_recipe.changed({**changes, "data.scale": [0.9, 1.1], "optimiser.ema": None})
    job = make_job(recipe, Silent())
    objective = job.stages[0].make()
    before = objective.judge(objective.predictor(objective.network.state_dict(), torch.device("cpu")), Silent())
    fit(objective, job.recipe)
    figures = objective.judge(objective.predictor(objective.network.state_dict(), torch.device("cpu")), Silent())
    assert before.row["val_ap50"] < 0.2
    assert figures.row["val_ap50"] > 0.6


def test_segmentation_does_not_import_detection() -> None:
    program = (
        "import sys, perpixel.cli, perpixel.infer, perpixel.train, perpixel.report, perpixel.models, perpixel.bundle;"
        "print([m for m in sys.modules if 'detect' in m and m.startswith('perpixel')])"
    )
    environment = {"PYTHONPATH": str(Path(perpixel.__file__).parents[1]), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
