"""Every network of the catalog on long images, whole and in tiles: by how much the logits differ, and how many labels.

    python benchmarks/tiles.py [network ...] > benchmarks/tiles.csv

Networks have random weights in double precision, and see one band; images are as narrow as 40 pixels, which keeps it
to minutes and puts three borders of the image into every tile. Tiles are as small as the halo allows, with 64 pixels
more. Long sides are no multiples of any grid where a network may be cut so.
"""

import csv
import sys

import torch
from torch import nn

from perpixel import MODELS, build
from perpixel.analyze import Halo, halo
from perpixel.infer.exact import exact_spans


def logits(model: nn.Module, image: torch.Tensor) -> torch.Tensor:
    return model(image)["logits"]


def tiled(model: nn.Module, image: torch.Tensor, found: Halo, axis: int) -> tuple[torch.Tensor, int]:
    """The logits from tiles along an axis (0 rows, 1 columns), and how many there were."""
    margins, grid = found.margins[2 * axis : 2 * axis + 2], found.grid[axis]
    spans = list(exact_spans(image.shape[2 + axis], sum(margins) + 2 * grid + 64, margins, grid))
    parts = [
        logits(model, image.narrow(2 + axis, s.start, s.stop - s.start)).narrow(
            2 + axis, s.first - s.start, s.last - s.first
        )
        for s in spans
    ]
    return torch.cat(parts, 2 + axis), len(spans)


def compare(name: str, model: nn.Module, found: Halo, axis: int) -> list[object]:
    long = sum(found.margins[2 * axis : 2 * axis + 2]) + 2 * found.grid[axis] + 64 + 203
    short = 40 if found.any_size else 2 * found.grid[1 - axis]
    long = long if found.any_size else -(-long // found.grid[axis]) * found.grid[axis]
    image = torch.rand(1, 1, *((long, short) if axis == 0 else (short, long)), dtype=torch.float64)
    whole = logits(model, image)
    parts, count = tiled(model, image, found, axis)
    differ = (parts.argmax(1) != whole.argmax(1)).sum().item()
    apart, largest = (parts - whole).abs().max().item(), whole.abs().max().item()
    return [name, f"{image.shape[2]}x{image.shape[3]}", count, f"{apart:.1e}", f"{largest:.1e}", differ]


@torch.inference_mode()
def main() -> None:
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["network", "image", "tiles", "largest_difference", "largest_logit", "labels_that_differ"])
    for name in sys.argv[1:] or MODELS:
        torch.manual_seed(0)
        model = build(name, num_classes=3, in_channels=1).eval().double()
        with torch.inference_mode(False):
            found = halo(model, in_channels=1)
        if found is None:
            table.writerow([name, "", "", "no tiles can equal the whole", "", ""])
            continue
        for axis in (0, 1):
            table.writerow(compare(name, model, found, axis))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
