"""`perpixel models NAME`: one network's cost by layer, at any size, and its fields."""

import re
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from perpixel.cli import app
from perpixel.core.errors import UserError


def shown(*arguments: str) -> list[str]:
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def rows(lines: Sequence[str]) -> dict[str, tuple[int, float, float]]:
    """Layer -> parameters, multiply-adds in 10^9, MB kept."""
    found = {}
    for line in lines:
        if match := re.fullmatch(r"(\S+) +([\d,]+) +(\S+) G +\S+ +(\S+)", line):
            found[match[1]] = tuple(float(match[n].replace(",", "")) for n in (2, 3, 4))
    return found  # type: ignore[return-value]


def number(pattern: str, lines: Sequence[str]) -> float:
    (match,) = [m for line in lines if (m := re.search(pattern, line))]
    return float(match[1].replace(",", ""))


def test_the_layers_add_up_to_the_network() -> None:
    lines = shown("segnet", "--size", "64x96", "--classes", "11")
    assert lines[0].startswith("segnet: 29,449,355 parameters, ")  # the authors' count at 11 classes
    layers = rows(lines)
    assert list(layers) == ["(itself)", *(f"{half}.{n}" for half in ("encoder", "decoder") for n in range(5)), "score"]
    assert sum(row[0] for row in layers.values()) == 29_449_355
    total = number(r"parameters, (\S+) G multiply-adds; one image of 64x96, 3 channels", lines)
    assert sum(row[1] for row in layers.values()) == pytest.approx(total, rel=0.01)
    kept = number(r"^ +(\S+) MB are kept", lines)  # the image and its labels are among it, and made by no layer
    assert sum(row[2] for row in layers.values()) == pytest.approx(kept, rel=0.02)


def test_twice_the_sides_are_four_times_the_work_and_the_memory_of_maps() -> None:
    small, large = rows(shown("segnet", "--size", "64x64")), rows(shown("segnet", "--size", "128,128"))
    for layer in ("encoder.0", "encoder.4", "decoder.0", "score"):
        assert large[layer][0] == small[layer][0]
        assert large[layer][1] == pytest.approx(4 * small[layer][1], rel=0.01)
    assert large["encoder.0"][2] == pytest.approx(4 * small["encoder.0"][2], rel=0.05)


def test_what_crosses_to_the_decoder() -> None:
    """SegNet keeps 2 bits for each window of 2x2: 64 channels of 128x128 windows are 2^18 bytes. U-Net keeps its maps."""
    assert any(
        line.split() == "0.25 MB uint8 262144, made in (itself)".split() for line in shown("segnet", "--size", "256")
    )
    maps = [line for line in shown("unet", "--size", "68x68") if " float32 1x" in line]
    assert [re.search(r"1x(\d+)x", line)[1] for line in maps] == ["64", "128", "256", "512"]  # type: ignore[index]


def test_each_module_alone() -> None:
    every = rows(shown("unet", "--size", "32x32", "--depth", "0"))
    assert every["contracting.0.0"][0] == 64 * 27 + 64
    assert every["contracting.0.2"][0] == 64 * 64 * 9 + 64


def test_the_fields_of_every_layer() -> None:
    """FCN on VGG-16: fc6 sees 404 pixels at stride 32 (Long et al. 2015)."""
    (fc6,) = [line.split() for line in shown("fcn32s", "--fields") if line.startswith("fc6 ")]
    assert fc6[:3] == ["fc6", "404", "32"]
    (last,) = [line for line in shown("pspnet", "--fields") if line.startswith("logits ")]
    assert last.split()[:4] == ["logits", "all", "-", "-"] and last.endswith("global: mean (pyramid_pooling)")


def test_a_bundled_model_has_its_own_classes_and_channels() -> None:
    assert shown("street", "--size", "64x64")[0].startswith("street: 363,791 parameters, ")
    assert any(line.startswith("logits ") for line in shown("street", "--fields"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("enett",), 'no network, run or model "enett"; perpixel models lists them. Did you mean "enet"?'),
        (("rfcn",), "rfcn finds objects"),
        (("enet", "--size", "0x4"), '--size takes HEIGHTxWIDTH in pixels, such as 352x480; got "0x4"'),
        (("--size", "4x4"), "of which network? perpixel models NAME --size 4x4"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
