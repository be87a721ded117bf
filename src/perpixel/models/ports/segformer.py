"""huggingface/segformer: SegFormer in Hugging Face's `transformers`, and its encoder from an ImageNet classifier.

Files on the hub (nvidia/segformer-b*, nvidia/mit-b*) have the names that `transformers` gave until version 4; a network of
version 5 has others. Both are read. Every layer norm of theirs has an epsilon of 1e-5; the authors' have 1e-6 in blocks.
"""

import re

from perpixel.core.errors import UserError
from perpixel.models.backbones.mit import VARIANTS
from perpixel.models.ports.source import Reading, Rule, Source, State, count, has, renamed, weight

WHAT = "Hugging Face's SegFormer"
VERSION_4: tuple[Rule, ...] = (
    (r"^segformer\.encoder\.patch_embeddings\.(\d+)\.", r"segformer.stages.\1.patch_embeddings."),
    (r"^segformer\.encoder\.block\.(\d+)\.", r"segformer.stages.\1.blocks."),
    (r"^segformer\.encoder\.layer_norm\.(\d+)\.", r"segformer.stages.\1.layer_norm."),
    (r"\.layer_norm_1\.", ".layernorm_before."),
    (r"\.layer_norm_2\.", ".layernorm_after."),
    (r"\.attention\.self\.(query|key|value)\.", lambda m: f".attention.{m.group(1)[0]}_proj."),
    (r"\.attention\.self\.sr\.", ".attention.sequence_reduction.sequence_reduction."),
    (r"\.attention\.self\.layer_norm\.", ".attention.sequence_reduction.layer_norm."),
    (r"\.attention\.output\.dense\.", ".attention.o_proj."),
    (r"\.mlp\.dense([12])\.", r".mlp.fc\1."),
    (r"^decode_head\.linear_c\.", "decode_head.linear_projections."),
)
"""Names of version 4 -> those of version 5."""
VERSION_5: tuple[Rule, ...] = (
    (r"^segformer\.", "encoder."),
    (r"\.patch_embeddings\.proj\.", ".0.conv."),
    (r"\.patch_embeddings\.layer_norm\.", ".0.norm."),
    (r"\.blocks\.(\d+)\.", lambda m: f".{int(m.group(1)) + 1}."),
    (r"\.layernorm_before\.", ".attention_norm."),
    (r"\.layernorm_after\.", ".ffn_norm."),
    (r"\.attention\.sequence_reduction\.sequence_reduction\.", ".attention.reduce."),
    (r"\.attention\.sequence_reduction\.layer_norm\.", ".attention.norm."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.o_proj\.", ".project."),
    (r"\.mlp\.fc1\.", ".ffn.expand."),
    (r"\.mlp\.dwconv\.dwconv\.", ".ffn.depthwise."),
    (r"\.mlp\.fc2\.", ".ffn.project."),
    (r"^decode_head\.linear_projections\.(\d+)\.proj\.", r"head.unify.\1."),
    (r"^decode_head\.linear_fuse\.", "head.fuse.conv."),
    (r"^decode_head\.batch_norm\.", "head.fuse.norm."),
    (r"^decode_head\.classifier\.", "head.classify."),
)
"""Names of version 5 -> ours, but for the norm behind a stage, whose place depends on the number of blocks."""


def read(state: State, network: str | None) -> Reading:
    """The whole network, or a classifier's encoder, for a fresh head."""
    named = {renamed(key, VERSION_4): tensor for key, tensor in state.items()}
    first = "encoder.patch_embeddings.0" if has(state, "segformer.encoder.") else "stages.0.patch_embeddings"
    stem = weight(state, f"segformer.{first}.proj.weight", WHAT)
    depths = tuple(count(named, f"segformer.stages.{i}.blocks.#.") for i in range(4))
    scores = weight(state, "decode_head.classifier.weight", WHAT) if has(state, "decode_head.") else None

    def rename(key: str) -> str:
        key = renamed(renamed(key, VERSION_4), VERSION_5)
        return re.sub(r"^encoder\.stages\.([0-3])\.layer_norm", lambda m: behind_blocks(m, depths), key)

    return Reading(
        "segformer",
        {"variant": variant_of(int(stem.shape[0]), depths), "norm_eps": 1e-5},
        None if scores is None else int(scores.shape[0]),
        rename,
        heads=("head.",) if scores is None else ("head.classify.",),
        unused=("classifier.",),
        in_channels=int(stem.shape[1]),
        single=("decode_head.linear_fuse.weight",),
    )


def variant_of(width: int, depths: tuple[int, ...]) -> str:
    """b0 to b5, by the channels of stage 1 and the blocks of all stages."""
    for name, plan in VARIANTS.items():
        if plan == (width, depths):
            return name
    raise UserError(f"this is no {WHAT}, b0 to b5: {width} channels and {depths} blocks are none of them")


def behind_blocks(match: "re.Match[str]", depths: tuple[int, ...]) -> str:
    """The norm that ends a stage stands behind its patches, number 0, and its blocks."""
    stage = int(match.group(1))
    return f"encoder.stages.{stage}.{depths[stage] + 1}"


SOURCE = Source(
    about="SegFormer B0 to B5: ADE20K and Cityscapes models, and MiT encoders from ImageNet",
    read=read,
    classes={150: "ade20k", 19: "cityscapes"},
)
