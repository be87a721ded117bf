"""What a network keeps of its encoder until its decoder needs it, in bytes, read off the tensors themselves.

    python benchmarks/unpooling.py [--width 64] [--size 360 480]

One image, random weights, inference in fp32. SegNet keeps where its poolings' maxima stood, in two bits a window or as
PyTorch's int64 indices; U-Net keeps feature maps. Counted is the memory behind every tensor that a decoder step is handed
beside the map that comes up to it. Measured figures: unpooling.md.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import torch
from torch import Tensor, nn

from perpixel.core import Size
from perpixel.models import segnet
from perpixel.models.segnet import SegNet
from perpixel.models.unet import UNet

CLASSES = 11


@contextmanager
def watched_unpooling(kept: list[Tensor]) -> Iterator[None]:
    """While inside, every tensor of positions that SegNet's unpooling gets is added to `kept`."""
    unpool = segnet.max_unpool

    def watch(values: Tensor, positions: Tensor, output_size: Size) -> Tensor:
        kept.append(positions)
        return unpool(values, positions, output_size)

    with mock.patch.object(segnet, "max_unpool", watch):
        yield


def kept_by_segnet(model: SegNet, image: Tensor) -> list[Tensor]:
    """The positions of each pooling, coarsest first."""
    kept: list[Tensor] = []
    with torch.no_grad(), watched_unpooling(kept):
        model(image)
    return kept


def kept_by_unet(model: UNet, image: Tensor) -> list[Tensor]:
    """The feature map of each level, coarsest first."""
    kept: list[Tensor] = []
    for step in model.expansive:
        step.register_forward_pre_hook(lambda _, inputs: kept.append(inputs[1]))
    with torch.no_grad():
        model(image)
    return kept


def in_memory(tensors: list[Tensor]) -> int:
    """Bytes behind the tensors, a shared piece of memory counted once (where tensors have memory)."""
    storages = {id(t) if t.is_meta else t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def measure(width: int = 64, size: Size = (360, 480), device: str = "cpu") -> dict[str, list[Tensor]]:
    """What each network keeps of one image."""
    with torch.device(device):
        torch.manual_seed(0)
        image = torch.randn(1, 3, *size)
        packed, plain = (SegNet(CLASSES, width=width, packed_indices=p).eval() for p in (True, False))
        unet: nn.Module = UNet(CLASSES, padding="same", width=width).eval()
    assert isinstance(unet, UNet)
    return {
        "SegNet, positions in 2 bits": kept_by_segnet(packed, image),
        "SegNet, int64 indices": kept_by_segnet(plain, image),
        "U-Net, feature maps in fp32": kept_by_unet(unet, image),
    }


def table(measured: dict[str, list[Tensor]]) -> list[str]:
    """A Markdown table: bytes, and as a share of each of the other two."""
    sizes = {name: in_memory(tensors) for name, tensors in measured.items()}
    _, int64, maps = sizes.values()
    lines = ["| kept between encoder and decoder | bytes | of int64 | of U-Net |", "|---|---|---|---|"]
    for name, size in sizes.items():
        lines.append(f"| {name} | {size:,} | {size / int64:.4g} | {size / maps:.4g} |")
    return lines


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480))
    options = parser.parse_args()
    measured = measure(options.width, tuple(options.size))
    for name, tensors in measured.items():
        print(name)
        for tensor in tensors:
            print(f"    {tuple(tensor.shape)!s:24} {tensor.dtype!s:14} {in_memory([tensor]):>12,} bytes")
    print("\n".join(table(measured)))


if __name__ == "__main__":
    main()
