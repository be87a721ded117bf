"""Fast R-CNN: its windows, and its boxes' last pixels."""

import torch
from torchvision.ops import roi_pool

from perpixel.detection import build


def test_windows_are_at_every_place_and_cut_to_the_image() -> None:
    model = build("fast_rcnn_vgg16", 2, encoder="resnet18", channels=8, window_sizes=(32,), window_ratios=(1, 4))
    proposals = model.propose(torch.zeros(2, 3, 33, 50))["proposals"]
    assert len(proposals) == 2 * (3 * 4) * 2
    assert proposals[:3].tolist() == [[0, 0, 0, 24, 24], [0, 0, 0, 16, 33], [0, 8, 0, 40, 24]]
    assert proposals[24:27].tolist() == [[1, 0, 0, 24, 24], [1, 0, 0, 16, 33], [1, 8, 0, 40, 24]]


def test_a_box_ends_before_its_second_corner() -> None:
    """Pixels 0 to 31 of an image are places 0 and 1 of a map of stride 16, and the authors' box is 0, 0, 31, 31."""
    model = build("fast_rcnn_vgg16", 1, encoder="resnet18", channels=8, dropout=0.0).eval()
    features = torch.randn(1, 256, 4, 4, generator=torch.Generator().manual_seed(0))
    theirs = roi_pool(features, torch.tensor([[0.0, 0, 0, 31, 31]]), 7, 1 / 16)
    with torch.no_grad():
        found = model.head([features], torch.tensor([[0.0, 0, 0, 32, 32]]))
        hidden = torch.relu(model.fc7(torch.relu(model.fc6(theirs.flatten(1)))))
    torch.testing.assert_close(found["class_logits"], model.score(hidden).detach())
    assert theirs.abs().sum() > 0
