"""FCN-32s, 16s and 8s on one synthetic street scene, each trained from where the one before ended."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from style import bare, canvas
from torch import Tensor

from perpixel.core import IGNORE
from perpixel.data.scenes import SCENES, make_scene
from perpixel.losses import CrossEntropy
from perpixel.metrics import ConfusionMatrix
from perpixel.models.fcn import FCN, fcn8s, fcn16s, fcn32s, fill_from_coarser

SCENE, SIZE = (3, 3), (144, 192)
WIDTH, STEPS, RATE = 8, 300, 1e-3


def scene() -> tuple[np.ndarray, Tensor, Tensor]:
    """The picture (H, W, 3) uint8, the same as a network's input (1, 3, H, W), and the labels (1, H, W)."""
    picture, labels = make_scene(*SCENE, SIZE)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    return picture, image, torch.from_numpy(labels).long()[None]


def fit(model: FCN, image: Tensor, labels: Tensor, steps: int = STEPS) -> Tensor:
    """Adam on this one image; returns the labels predicted for it, (1, H, W)."""
    loss, optimiser = CrossEntropy(), torch.optim.Adam(model.parameters(), lr=RATE)
    model.train()
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model(image)["logits"], labels).backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        return model(image)["logits"].argmax(dim=1)


def predictions(steps: int = STEPS) -> tuple[np.ndarray, Tensor, dict[str, Tensor]]:
    """The picture, its labels, and what each of the three predicts: (1, H, W) each."""
    torch.manual_seed(0)
    picture, image, labels = scene()
    found, coarser = {}, None
    for name, build in (("FCN-32s", fcn32s), ("FCN-16s", fcn16s), ("FCN-8s", fcn8s)):
        model = build(SCENES.num_classes, padding="same", width=WIDTH, dropout=0.0)
        if coarser is not None:
            fill_from_coarser(model, coarser)
        found[name] = fit(model, image, labels, steps)
        coarser = model
    return picture, labels, found


def fcn() -> Figure:
    """The scene, its labels, and the three predictions with their mean IoU on this image."""
    picture, labels, found = predictions()
    figure = canvas(4.9)
    axes = figure.subplots(2, 3)
    bare(axes[0, 0], "scene").imshow(picture)
    bare(axes[0, 1], "labels").imshow(painted(labels))
    for ax, (name, prediction) in zip(axes[1], found.items(), strict=True):
        matrix = ConfusionMatrix(SCENES.num_classes)
        matrix.update(prediction, labels)
        bare(ax, f"{name}: mIoU {matrix.mean_iou:.2f} on this image").imshow(painted(prediction))
    axes[0, 2].axis("off")
    patches = [
        Patch(color=f"#{red:02x}{green:02x}{blue:02x}", label=name)
        for name, (red, green, blue) in zip(SCENES.names, SCENES.colours, strict=True)
    ]
    axes[0, 2].legend(handles=patches, loc="center", ncols=2, frameon=False)
    return figure


def painted(labels: Tensor) -> np.ndarray:
    """(1, H, W) labels in the classes' colours: (H, W, 3) uint8; ignored pixels are white."""
    table = np.full((IGNORE + 1, 3), 255, np.uint8)
    table[: SCENES.num_classes] = SCENES.colours
    return table[labels[0].numpy()]
