"""Weights that both sides can make, and logits that a source's own code gave for them.

`fill` makes every number from the key of its tensor and its place in it, so that the source's network and ours can be given
the same weights without storing them. `recorded/NAME.npz` holds what the source's code answered:

    keys, shapes    of its state dict, as text
    size            (rows, columns) of the image, which `image_of` makes
    step            logits are kept at every step-th row and column
    logits          (1, K, rows', columns') float64, from the source's network in double precision and eval mode

`record` is what wrote it: called once, in a program of its own, with the source's network and its code at hand.
"""

import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

RECORDED = Path(__file__).parent / "recorded"
TABLE = torch.from_numpy(np.random.RandomState(0).standard_normal(2**20 + 7).astype(np.float32))


def fill(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Key -> tensor of the given shape. Norms keep their inputs' size, variances are positive, convolutions Kaiming's."""
    return {key: filled(key, shape) for key, shape in shapes.items()}


def filled(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    start = zlib.crc32(key.encode()) % len(TABLE)
    count = math.prod(shape)
    repeats = (start + count) // len(TABLE) + 1
    numbers = TABLE.repeat(repeats)[start : start + count].reshape(shape)
    if key.endswith("running_var"):
        return 1 + 0.2 * numbers.abs()
    if len(shape) >= 2:
        return numbers * math.sqrt(2 / math.prod(shape[1:]))
    return (1 if key.endswith("weight") else 0) + 0.1 * numbers


def image_of(size: tuple[int, int], channels: int = 3) -> Tensor:
    """(1, channels, *size) float64 of about unit variance."""
    count = channels * size[0] * size[1]
    return TABLE[1000 : 1000 + count].reshape(1, channels, *size).double()


def record(name: str, model: nn.Module, answer: Callable[[Tensor], Tensor], size: tuple[int, int], step: int) -> None:
    """Fills the source's network, asks it, writes `recorded/NAME.npz`. `answer` gives logits (1, K, *size) or (1, K)."""
    shapes = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    model.load_state_dict(fill(shapes))
    model.double().eval()
    with torch.no_grad():
        logits = answer(image_of(size))
    kept = logits[..., ::step, ::step] if logits.dim() == 4 else logits
    assert torch.isfinite(kept).all() and kept.std() > 1e-3
    RECORDED.mkdir(exist_ok=True)
    np.savez_compressed(
        RECORDED / f"{name}.npz",
        keys=np.array(list(shapes)),
        shapes=np.array([",".join(map(str, shape)) for shape in shapes.values()]),
        size=np.array(size),
        step=np.array(step),
        logits=kept.numpy(),
    )


def shapes_in(name: str) -> dict[str, tuple[int, ...]]:
    """The source's keys and their shapes."""
    data = np.load(RECORDED / f"{name}.npz")
    pairs = zip(data["keys"].tolist(), data["shapes"].tolist(), strict=True)
    return {key: tuple(int(n) for n in text.split(",") if n) for key, text in pairs}


def difference(name: str, model: nn.Module, key: str = "logits", dtype: torch.dtype = torch.float64) -> float:
    """The largest difference between the recorded logits and `model`'s output `key`, in eval mode, computed in `dtype`."""
    data = np.load(RECORDED / f"{name}.npz")
    step = int(data["step"])
    with torch.no_grad():
        output = model.to(dtype).eval()(image_of((int(data["size"][0]), int(data["size"][1]))).to(dtype))
    logits = output[key][..., ::step, ::step] if isinstance(output, dict) else output
    expected = torch.from_numpy(data["logits"])
    assert logits.shape == expected.shape
    return (logits - expected).abs().max().item()
