"""HRNet/HRNet-Semantic-Segmentation: HRNetV2 by its authors, and mseg-dataset/mseg-semantic, which trained it on MSeg.

Both branches of the authors' code have the same keys. How their network resizes cannot be seen in the weights: it stands
in the configuration of each training, and is `align_corners` here.
"""

from dataclasses import replace

from perpixel.core.errors import UserError
from perpixel.models.ports.source import RESIDUAL, Reading, Rule, Source, State, count, has, renamed, weight

WHAT = "HRNet/HRNet-Semantic-Segmentation"
MSEG = "mseg-dataset/mseg-semantic"
NETWORKS = {
    (16, (1, 32), (1, 1, 1), 2): "hrnet_w18_small_v1",
    (18, (2, 64), (1, 3, 2), 2): "hrnet_w18_small_v2",
    (18, (4, 64), (1, 4, 3), 4): "hrnet_w18",
    (32, (4, 64), (1, 4, 3), 4): "hrnet_w32",
    (40, (4, 64), (1, 4, 3), 4): "hrnet_w40",
    (48, (4, 64), (1, 4, 3), 4): "hrnet_w48",
}
"""Channels of the finest branch; bottlenecks of stage 1 and their inner channels; modules; blocks -> the name."""
ALIGNED = (150, 171)
"""Classes of ADE20K and COCO-Stuff, whose configurations do not say `ALIGN_CORNERS: False`; the default there is True."""
CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.", "classifier.")
"""What the ImageNet networks have behind the last stage."""
OCR = ("ocr_distri_head.", "ocr_gather_head.", "cls_head.", "aux_head.", "conv3x3_ocr.")
RULES: tuple[Rule, ...] = (
    (r"^model\.", ""),
    (r"^conv([12])\.", lambda m: f"stem.{int(m.group(1)) - 1}.conv."),
    (r"^bn([12])\.", lambda m: f"stem.{int(m.group(1)) - 1}.norm."),
    (r"^layer1\.", "stage1."),
    (r"^last_layer\.", "head."),
    (r"^transition1\.0\.0\.", "transition1.conv."),
    (r"^transition1\.0\.1\.", "transition1.norm."),
    (r"^transition([123])\.\1\.0\.0\.", lambda m: f"new_branches.{int(m.group(1)) - 1}.conv."),
    (r"^transition([123])\.\1\.0\.1\.", lambda m: f"new_branches.{int(m.group(1)) - 1}.norm."),
    (r"^stage([234])\.", lambda m: f"stages.{int(m.group(1)) - 2}."),
    (r"\.fuse_layers\.(\d\.\d(?:\.\d)?)\.0\.(?=\D)", r".fuse.\1.conv."),
    (r"\.fuse_layers\.(\d\.\d(?:\.\d)?)\.1\.(?=\D)", r".fuse.\1.norm."),
    *RESIDUAL,
)


def read(state: State, network: str | None) -> Reading:
    """The authors': which of their networks, with the `align_corners` of the configuration for so many classes."""
    reading = anatomy(state, WHAT)
    return reading if reading.num_classes not in ALIGNED else with_options(reading, {"align_corners": True})


def read_mseg(state: State, network: str | None) -> Reading:
    """MSeg's, whose last resize alone has aligned corners."""
    if has(state, "layer0."):
        raise UserError(f"these are the weights of {MSEG}'s PSPNet; of that source only its HRNet-W48 can be taken")
    return with_options(anatomy(state, MSEG), {"align_logits": True})


def anatomy(state: State, what: str) -> Reading:
    """Which network of either source it is."""
    state = {key.removeprefix("model."): tensor for key, tensor in state.items()}
    if has(state, *OCR):
        raise UserError(
            f"these are the weights of {what}'s HRNet with OCR, a network that is not here; HRNet's can be taken"
        )
    width = int(weight(state, "transition1.0.0.weight", what).shape[0])
    first = count(state, "layer1.#."), int(weight(state, "layer1.0.conv1.weight", what).shape[0])
    modules = (count(state, "stage2.#."), count(state, "stage3.#."), count(state, "stage4.#."))
    found = (width, first, modules, count(state, "stage2.0.branches.0.#."))
    if found not in NETWORKS:
        raise UserError(f"this is none of {what}'s networks: {width} channels, {modules} modules of {found[3]} blocks")
    score = weight(state, "last_layer.3.weight", what) if has(state, "last_layer.") else None
    return Reading(
        NETWORKS[found],
        {},
        None if score is None else int(score.shape[0]),
        rename,
        heads=("head.3.",) if score is not None else ("head.",),
        unused=("loss.", *(CLASSIFIER if score is None else ())),
        in_channels=int(weight(state, "conv1.weight", what).shape[1]),
    )


def with_options(reading: Reading, options: dict[str, bool]) -> Reading:
    """The same, with these options."""
    return replace(reading, options={**reading.options, **options})


def rename(key: str) -> str:
    """stage3.1.fuse_layers.2.0.1.0.weight -> stages.1.1.fuse.2.0.1.conv.weight, and so on."""
    return renamed(key, RULES)


SOURCE = Source(
    about="HRNetV2 by its authors: Cityscapes, PASCAL Context, LIP, ADE20K and COCO-Stuff models, and ImageNet trunks",
    read=read,
    classes={19: "cityscapes", 150: "ade20k"},
)
MSEG_SOURCE = Source(about="HRNet-W48 of MSeg, for its 194 universal classes", read=read_mseg)
