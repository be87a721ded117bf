"""What a step of the optimiser costs on the CPU: perpixel's Muon, timm's and PyTorch's AdamW, beside the step of a network.

    python benchmarks/muon.py [--networks enet erfnet fast_scnn] [--threads 1]

Gradients are random, the same for all; best of five steps, ms. "network" is forward and backward of 4 samples of 176x240.
What it gave is in realtime.md.
"""

import argparse
import time
from collections.abc import Callable

import torch
from timm.optim import create_optimizer_v2

import perpixel
from perpixel.core.memory import keep_freed_memory
from perpixel.train.muon import Muon


def best(step: Callable[[], object], count: int = 5) -> float:
    times = []
    for _ in range(count + 1):  # the first makes the state
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return 1000 * min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["enet", "erfnet", "fast_scnn"])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    print("| network | network | AdamW | Muon | timm's Muon |\n|---|---|---|---|---|")
    for name in given.networks:
        model = perpixel.build(name, num_classes=11)
        image = torch.randn(4, 3, 176, 240)
        cost = [best(lambda m=model, x=image: m(x)["logits"].sum().backward())]  # type: ignore[misc]
        for p in model.parameters():
            p.grad = torch.randn_like(p)
        for optimiser in (
            torch.optim.AdamW(model.parameters(), 1e-6),
            Muon(model.parameters(), 1e-6),
            create_optimizer_v2(model, "muon", lr=1e-6),
        ):
            cost.append(best(optimiser.step))
        print(f"| `{name}` | " + " | ".join(f"{x:.0f}" for x in cost) + " |", flush=True)


if __name__ == "__main__":
    main()
