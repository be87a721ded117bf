"""Every network by name."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from perpixel.core.errors import UserError, nearest
from perpixel.models import drn, hrnet
from perpixel.models.deconvnet import DeconvNet
from perpixel.models.decouplednet import DecoupledNet
from perpixel.models.deeplabv3 import DeepLabV3
from perpixel.models.deeplabv3plus import DeepLabV3Plus
from perpixel.models.deformable_deeplab import DeformableDeepLab
from perpixel.models.dilated import DilatedFrontend, Dilation
from perpixel.models.drn_timm import DRNTimm
from perpixel.models.encnet import EncNet
from perpixel.models.enet import ENet
from perpixel.models.erfnet import ERFNet
from perpixel.models.fast_scnn import FastSCNN
from perpixel.models.fcn import fcn8s, fcn8s_at_once, fcn16s, fcn32s
from perpixel.models.fcn_resnet import FCNResNet
from perpixel.models.fpn import FPN
from perpixel.models.multi_scale import multi_scale_with
from perpixel.models.parsenet import ParseNet
from perpixel.models.pspnet import PSPNet
from perpixel.models.segformer import SegFormer
from perpixel.models.segnet import SegNet, SegNetBasic, bayesian_segnet, bayesian_segnet_basic
from perpixel.models.unet import UNet


def build(name: str, num_classes: int, in_channels: int = 3, **options: Any) -> nn.Module:
    """The network `name`, with fresh weights, for `num_classes` classes and images of `in_channels` channels.

    `options` are the network's own constructor arguments; `model_options(name)` lists them with their defaults.

    Raises `UserError` for an unknown name or option, with the nearest right one, and for a count below 1.

    >>> type(build("fast_scnn", num_classes=11, aux=True)).__name__
    'FastSCNN'
    """
    name = current_name(name)
    known = model_options(name)
    for option in options:
        if option not in known:
            hint = nearest(option, known) or f" Its options are {', '.join(known)}."
            raise UserError(f'{name} has no option "{option}".{hint}')
    for what, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if count < 1:
            raise UserError(f"{what} must be 1 or more; got {count}")
    return MODELS[name](num_classes=num_classes, in_channels=in_channels, **options)


def without_download(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a network whose weights come from elsewhere: `pretrained` must not fetch what is replaced at once.

    >>> without_download({"encoder": "resnet18", "pretrained": True})
    {'encoder': 'resnet18', 'pretrained': False}
    """
    inner = {k: without_download(v) if isinstance(v, Mapping) else v for k, v in options.items()}  # network_options
    return {**inner, "pretrained": False} if "pretrained" in options else inner


def model_options(name: str) -> dict[str, Any]:
    """The options of the network `name` with their defaults, beside `num_classes` and `in_channels`.

    Raises `UserError` for an unknown name, with the nearest right one.

    >>> model_options("fast_scnn")["aux"]
    False
    """
    name = current_name(name)
    if name not in MODELS:
        hint = nearest(name, MODELS) or f" Known: {', '.join(sorted(MODELS))}."
        raise UserError(f'There is no model "{name}".{hint}')
    parameters = inspect.signature(MODELS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in ("num_classes", "in_channels")}


def current_name(name: str) -> str:
    """What a network is called today: bundles and recipes made before may say a former name.

    >>> current_name("fcn"), current_name("unet")
    ('fcn_resnet', 'unet')
    """
    return FORMER_NAMES.get(name, name)


MODELS: dict[str, Callable[..., nn.Module]] = {
    "bayesian_segnet": bayesian_segnet,
    "bayesian_segnet_basic": bayesian_segnet_basic,
    "deconvnet": DeconvNet,
    "decouplednet": DecoupledNet,
    "deeplabv3": DeepLabV3,
    "deeplabv3plus": DeepLabV3Plus,
    "deformable_deeplab": DeformableDeepLab,
    "dilated_frontend": DilatedFrontend,
    "dilation8": Dilation,
    "drn_a_18": drn.drn_a_18,
    "drn_a_34": drn.drn_a_34,
    "drn_a_50": drn.drn_a_50,
    "drn_b_26": drn.drn_b_26,
    "drn_c_26": drn.drn_c_26,
    "drn_c_42": drn.drn_c_42,
    "drn_c_58": drn.drn_c_58,
    "drn_d_105": drn.drn_d_105,
    "drn_d_107": drn.drn_d_107,
    "drn_d_22": drn.drn_d_22,
    "drn_d_24": drn.drn_d_24,
    "drn_d_38": drn.drn_d_38,
    "drn_d_40": drn.drn_d_40,
    "drn_d_54": drn.drn_d_54,
    "drn_d_56": drn.drn_d_56,
    "drn_timm": DRNTimm,
    "encnet": EncNet,
    "enet": ENet,
    "erfnet": ERFNet,
    "fast_scnn": FastSCNN,
    "fcn16s": fcn16s,
    "fcn32s": fcn32s,
    "fcn8s": fcn8s,
    "fcn8s_at_once": fcn8s_at_once,
    "fcn_resnet": FCNResNet,
    "fpn": FPN,
    "hrnet_w18": hrnet.hrnet_w18,
    "hrnet_w18_small_v1": hrnet.hrnet_w18_small_v1,
    "hrnet_w18_small_v2": hrnet.hrnet_w18_small_v2,
    "hrnet_w32": hrnet.hrnet_w32,
    "hrnet_w40": hrnet.hrnet_w40,
    "hrnet_w48": hrnet.hrnet_w48,
    "multi_scale": multi_scale_with(build),
    "parsenet": ParseNet,
    "pspnet": PSPNet,
    "segformer": SegFormer,
    "segnet": SegNet,
    "segnet_basic": SegNetBasic,
    "unet": UNet,
}
"""Name -> what builds it, called with `(num_classes, in_channels=3, **options)`."""

FORMER_NAMES = {"dilated_resnet": "drn_timm", "fcn": "fcn_resnet"}
"""A name that bundles and recipes on disk may say -> the name in `MODELS`."""
