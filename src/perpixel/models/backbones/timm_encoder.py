"""Any convolutional or hierarchical encoder of timm, cut to the stages that a decoder asks for."""

import logging
from typing import Any

import timm
from torch import Tensor, nn

from perpixel.core.errors import UserError, nearest
from perpixel.layers.pad import pad_end, round_up
from perpixel.models.backbones.timm_weights import EncoderWeights, find_weights


class TimmEncoder(nn.Module):
    """Image `(B, C, H, W)` -> its stages, finest first: stage i is `(B, channels[i], ~H/strides[i], ~W/strides[i])`.

    - `channels`, `strides`: of the stages returned, finest first;
    - `min_size`: the least height and width at which every stage has 2 x 2 values, which batch norm in training needs.

    `extend` pads an image to `min_size` and to a multiple of the finest stride, which patch embeddings need; the
    network calls it first, so that it can cut its logits to the image.

    With an `output_stride` of 8 or 16 the strides beyond it turn into dilation, in the encoders that can do that. Of a
    stride that `strides` has n times, the n deepest stages are returned, as R-FCN takes the last two.

    `name` is any of `timm.list_models()`, with or without a weight tag ("resnet50.a1_in1k"). `pretrained` says whether
    its weights are looked for and where: see `find_weights`. For other than three bands the first convolution is
    summed (one), or repeated and rescaled (more), as timm does. `origin` says in words where they are from, or is "".

    Raises `UserError` for an unknown name, for an encoder that lacks one of the strides asked for or cannot be dilated,
    and for weights that do not exist or cannot be reached.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        pretrained: bool | str = False,
        strides: tuple[int, ...] = (4, 8, 16, 32),
        output_stride: int = 32,
    ) -> None:
        super().__init__()
        check_name(name)
        weights = find_weights(name, pretrained)
        self.origin = f"{weights.name}: {weights.origin}{adapted(in_channels)}" if weights else ""
        self.encoder = create_encoder(name, in_channels, weights, output_stride)
        reductions = self.encoder.feature_info.reduction()
        self.indices = stage_indices(name, reductions, strides)
        if (needed := max(self.indices) + 1) < len(reductions):  # what lies deeper is neither computed nor kept
            self.encoder = create_encoder(name, in_channels, weights, output_stride, needed)
        self.channels = tuple(self.encoder.feature_info.channels()[i] for i in self.indices)
        self.strides = tuple(strides)
        self.min_size = 2 * max(strides)
        self.channels_last = str(getattr(self.encoder, "output_fmt", "NCHW")).endswith("NHWC")

    def extend(self, image: Tensor) -> Tensor:
        """The image, its last row and column repeated until the encoder can take its height and width."""
        height, width = (round_up(max(length, self.min_size), min(self.strides)) for length in image.shape[-2:])
        return pad_end(image, (height, width))

    def forward(self, image: Tensor) -> list[Tensor]:
        stages = self.encoder(image)
        chosen = [stages[i] for i in self.indices]
        return [stage.permute(0, 3, 1, 2) for stage in chosen] if self.channels_last else chosen


def _news(record: logging.LogRecord) -> bool:
    return not record.msg.startswith("Unexpected keys")


logging.getLogger("timm.models._builder").addFilter(_news)  # a classifier's last layers are never taken: no warning


def adapted(in_channels: int) -> str:
    """What happens to a first convolution of three bands, in words.

    >>> adapted(3), adapted(7)
    ('', '; first convolution repeated over 7 bands and rescaled')
    """
    if in_channels == 3:
        return ""
    return f"; first convolution {'summed to 1 band' if in_channels == 1 else f'repeated over {in_channels} bands and rescaled'}"


def check_name(name: str) -> None:
    """Raise `UserError` unless timm knows the encoder."""
    if not timm.is_model(name):
        hint = nearest(name, timm.list_models()) or " `timm.list_models()` lists them."
        raise UserError(f'timm has no encoder "{name}".{hint}')


def create_encoder(
    name: str,
    in_channels: int,
    weights: EncoderWeights | None,
    output_stride: int = 32,
    stages: int | None = None,
) -> Any:
    """timm's feature extractor, of the first stages only or of all; raises `UserError` where it has none, or cannot get
    the weights."""
    # Swin refuses every size but that of its weights unless told otherwise; no other family knows the argument.
    extra: dict[str, Any] = {"strict_img_size": False} if name.startswith("swin") else {}
    if output_stride != 32:  # the argument is refused, even with 32, by most encoders that cannot be dilated
        extra["output_stride"] = output_stride
    if stages is not None:
        extra["out_indices"] = tuple(range(stages))
    try:
        if weights is None:
            return timm.create_model(name, pretrained=False, in_chans=in_channels, features_only=True, **extra)
        extra["pretrained_cfg_overlay"] = weights.overlay
        made = timm.create_model(weights.name, pretrained=True, in_chans=in_channels, features_only=True, **extra)
        if isinstance(kept := getattr(made, "pretrained_cfg", None), dict):
            kept.pop("state_dict", None)  # else the weights stay in memory a second time
        return made
    except Exception as error:  # what timm and its hub raise has no common base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if weights:
            raise UserError(
                f"The pretrained weights of {name} could not be had: {reason} "
                "Connect to the network once, put them in the Hugging Face cache, or use pretrained=False."
            ) from error
        if output_stride != 32:
            raise UserError(
                f"timm cannot make {name} with an output stride of {output_stride}: {reason} "
                "Use output_stride=32, or an encoder that can be dilated, such as resnet50."
            ) from error
        raise UserError(f"timm cannot take {name} apart into stages: {reason} Choose another encoder.") from error


def stage_indices(name: str, reductions: list[int], strides: tuple[int, ...]) -> tuple[int, ...]:
    """For each stride asked for, the deepest stage that has it, or for n times the same the n deepest, in their order.

    Raises `UserError` where there are fewer.
    """
    found: dict[int, list[int]] = {}
    for stride in dict.fromkeys(strides):
        count = strides.count(stride)
        found[stride] = [i for i, reduction in enumerate(reductions) if reduction == stride][-count:]
        if len(found[stride]) < count:
            raise UserError(
                f"This network needs stages of stride {', '.join(map(str, strides))}; {name} has "
                f"{', '.join(map(str, reductions))}. Choose another encoder, such as resnet50 or convnext_tiny."
            )
    return tuple(found[stride].pop(0) for stride in strides)
