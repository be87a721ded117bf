"""davidtvs/PyTorch-ENet: ENet for CamVid and Cityscapes, wired otherwise than the authors' (`models.enet_wiring`).

Until March 2021 its decoder had a ReLU more in each of the two bottlenecks that upsample. Keys and shapes do not tell, and
weights are taken for newer ones unless `wiring="davidtvs-2019"` is said.

An image whose sides are multiples of 8 gives the same logits as there. Others are padded here, and cropped there.
"""

import re

from perpixel.models.enet import SECTION
from perpixel.models.ports.source import UNIT, Reading, Source, State, renamed, weight

WHAT = "davidtvs/PyTorch-ENet"
KINDS = {1: "regular", "asymmetric": "asymmetric"}
"""What they call a bottleneck by its middle, if not "dilated"."""
BLOCKS: dict[str, str] = {
    "initial_block": "encoder.initial",
    "downsample1_0": "encoder.down1",
    "downsample2_0": "encoder.down2",
    "upsample4_0": "decoder.up4",
    "upsample5_0": "decoder.up5",
    "regular5_1": "decoder.stage5.0",
    "transposed_conv": "decoder.score",
    **{f"regular1_{i + 1}": f"encoder.stage1.{i}" for i in range(4)},
    **{f"{KINDS.get(middle, 'dilated')}2_{i + 1}": f"encoder.stage2.{i}" for i, middle in enumerate(SECTION)},
    **{f"{KINDS.get(middle, 'dilated')}3_{i}": f"encoder.stage3.{i}" for i, middle in enumerate(SECTION)},
    **{f"regular4_{i + 1}": f"decoder.stage4.{i}" for i in range(2)},
}
"""Their blocks -> ours."""
RULES = (
    (r"^main_branch\.", "conv."),
    (r"^batch_norm\.", "norm."),
    (r"^out_activation\.", "act."),
    (r"^main_conv1\.", "shortcut."),
    (r"^ext_tconv1\.", "branch.3."),
    (r"^ext_tconv1_bnorm\.", "branch.4."),
)
"""What they have once in a block."""
SINGLE = ("initial_block.out_activation.weight",)
"""Else one is guessed that is there."""


def read(state: State, network: str | None) -> Reading:
    """The whole network: there is no other."""
    score = weight(state, "transposed_conv.weight", WHAT)  # in, out, 3, 3: a transposed convolution
    first = weight(state, "initial_block.main_branch.weight", WHAT)
    return Reading(
        "enet",
        {"wiring": "davidtvs"},
        int(score.shape[1]),
        rename,
        heads=("decoder.score.",),
        in_channels=int(first.shape[1]),
        single=SINGLE,
    )


def rename(key: str) -> str:
    """asymmetric2_3.ext_conv3.0.weight -> encoder.stage2.2.branch.9.weight, and so on.

    Their lists of a convolution, a norm and an activation follow each other in our branch; what they call `ext_conv2` is
    the third of three where a bottleneck upsamples, and twice as long where it is asymmetric.
    """
    block, _, part = key.partition(".")
    starts = (0, 6, 6) if block.startswith("upsample") else (0, 3, 9) if block.startswith("asymmetric") else (0, 3, 6)
    part = re.sub(
        r"^ext_conv([123])\.(\d)\.", lambda m: f"branch.{starts[int(m.group(1)) - 1] + int(m.group(2))}.", part
    )
    return f"{BLOCKS.get(block, block)}.{renamed(part, RULES)}"


SOURCE = Source(
    about="ENet for CamVid and Cityscapes, each with a class for what is not labelled",
    read=read,
    pixels=UNIT,
    classes={11: "camvid", 19: "cityscapes"},
    void={12: 11, 20: 0},
)
