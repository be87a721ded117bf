"""zhanghang1989/PyTorch-Encoding: EncNet by its authors, on their ResNets with the deep stem ("resnet50s" and so on)."""

from perpixel.core.errors import UserError
from perpixel.models.ports.semseg import depth_of
from perpixel.models.ports.source import RESIDUAL, Reading, Rule, Source, State, count, has, renamed, weight

WHAT = "zhanghang1989/PyTorch-Encoding"
RULES: tuple[Rule, ...] = (
    (r"^pretrained\.conv1\.([036])\.", lambda m: f"backbone.stem.{int(m.group(1)) // 3}.conv."),
    (r"^pretrained\.conv1\.([14])\.", lambda m: f"backbone.stem.{int(m.group(1)) // 3}.norm."),
    (r"^pretrained\.bn1\.", "backbone.stem.2.norm."),
    (r"^pretrained\.layer([1-4])\.", lambda m: f"backbone.stages.{int(m.group(1)) - 1}."),
    *RESIDUAL,
    (r"^head\.conv5\.", "reduce."),
    (r"^head\.connect\.([01])\.", lambda m: f"lateral.connect{int(m.group(1)) + 2}."),
    (r"^head\.fusion\.", "lateral.fuse."),
    (r"^head\.encmodule\.encoding\.3\.", "context.encoding."),
    (r"^head\.encmodule\.encoding\.4\.", "context.norm."),
    (r"^head\.encmodule\.encoding\.", "context.project."),
    (r"^head\.encmodule\.fc\.0\.", "context.weigh."),
    (r"^head\.encmodule\.selayer\.", "presence."),
    (r"^head\.conv6\.1\.", "score.1."),
    (r"^auxlayer\.conv5\.4\.", "auxiliary.2."),
    (r"^auxlayer\.conv5\.", "auxiliary.0."),
    (r"^(reduce|lateral\.\w+|context\.project|auxiliary\.0)\.0\.", r"\1.conv."),
    (r"^(reduce|lateral\.\w+|context\.project|auxiliary\.0)\.1\.", r"\1.norm."),
)


def read(state: State, network: str | None) -> Reading:
    """An EncNet of the depth, the classes and the heads that it has."""
    if not has(state, "head.encmodule."):
        raise UserError(
            f"these are no weights of an EncNet of {WHAT} (no head.encmodule): only its EncNets can be taken"
        )
    stem = weight(state, "pretrained.conv1.0.weight", WHAT) if count(state, "pretrained.conv1.#.") else None
    if stem is None or stem.shape[0] != 64 or has(state, "pretrained.layer1.0.conv2.conv."):
        raise UserError(
            f"this EncNet of {WHAT} has another backbone than those that can be taken: resnet50s, resnet101s, resnet152s"
        )
    options = {
        "depth": depth_of(tuple(count(state, f"pretrained.layer{i}.#.") for i in range(1, 5)), WHAT),
        "aux": has(state, "auxlayer."),
        "presence": has(state, "head.encmodule.selayer."),
        "lateral": has(state, "head.connect.", "head.fusion."),
        "codewords": int(weight(state, "head.encmodule.encoding.3.codewords", WHAT).shape[0]),
    }
    return Reading(
        "encnet",
        options,
        int(weight(state, "head.conv6.1.weight", WHAT).shape[0]),
        rename,
        heads=("score.", "presence.", "auxiliary.2."),
        unused=("pretrained.fc.",),
        in_channels=int(stem.shape[1]),
        single=("head.fusion.0.weight", "auxlayer.conv5.4.weight"),
    )


def rename(key: str) -> str:
    """head.encmodule.encoding.0.weight -> context.project.conv.weight, and so on."""
    return renamed(key, RULES)


SOURCE = Source(
    about="EncNet-50, -101 and -152 by its authors: ADE20K, PASCAL Context and VOC models",
    read=read,
    classes={19: "cityscapes", 21: "voc", 150: "ade20k"},
)
