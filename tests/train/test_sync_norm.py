"""Two processes with half a batch each do what one does with the whole."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from timm.layers import BatchNormAct2d
from torch import nn

from perpixel.models import build
from perpixel.train.sync_norm import synchronise

IMAGES = torch.randn(4, 3, 9, 7, generator=torch.Generator().manual_seed(3)).double() * 2 + 1
SHARES = {0: slice(0, 1), 1: slice(1, 4)}
"""Of the batch; one process has a single image."""


def small() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), BatchNormAct2d(4)).double()


def backward(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The sum of a loss over images; its gradients are added up in the network."""
    output = network.train()(images)
    (output * torch.linspace(-1, 1, output[0].numel(), dtype=torch.float64).view(output[0].shape)).sum().backward()
    return output.detach()


def process(rank: int, port: int, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.set_num_threads(1)
    network = synchronise(small(), torch.device("cpu"))
    output = backward(network, IMAGES[SHARES[rank]])
    gradients = {k: p.grad for k, p in network.named_parameters()}
    for gradient in gradients.values():
        dist.all_reduce(gradient)
    found: dict[str, Any] = {"output": output, "gradients": gradients, "state": network.state_dict()}
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="no gloo")
def test_two_processes_are_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    commands = [[sys.executable, __file__, str(rank), str(port), str(tmp_path)] for rank in (0, 1)]
    running = [subprocess.Popen(c, stderr=subprocess.PIPE, text=True, env=environment) for c in commands]
    for p in running:
        assert p.communicate(timeout=300)[1] is not None and p.returncode == 0
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    alone = small()
    output = backward(alone, IMAGES)
    torch.testing.assert_close(torch.cat([f["output"] for f in found]), output)
    for f in found:
        assert f["state"].keys() == alone.state_dict().keys()
        torch.testing.assert_close(f["state"], dict(alone.state_dict()))
        torch.testing.assert_close(f["gradients"], {k: p.grad for k, p in alone.named_parameters()})


def test_in_eval_nothing_changes() -> None:
    network = build("fast_scnn", num_classes=3).double().eval()
    before = network(IMAGES)["logits"]
    keys = list(network.state_dict())
    synchronise(network, torch.device("cpu"))
    assert torch.equal(network(IMAGES)["logits"], before)
    assert list(network.state_dict()) == keys


if __name__ == "__main__":
    process(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
