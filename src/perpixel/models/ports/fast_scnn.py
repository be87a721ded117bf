"""Tramac/Fast-SCNN-pytorch: a port of Fast-SCNN, which differs from the paper in what `OPTIONS` name."""

from typing import Any

from perpixel.models.ports.source import Reading, Rule, Source, State, has, renamed, weight

WHAT = "Tramac/Fast-SCNN-pytorch"
OPTIONS: dict[str, Any] = {
    "dsconv_nonlinearity": True,
    "ffm_dilation": 1,
    "ffm_bias": True,
    "first_padding": 0,
    "align_corners": True,
}
"""Of our network, to be theirs."""
RULES: tuple[Rule, ...] = (
    (r"\.bottleneck([123])\.", r".bottlenecks\1."),
    (r"\.block\.2\.", ".block.2.conv."),
    (r"\.block\.3\.", ".block.2.norm."),
    (r"\.ppm\.conv([1-4])\.", lambda m: f".pyramid_pooling.branches.{int(m.group(1)) - 1}."),
    (r"\.ppm\.out\.", ".project."),
    (r"\.dwconv\.", ".dw_conv."),
    (r"\.conv_lower_res\.0\.", ".project_context.conv."),
    (r"\.conv_lower_res\.1\.", ".project_context.norm."),
    (r"\.conv_higher_res\.0\.", ".project_detail.conv."),
    (r"\.conv_higher_res\.1\.", ".project_detail.norm."),
    (r"^classifier\.conv\.1\.", "classifier.score."),
    (r"^auxlayer\.0\.", "auxiliary.conv.conv."),
    (r"^auxlayer\.1\.", "auxiliary.conv.norm."),
    (r"^auxlayer\.4\.", "auxiliary.score."),
    (r"\.dsconv([12])\.conv\.([01])\.", r".ds_conv\1.0.\2."),
    (r"\.dsconv([12])\.conv\.([34])\.", lambda m: f".ds_conv{m.group(1)}.1.{int(m.group(2)) - 3}."),
    (r"(\.ds_conv[12]\.[01])\.0\.", r"\1.conv."),
    (r"(\.ds_conv[12]\.[01])\.1\.", r"\1.norm."),
    (r"\.conv\.0\.", ".conv."),
    (r"\.conv\.1\.", ".norm."),
)


def read(state: State, network: str | None) -> Reading:
    """With the auxiliary head where the weights have one."""
    first = weight(state, "learning_to_downsample.conv.conv.0.weight", WHAT)
    score = weight(state, "classifier.conv.1.weight", WHAT)
    options = OPTIONS | {"aux": has(state, "auxlayer.")}
    heads = ("classifier.score.", "auxiliary.score.")
    return Reading("fast_scnn", options, int(score.shape[0]), rename, heads=heads, in_channels=int(first.shape[1]))


def rename(key: str) -> str:
    """global_feature_extractor.ppm.conv1.conv.0.weight -> global_feature_extractor.pyramid_pooling.branches.0.conv.weight.

    Their convolution with batch norm is a list called `conv`, of which the first is the convolution.
    """
    return renamed(key, RULES)


SOURCE = Source(
    about="a port of Fast-SCNN, trained on Cityscapes",
    read=read,
    classes={19: "cityscapes"},
)
