"""The rule of each operator: what each of its outputs reads of the inputs."""

from typing import Any

import torch

from perpixel.analyze.trace import lookups, moves, reductions, sliding
from perpixel.analyze.trace.boxes import around
from perpixel.analyze.trace.calls import Call, Result, Rule


def pointwise(call: Call) -> Result:
    """Each element of the output reads the same element of every input."""
    read = call.read
    if len(read) == 1 and read[0].shape == call.shape:
        return read[0] if read[0].windows is None else around(read, call.shape)
    return around(read, call.shape)


def nothing(call: Call) -> Result:
    """A tensor of which only the shape comes from an input."""
    return None


def halves(call: Call) -> Result:
    """A gated linear unit: one half of a dimension times the other."""
    boxes, dim = call.read[0], call["dim"] % call.read[0].rank
    half = boxes.shape[dim] // 2
    return around([boxes.pick(dim, range(half)), boxes.pick(dim, range(half, 2 * half))], call.shape)


RESIZES = ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d", "nearest1d", "nearest2d", "nearest3d")
EXACT = tuple(f"_upsample_nearest_exact{n}d" for n in (1, 2, 3))
SMOOTH = ("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")
BATCH_NORMS = (
    "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "cudnn_batch_norm",
    "_batch_norm_with_update", "_batch_norm_no_update",
)  # fmt: skip
POOLS = ("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "avg_pool1d", "avg_pool2d", "avg_pool3d")
ADAPTIVE = ("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
REDUCTIONS = (
    "sum", "mean", "amax", "amin", "aminmax", "max", "min", "argmax", "argmin", "prod", "any", "all", "logsumexp", "var",
    "std", "var_mean", "std_mean", "norm", "linalg_vector_norm", "median", "nanmedian", "nansum", "mode", "kthvalue",
)  # fmt: skip
OVER_ONE = ("_softmax", "_safe_softmax", "_log_softmax", "sort", "argsort", "topk")
RUNNING = ("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
POINTWISE = ("_prelu_kernel", "rrelu_with_noise", "native_dropout", "bernoulli", "tril", "triu")
"""Those that PyTorch does not mark as such."""
ATTENTIONS = ("scaled_dot_product", "_scaled_dot_product")
"""Beginnings of names."""

RULES: dict[str, Rule] = {
    **moves.RULES,
    **dict.fromkeys((*(f"upsample_{name}" for name in RESIZES), *EXACT, *SMOOTH), sliding.resized),
    **dict.fromkeys(BATCH_NORMS, reductions.batch_norm),
    **dict.fromkeys(POOLS, sliding.pooled),
    **dict.fromkeys(ADAPTIVE, sliding.adaptive),
    **dict.fromkeys(REDUCTIONS, reductions.reduced),
    **dict.fromkeys(OVER_ONE, reductions.over_one),
    **dict.fromkeys(RUNNING, reductions.running),
    **dict.fromkeys(POINTWISE, pointwise),
    **dict.fromkeys(reductions.FACTORS, reductions.product),
    **dict.fromkeys(("fill", "zero"), nothing),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), lookups.sampled),
    **dict.fromkeys(("scatter", "scatter_add"), lookups.scatter),
    "native_layer_norm": reductions.layer_norm,
    "native_group_norm": reductions.group_norm,
    "convolution": sliding.convolution,
    "max_unpool2d": sliding.unpooled,
    "im2col": sliding.windows_as_channels,
    "col2im": sliding.channels_as_windows,
    "torchvision::deform_conv2d": lookups.deformable,
    "gather": lookups.gather,
    "embedding": lookups.embedded,
    "index": lookups.indexed,
    "index_select": lookups.selected,
    "glu": halves,
}
"""Name of an operator, as `Call` has it -> its rule."""


def rule_of(name: str, operator: Any) -> Rule:
    """The rule of an operator; `moves.assumed` for one that is unknown."""
    if name in RULES:
        return RULES[name]
    if name.startswith("new_") or name.endswith("_like"):
        return nothing
    if name.startswith(ATTENTIONS):
        return reductions.attention
    return pointwise if torch.Tag.pointwise in operator.tags else moves.assumed
