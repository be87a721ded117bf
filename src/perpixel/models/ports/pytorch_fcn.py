"""wkentaro/pytorch-fcn: FCN-32s, FCN-16s, FCN-8s and FCN-8s at once, also with the weights of the authors' Caffe models.

FCN-8s and FCN-8s at once have the same keys and shapes: the scales of the skips are not among the weights. It is taken for
FCN-8s unless `network="fcn8s_at_once"` is asked for.
"""

import re

from perpixel.core.errors import UserError
from perpixel.models.ports.source import Pixels, Reading, Source, State, has, renamed, weight

WHAT = "wkentaro/pytorch-fcn"
STAGE = (r"^conv(\d)_", lambda match: f"stages.{int(match.group(1)) - 1}.{match.group(0)}")
SKIPS = (
    (r"^score_pool(\d)\.", r"skip\1.score."),
    (r"^upscore2\.", "skip4.upscore."),
    (r"^upscore_pool4\.", "skip3.upscore."),
    (r"^upscore(16|8)\.", "upscore."),
)
BY_NETWORK = {"fcn32s": "upscore.weight", "fcn16s": "upscore16.weight", "fcn8s": "upscore8.weight"}
"""The last upsampling of each network."""


def read(state: State, network: str | None) -> Reading:
    """Which network it is, by its skips."""
    scores = weight(state, "score_fr.weight", WHAT)
    found = "fcn8s" if has(state, "score_pool3.") else "fcn16s" if has(state, "score_pool4.") else "fcn32s"
    fits = {found, "fcn8s_at_once"} if found == "fcn8s" else {found}
    if network is not None and network not in fits:
        raise UserError(f"these weights of {WHAT} are those of {found}, not of {network}")
    return Reading(
        network or found,
        {},
        int(scores.shape[0]),
        rename,
        heads=("score_fr.", "skip4.", "skip3.", "upscore."),
        in_channels=int(weight(state, "conv1_1.weight", WHAT).shape[1]),
        single=("upscore2.weight", "upscore_pool4.weight", BY_NETWORK[found]),
    )


def rename(key: str) -> str:
    """conv1_1.weight -> stages.0.conv1_1.weight, upscore2.weight -> skip4.upscore.weight, and so on."""
    return renamed(re.sub(*STAGE, key), SKIPS)


SOURCE = Source(
    about="FCN-32s, 16s, 8s and 8s at once on VOC, with the authors' weights brought over from Caffe",
    read=read,
    pixels=Pixels((104.00699 / 255, 116.66877 / 255, 122.67892 / 255), (1 / 255, 1 / 255, 1 / 255), bgr=True),
    networks=("fcn32s", "fcn16s", "fcn8s", "fcn8s_at_once"),
    classes={21: "voc"},
    decides=True,
)
