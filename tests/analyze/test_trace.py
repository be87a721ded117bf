"""Boxes of units against what gradients reach, for random small networks; and single operators by hand."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from perpixel.analyze.trace import trace

sys.path.insert(0, str(Path(__file__).parent))  # the tests are no package
from footprints import above_zero

CHANNELS = 4
Step = Callable[[Tensor], Tensor]


class Steps(nn.Module):
    """One after another; a step that the map is too small for is left out, and so is one that would make it large."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = list(steps)
        self.parts = nn.ModuleList(step for step in steps if isinstance(step, nn.Module))

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            try:
                y = step(x)
            except (RuntimeError, ValueError):  # the map is too small
                continue
            x = y if 0 < y.shape[-2] * y.shape[-1] <= 900 else x
        return x


class Beside(nn.Module):
    """A branch and the map itself, cut to a common size, added or side by side."""

    def __init__(self, branch: nn.Module, added: bool) -> None:
        super().__init__()
        self.branch, self.added = branch, added
        self.mix = nn.Conv2d(2 * CHANNELS, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.branch(x)
        rows, columns = min(x.shape[-2], y.shape[-2]), min(x.shape[-1], y.shape[-1])
        x, y = x[..., :rows, :columns], y[..., y.shape[-2] - rows :, :columns]
        return x + y if self.added else self.mix(torch.cat([x, y], dim=1))


def named(name: str, step: Step) -> Step:
    """A step that says what it is when a test fails."""
    if isinstance(step, nn.Module):
        return step
    step.__qualname__ = step.__name__ = name
    return step


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
small = st.tuples(st.integers(0, 2), st.integers(0, 2))


@st.composite
def convolutions(draw: st.DrawFn) -> Step:
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    groups = draw(st.sampled_from([1, 2, CHANNELS]))
    return nn.Conv2d(
        CHANNELS, CHANNELS, draw(pairs), draw(pairs), draw(small), draw(pairs), groups, padding_mode=mode, bias=False
    )


@st.composite
def transposed(draw: st.DrawFn) -> Step:
    return nn.ConvTranspose2d(
        CHANNELS, CHANNELS, draw(pairs), draw(pairs), draw(small), groups=draw(st.sampled_from([1, 4]))
    )


@st.composite
def poolings(draw: st.DrawFn) -> Step:
    return nn.AvgPool2d(draw(pairs), draw(pairs), ceil_mode=draw(st.booleans()))


@st.composite
def resizes(draw: st.DrawFn) -> Step:
    mode = draw(st.sampled_from(["nearest", "nearest-exact", "bilinear", "bicubic", "area"]))
    smooth = mode in ("bilinear", "bicubic")
    settings: dict[str, Any] = {"mode": mode}
    if smooth:
        settings["align_corners"] = draw(st.booleans())
        settings["antialias"] = not settings["align_corners"] and draw(st.booleans())
    if draw(st.booleans()):
        settings["size"] = (draw(st.integers(1, 20)), draw(st.integers(1, 20)))
    else:
        settings["scale_factor"] = draw(st.sampled_from([0.5, 2.0, 1.5, 3.0, 0.75]))
    return named(f"interpolate {settings}", lambda x: F.interpolate(x, **settings))


@st.composite
def borders(draw: st.DrawFn) -> Step:
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    pad = draw(st.tuples(*[st.integers(-1 if mode == "constant" else 0, 3)] * 4))
    return named(f"pad {pad} {mode}", lambda x: F.pad(x, pad, mode=mode))


class Shuffled(nn.Module):
    """Into pixels and back, with a convolution between."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4 * CHANNELS, 4 * CHANNELS, 1, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(F.pixel_unshuffle(x, 2)), 2)


class Unpooled(nn.Module):
    """Maxima, and back to where they were."""

    def forward(self, x: Tensor) -> Tensor:
        y, places = F.max_pool2d(x, (2, 3), (2, 3), return_indices=True)
        return F.max_unpool2d(y, places, (2, 3), (2, 3), output_size=x.shape[-2:])


def window_sums(x: Tensor) -> Tensor:
    """3x3 windows as channels, added."""
    return F.unfold(x, 3, padding=1).unflatten(1, (-1, 9)).sum(2).view_as(x)


def overlapping(x: Tensor) -> Tensor:
    return F.fold(F.unfold(x, 3, padding=1, stride=2), x.shape[-2:], 3, padding=1, stride=2)


def written_in_place(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[..., 1:, :] = x[..., :-1, :]
    y[:, :2].add_(x[:, 2:])
    y.transpose(2, 3)[..., 0, :] += 1
    return y


def tokens(x: Tensor) -> Tensor:
    """Rows and columns as one dimension, shifted along it, and back."""
    flat = x.flatten(2).transpose(1, 2)
    return flat.transpose(1, 2).unflatten(2, x.shape[2:])


def mirrored(x: Tensor) -> Tensor:
    """By known indices, both ways."""
    rows = torch.arange(x.shape[-2], device=x.device).flip(0)
    return x[..., rows[:, None], torch.arange(0, x.shape[-1], 2, device=x.device)]


PLAIN = [
    nn.PixelUnshuffle,
    window_sums,
    overlapping,
    written_in_place,
    tokens,
    mirrored,
    named("flip", lambda x: x.flip(2)),
    named("roll", lambda x: x.roll((1, -2), (2, 3))),
    named("cumsum", lambda x: x.cumsum(3)),
    named("crop", lambda x: x[..., 1:, ::2]),
    named("rows' mean", lambda x: x + x.mean(3, keepdim=True)),
    named("stack", lambda x: torch.stack([x, x.flip(3)]).sum(0)),
    named("repeat", lambda x: x.repeat(1, 1, 2, 1)),
    named("repeat_interleave", lambda x: x.repeat_interleave(2, 3)),
    named("adaptive", lambda x: F.adaptive_avg_pool2d(x, (3, 5))),
    named("shuffle", lambda x: F.channel_shuffle(x, 2)),
    named("split", lambda x: torch.cat([c.roll(i, 2) for i, c in enumerate(x.chunk(4, 1))], 1)),
    named("windows", lambda x: x.unfold(2, 2, 1).sum(-1)),
]
steps = st.one_of(
    convolutions(), convolutions(), transposed(), poolings(), resizes(), borders(), st.sampled_from(PLAIN[1:]),
    st.builds(Shuffled),
)  # fmt: skip
chains = st.lists(steps, min_size=1, max_size=4).map(lambda found: Steps(*found))
networks = st.lists(st.one_of(steps, st.builds(Beside, chains, st.booleans())), min_size=1, max_size=5)


def reached(model: nn.Module, size: tuple[int, int]) -> np.ndarray:
    """(h, w, H, W) bool: the pixels by which each unit of the map, its channels added, has a gradient."""
    image = torch.rand(1, CHANNELS, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    jacobian = torch.autograd.functional.jacobian(lambda x: model(x)[0].sum(0), image, vectorize=True)
    found = jacobian[:, :, 0].abs().amax(dim=2)
    return (found > 1e-12).numpy()


def box_of(seen: np.ndarray) -> tuple[int, int, int, int] | None:
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return (rows[0], rows[-1], columns[0], columns[-1]) if len(rows) else None


@settings(max_examples=120, deadline=None)
@given(networks, st.integers(1, 16), st.integers(1, 16))
def test_random_networks_see_what_gradients_reach(layers: list[Step], height: int, width: int) -> None:
    torch.manual_seed(0)
    model = above_zero(Steps(*layers))
    seen = reached(model, (height, width))
    (boxes,) = trace(model, (height, width), CHANNELS).outputs[""]
    assert boxes is not None and boxes.shape[2:] == seen.shape[:2]
    units = boxes.hull([0, 1], keep=False)
    assert not [note for note in boxes.notes if note.kind == "assumed"]
    for index in np.ndindex(seen.shape[:2]):
        assert units.box(index) == box_of(seen[index]), (index, [str(step) for step in layers])
