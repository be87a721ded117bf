"""Eromera/erfnet_pytorch: ERFNet with the encoder's own head, and the encoder that they train on ImageNet."""

from perpixel.core.errors import UserError
from perpixel.models.ports.source import IMAGENET, UNIT, Reading, Rule, Source, State, has, renamed, weight

WHAT = "Eromera/erfnet_pytorch"
CLASSIFIER = "features.encoder."
"""What the encoder's keys begin with in the classifier."""
RULES: tuple[Rule, ...] = (
    (r"^features\.", ""),
    (r"^encoder\.output_conv\.", "encoder_score."),
    (r"^decoder\.output_conv\.", "decoder.6."),
    (r"^encoder\.initial_block\.", "encoder.0."),
    (r"^encoder\.layers\.(\d+)\.", lambda m: f"encoder.{int(m.group(1)) + 1}."),
    (r"^decoder\.layers\.(\d)\.", r"decoder.\1."),
    (r"^(encoder\.\d+)\.bn\.", r"\1.norm."),
    (r"^(decoder\.[03])\.conv\.", r"\1.0."),
    (r"^(decoder\.[03])\.bn\.", r"\1.1."),
    (r"\.conv3x1_([12])\.", r".pair\1.0."),
    (r"\.conv1x3_([12])\.", r".pair\1.2."),
    (r"\.bn([12])\.", r".norm\1."),
)


def read(state: State, network: str | None) -> Reading:
    """The whole network, or the classifier's encoder with a fresh decoder behind it."""
    if has(state, CLASSIFIER):
        first = weight(state, f"{CLASSIFIER}initial_block.conv.weight", WHAT)
        return Reading(
            "erfnet",
            {},
            None,
            rename,
            heads=("decoder.", "encoder_score."),
            unused=("classifier.",),
            in_channels=int(first.shape[1]),
            pixels=IMAGENET,
        )
    score = weight(state, "decoder.output_conv.weight", WHAT)  # in, out, 2, 2: a transposed convolution
    if not any(".bn" in key for key in state):
        raise UserError(
            f"these weights of {WHAT} have their batch norms folded into the convolutions; use those before"
        )
    return Reading(
        "erfnet",
        {"aux": has(state, "encoder.output_conv.")},
        int(score.shape[1]),
        rename,
        heads=("decoder.6.", "encoder_score."),
        in_channels=int(weight(state, "encoder.initial_block.conv.weight", WHAT).shape[1]),
    )


def rename(key: str) -> str:
    """encoder.layers.1.conv3x1_2.weight -> encoder.2.pair2.0.weight, and so on."""
    return renamed(key, RULES)


SOURCE = Source(
    about="ERFNet for Cityscapes (19 classes and void), and its encoder from ImageNet",
    read=read,
    pixels=UNIT,
    classes={19: "cityscapes"},
    void={20: 19},
)
