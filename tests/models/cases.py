"""One line a network: how many parameters it must have, who says so, and a small variant for the other tests."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """`parameters` is the count of `build(name, num_classes, in_channels, **options)`.

    `small` are the options of a variant quick enough for the tests of behaviour; without it the case is only counted.
    `like` names a network of the same file with other numbers of layers: its behaviour is tested in this one's place.
    `backbone` is whether a part of it is trained before, as a classifier: see `backbone_names`.
    """

    name: str
    num_classes: int
    parameters: int
    source: str
    in_channels: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    small: dict[str, Any] | None = None
    like: str | None = None
    backbone: bool = True

    def __str__(self) -> str:
        return "-".join([self.name, str(self.num_classes), *(f"{key}={value}" for key, value in self.options.items())])


TRAMAC = "Tramac/Fast-SCNN-pytorch, less the biases (2 x 128) in front of two batch norms"
TRAMAC_EXACTLY: dict[str, Any] = {
    "dsconv_nonlinearity": True,
    "ffm_dilation": 1,
    "ffm_bias": True,
    "first_padding": 0,
    "align_corners": True,
}
ENCNET = "zhanghang1989/PyTorch-Encoding, encoding/models/sseg/encnet.py"
ENET = "e-lab/ENet-training, train/models/encoder.lua and decoder.lua"
ERFNET = "Eromera/erfnet_pytorch, train/erfnet.py, which always has the encoder's head (129 a class)"
FCN = "shelhamer/fcn.berkeleyvision.org, the training prototxts: upsampling kernels of K x K x size x size"
DECONVNET = "HyeonwooNoh/DeconvNet, the deploy prototxt"
DECOUPLED = "HyeonwooNoh/DecoupledNet, the deploy prototxt: 173,107,906 and the classifier that it freezes, 134,342,484"
SEGNET = "alexgkendall/SegNet-Tutorial, the training prototxts at 11 classes"
DEEPLAB = "tensorflow/models, research/deeplab, rebuilt: the trunk's 37,867,312, and a head that gives the paper's adds"
VAINF: dict[str, Any] = {"encoder": "dilated_resnet50", "separable": False, "decoder_convs": 1}
VAINF_101 = VAINF | {"encoder": "dilated_resnet101"}
VAINF_TIMM = VAINF | {"encoder": "resnet50"}
VAINF_REPOSITORY = "VainF/DeepLabV3Plus-Pytorch, network/modeling.py"
DEFORMABLE = "msracver/Deformable-ConvNets, deeplab/symbols, the upsampling's 19 fixed kernels of 32 x 32 among them"
FRONTEND = "fyu/dilation, network.py"
DILATION = "fyu/dilation, the deploy files of VOC, CamVid and Cityscapes"
DRN_SEG = "fyu/drn, segment.py"
DRN_PARTS = "fyu/drn, drn.py: the classifier at 1000 classes, 981 of them less, 19 fixed kernels of 16 x 16 more"
HRNET = "HRNet/HRNet-Semantic-Segmentation, lib/models/seg_hrnet.py"
PARSENET = "by hand: VGG-16 14,714,688, fc6 and fc7 of DeepLab-LargeFOV 5,769,216, scales 2,048, scores 2,049 a class"
ATTENTION = TRAMAC + "; attention by hand, 3 x 19 x 9 x 512 + 512 and 512 x 3 + 3"
SEGFORMER = "Hugging Face transformers, SegformerForSemanticSegmentation"
SEMSEG = "hszhao/semseg, model/pspnet.py"
SEMSEG_EVAL = "hszhao/PSPNet, the deploy file: no auxiliary head"
UNET = "the 23 convolutions of the paper's figure 1, with biases"
TORCHVISION = "torchvision.models.segmentation"
SEMANTIC_FPN = "ResNet 23,508,032 or 42,500,160, pyramid 3,344,384, branch with group norms 1,626,259"


def drn(name: str, classifier: int, channels: int = 512, **case: Any) -> Case:
    """A dilated residual network at 19 classes, from its classifier's parameters at 1000 classes."""
    return Case(name, 19, classifier - 981 * (channels + 1) + 19 * 16 * 16, DRN_PARTS, **case)


CASES = (
    Case("bayesian_segnet", 11, 29_449_355, SEGNET, small={"width": 8}),
    Case("bayesian_segnet_basic", 11, 1_416_587, SEGNET, small={"width": 16}, backbone=False),
    Case("deconvnet", 21, 251_805_653, DECONVNET, small={"width": 8}),
    Case("decouplednet", 21, 173_107_906 + 134_342_484, DECOUPLED, small={"width": 8}),
    Case("deeplabv3", 21, 39_638_869, TORCHVISION),
    Case("deeplabv3", 21, 42_004_074, TORCHVISION, options={"aux": True}, small={"width": 8, "aux": True}),
    Case("deeplabv3", 21, 58_630_997, TORCHVISION, options={"depth": 101}),
    Case("deeplabv3", 21, 60_996_202, TORCHVISION, options={"depth": 101, "aux": True}),
    Case("deeplabv3plus", 21, 41_055_413, DEEPLAB, small={"width": 0.0625}),
    Case("deeplabv3plus", 19, 41_054_899, DEEPLAB),
    Case("deeplabv3plus", 19, 41_054_899, "timm's xception65 is that trunk", options={"encoder": "xception65"}),
    Case("deeplabv3plus", 21, 39_761_845, VAINF_REPOSITORY, options=VAINF),
    Case("deeplabv3plus", 21, 39_761_845, VAINF_REPOSITORY, options=VAINF_TIMM),
    Case("deeplabv3plus", 21, 58_753_973, VAINF_REPOSITORY, options=VAINF_101),
    Case("deformable_deeplab", 19, 44_886_153, DEFORMABLE, small={"width": 8, "depth": 50}),
    Case("deformable_deeplab", 19, 44_637_267, DEFORMABLE, options={"deformable": False}),
    Case("dilated_frontend", 21, 134_346_581, FRONTEND),
    Case("dilated_frontend", 11, 134_305_611, FRONTEND, small={"width": 4}),
    Case("drn_timm", 19, 23_508_032 + 2_049 * 19, "ResNet-50 without its classifier 23,508,032, 2,049 a class"),
    Case(
        "drn_timm",
        19,
        11_176_512 + 513 * 19,
        "ResNet-18 without its classifier 11,176,512, 513 a class",
        options={"encoder": "resnet18"},
        small={"encoder": "resnet18", "output_stride": 16},
    ),
    Case("dilation8", 11, 134_313_443, DILATION, small={"width": 4}),
    Case("dilation8", 21, 141_149_720, DILATION, options={"context": "large"}),
    Case("dilation8", 19, 134_373_043, DILATION, options={"depth": 10, "upsample": "transposed"}),
    drn("drn_a_18", 11_689_512, like="drn_a_50"),
    drn("drn_a_34", 21_797_672, like="drn_a_50"),
    drn("drn_a_50", 25_557_032, channels=2048, small={"width": 0.125}),
    drn("drn_b_26", 21_126_584, like="drn_c_26"),
    drn("drn_c_26", 21_126_584, small={"width": 0.25}),
    drn("drn_c_42", 31_234_744, like="drn_c_26"),
    drn("drn_c_58", 41_591_608, like="drn_c_26"),
    drn("drn_d_22", 16_393_752, small={"width": 0.25}),
    drn("drn_d_24", 21_114_392, like="drn_d_22"),
    drn("drn_d_38", 26_501_912, like="drn_d_22"),
    drn("drn_d_40", 31_222_552, like="drn_d_22"),
    drn("drn_d_54", 35_809_176, like="drn_d_22"),
    drn("drn_d_56", 40_529_816, like="drn_d_22"),
    drn("drn_d_105", 54_801_304, like="drn_d_22"),
    drn("drn_d_107", 59_521_944, like="drn_d_22"),
    Case("drn_d_22", 19, 15_895_363, DRN_SEG),
    Case("drn_c_26", 19, 20_628_195, DRN_SEG),
    Case("drn_d_38", 19, 26_003_523, DRN_SEG),
    Case("drn_d_105", 19, 54_302_915, DRN_SEG),
    Case("encnet", 150, 36_164_578, ENCNET, options={"aux": True, "presence": True}),
    Case("encnet", 150, 55_156_706, ENCNET, options={"aux": True, "presence": True, "depth": 101}),
    Case("encnet", 59, 43_915_217, ENCNET, options={"aux": True, "presence": True, "lateral": True}),
    Case("encnet", 59, 62_907_345, ENCNET, options={"aux": True, "presence": True, "lateral": True, "depth": 101}),
    Case(
        "encnet",
        59,
        43_915_217 - 30_267,
        ENCNET,
        options={"aux": True, "lateral": True},
        small={"width": 8, "aux": True, "lateral": True},
    ),
    Case("enet", 11, 363_791, ENET),
    Case("enet", 12, 363_856, ENET),
    Case("enet", 19, 364_311, ENET),
    Case("enet", 19, 364_311 + 2_451, ENET, options={"aux": True}, small={"aux": True, "dropout": (0.0, 0.0)}),
    Case("erfnet", 11, 2_065_090, ERFNET, options={"aux": True}, small={"aux": True, "dropout": (0.0, 0.0)}),
    Case("erfnet", 19, 2_066_642, ERFNET, options={"aux": True}),
    Case("erfnet", 20, 2_066_836, ERFNET, options={"aux": True}),
    Case("erfnet", 20, 2_066_836 - 2_580, ERFNET),
    Case("fast_scnn", 19, 1_138_051 - 256, TRAMAC),
    Case("fast_scnn", 11, 1_137_019 - 256, TRAMAC, small={}),
    Case("fast_scnn", 19, 1_138_051, "Tramac/Fast-SCNN-pytorch", options=TRAMAC_EXACTLY),
    Case("fast_scnn", 11, 1_137_019, "Tramac/Fast-SCNN-pytorch", options=TRAMAC_EXACTLY),
    Case("fast_scnn", 19, 1_138_051 - 256 + 19_123, TRAMAC, options={"aux": True}),
    Case("fast_scnn", 11, 1_137_019 - 256 + 18_859, TRAMAC, options={"aux": True}, small={"aux": True}),
    Case("fcn_resnet", 21, 32_957_013, TORCHVISION, small={"width": 8}),
    Case("fcn_resnet", 21, 35_322_218, TORCHVISION, options={"aux": True}, small={"width": 8, "aux": True}),
    Case("fcn_resnet", 21, 51_949_141, TORCHVISION, options={"depth": 101}),
    Case("fcn_resnet", 21, 54_314_346, TORCHVISION, options={"depth": 101, "aux": True}),
    Case("fcn16s", 21, 134_815_994, FCN, small={"width": 4}),
    Case("fcn32s", 21, 136_152_917, FCN, small={"width": 4}),
    Case("fcn8s", 21, 134_489_759, FCN, small={"width": 4}),
    Case("fcn8s", 11, 134_348_929, FCN, options={"padding": "same"}, small={"width": 8, "padding": "same"}),
    Case("fcn8s_at_once", 21, 134_489_759, FCN, small={"width": 4}),
    Case("fpn", 19, 28_478_675, SEMANTIC_FPN, options={"encoder": "resnet50"}, small={"encoder": "resnet18"}),
    Case("fpn", 19, 47_470_803, SEMANTIC_FPN, options={"encoder": "resnet101"}),
    Case("hrnet_w18", 19, 9_641_119, HRNET, like="hrnet_w18_small_v1"),
    Case("hrnet_w18_small_v1", 19, 1_540_819, HRNET, small={}),
    Case("hrnet_w18_small_v2", 19, 3_939_579, HRNET, like="hrnet_w18_small_v1"),
    Case("hrnet_w32", 19, 29_546_515, HRNET, like="hrnet_w18_small_v1"),
    Case("hrnet_w40", 19, 45_894_435, HRNET, like="hrnet_w18_small_v1"),
    Case("hrnet_w48", 19, 65_859_379, HRNET, like="hrnet_w18_small_v1"),
    Case("hrnet_w48", 194, 65_985_554, "mseg-dataset/mseg-semantic", like="hrnet_w18_small_v1"),
    Case(
        "multi_scale", 19, 1_138_051 - 256 + 264_707, ATTENTION, small={"attention_channels": 32, "scales": [1.0, 2.0]}
    ),
    Case("multi_scale", 11, 1_137_019 - 256, TRAMAC, options={"fusion": "average"}),
    Case(
        "multi_scale",
        11,
        29_449_355 + 22 * 9 * 512 + 512 + 2 * 512 + 2,
        SEGNET + ", and attention by hand",
        options={"network": "segnet", "scales": [0.5, 1.0], "aux": True},
    ),
    Case("parsenet", 21, 14_714_688 + 5_769_216 + 2_048 + 2_049 * 21, PARSENET, small={"width": 8}),
    Case(
        "parsenet",
        11,
        20_485_952 + 2_050 * 11,
        PARSENET,
        options={"fusion": "late"},
        small={"width": 8, "fusion": "late"},
    ),
    Case("pspnet", 19, 49_080_038, SEMSEG, options={"aux": True}, small={"width": 8, "aux": True}),
    Case("pspnet", 19, 68_072_166, SEMSEG, options={"aux": True, "depth": 101}),
    Case("pspnet", 150, 49_180_908, SEMSEG, options={"aux": True}),
    Case("pspnet", 150, 68_173_036, SEMSEG, options={"aux": True, "depth": 101}),
    Case("pspnet", 150, 46_782_550, SEMSEG_EVAL, small={"width": 8}),
    Case("pspnet", 19, 65_707_475, SEMSEG_EVAL, options={"depth": 101}),
    Case("segformer", 150, 3_752_694, SEGFORMER, small={"drop_path": 0.0}),
    Case("segformer", 19, 3_719_027, SEGFORMER),
    Case("segformer", 150, 13_715_798, SEGFORMER, options={"variant": "b1"}),
    Case("segformer", 150, 27_461_974, SEGFORMER, options={"variant": "b2"}),
    Case("segformer", 150, 47_337_814, SEGFORMER, options={"variant": "b3"}),
    Case("segformer", 150, 64_108_374, SEGFORMER, options={"variant": "b4"}),
    Case("segformer", 150, 84_708_694, SEGFORMER, options={"variant": "b5"}),
    Case("segnet", 11, 29_449_355, SEGNET, small={"width": 8}),
    Case("segnet", 11, 29_449_355, SEGNET, options={"packed_indices": False}),
    Case("segnet_basic", 11, 1_416_587, SEGNET, small={"width": 16}, backbone=False),
    Case("unet", 2, 31_030_658, UNET, in_channels=1, small={"width": 16}, backbone=False),
    Case(
        "unet",
        11,
        31_032_395,
        UNET,
        options={"padding": "same"},
        small={"width": 16, "padding": "same"},
        backbone=False,
    ),
)
