"""Memory as predicted without running a network, against the most that PyTorch's allocator held while it ran.

    python benchmarks/memory.py [NAME ...] [--size 192 256] [--batch 2] [--device cpu]

Both beside the weights: inference without gradients, in eval; and a step of training (forward, cross entropy, backward),
in train mode. On a CPU the profiler's events of the allocator are added up (`torch.profiler`, `profile_memory=True`), on a
GPU it is `torch.cuda.max_memory_allocated`. What PyTorch itself and libraries outside the allocator take is in neither.
Use two threads or more (OMP_NUM_THREADS=2): with one, PyTorch lays out each 3x3 window of a small batch as a matrix
first, nine times the map. Measured figures: memory.md.
"""

import argparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perpixel.analyze import inference_memory, training_memory
from perpixel.analyze.workspace import on_cpu
from perpixel.models import build

NAMES = (
    "unet", "segnet", "fcn8s", "enet", "erfnet", "drn_d_22", "pspnet", "deeplabv3plus", "hrnet_w18_small_v1", "fast_scnn",
    "segformer", "fpn",
)  # fmt: skip
CLASSES = 19


def step(model: nn.Module, image: Tensor, labels: Tensor | None) -> None:
    if labels is None:
        with torch.no_grad():
            model(image)
    else:
        F.cross_entropy(model(image)["logits"], labels).backward()


def most_allocated(model: nn.Module, image: Tensor, labels: Tensor | None) -> int:
    """Bytes beside what was held before; gradients are given back first."""
    model.zero_grad(set_to_none=True)
    if image.is_cuda:
        step(model, image, labels)  # libraries settle on their algorithms
        model.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(model, image, labels)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        step(model, image, labels)
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def row(name: str, size: tuple[int, int], batch: int, device: str) -> str:
    torch.manual_seed(0)
    model = build(name, num_classes=CLASSES).to(device)
    image = torch.rand(batch, 3, *size, device=device)
    labels = torch.randint(0, CLASSES, (batch, *size), device=device)
    cells = []
    for given, train in ((image.nbytes, False), (image.nbytes + labels.nbytes, True)):
        model.train(train)
        predict = training_memory if train else inference_memory
        predicted = predict(model, size, batch=batch, workspace=on_cpu if device == "cpu" else None).activations
        measured = given + most_allocated(model, image, labels if train else None)
        cells += [f"{predicted / 2**20:.1f}", f"{measured / 2**20:.1f}", f"{predicted / measured:.3f}"]
    return f"| `{name}` | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--size", nargs=2, type=int, default=(192, 256))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    print("| network | inference, MiB: predicted | measured | ratio | training: predicted | measured | ratio |")
    print("|---|---|---|---|---|---|---|")
    for name in asked.names:
        print(row(name, tuple(asked.size), asked.batch, asked.device), flush=True)


if __name__ == "__main__":
    main()
