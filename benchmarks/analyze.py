"""What the tools of analysis take, each beside a floor of the same run.

    python benchmarks/analyze.py [--data CAMVID] [--device cpu]

- The theoretical receptive fields of every network of the catalog, seconds in all (the goal: below 60), beside the seconds of
  building the same networks.
- The passes of the empirical field as a share of plain batched inference (fields_speed.py; the goal: 90 % or more).
- With --data, the study of a set's errors beside the inference of the same images (errors.py; the goal: below 1).
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

from perpixel.analyze import receptive_fields
from perpixel.models import MODELS, build

CLASSES = 19


def built(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(name, num_classes=CLASSES)


def fields_of_all() -> None:
    """Times of the process, so that other work on the machine does not count."""
    start = time.process_time()
    networks = {name: built(name) for name in MODELS}
    building = time.process_time() - start
    seconds = {}
    for name, network in networks.items():
        start = time.process_time()
        receptive_fields(network)
        seconds[name] = time.process_time() - start
    slowest = max(seconds, key=lambda name: seconds[name])
    total = sum(seconds.values())
    print(f"fields of {len(seconds)} networks: {total:.1f} s (goal: below 60), building them {building:.1f} s")
    print(f"slowest: {slowest}, {seconds[slowest]:.1f} s")


def other(script: str, *arguments: str) -> None:
    """Runs a benchmark beside this file."""
    subprocess.run([sys.executable, str(Path(__file__).with_name(script)), *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a set with masks, such as CamVid")
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    fields_of_all()
    other("fields_speed.py", "--device", given.device)
    if given.data:
        other("errors.py", given.data, "--device", given.device)


if __name__ == "__main__":
    main()
