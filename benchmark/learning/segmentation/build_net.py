"""The net that the parameters name: on a backbone, or one of the published nets that have none."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.encoders.stage_maps import Stages, create_stages
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.learning.nets.backbones import create_backbone, weights_fix
from benchmark.learning.nets.fpn import FpnNet
from benchmark.learning.nets.heads import initialise_released
from benchmark.learning.nets.pspnet import PspNet
from benchmark.learning.segmentation.segmentation_params import WITH_BACKBONE, SegmentationParams, input_side


class PlainNet(nn.Module):
    """A net without auxiliary head: images B × 3 × H × W → logits B × K × H × W, and None.

    One logit per pixel becomes two, the first 0: their softmax is its sigmoid.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """See the class."""
        logits: Tensor = self.net(images)
        return (functional.pad(logits, (0, 0, 0, 0, 1, 0)) if logits.shape[1] == 1 else logits), None


def create_net(params: SegmentationParams, classes: int, *, initialise: bool) -> nn.Module:
    """The net with initial weights as the parameters say, or at random when trained ones will be loaded.

    Images B × 3 × H × W → logits B × K × h × w and, of an auxiliary head, the same or None.
    Raises `WeightsError` when weights cannot be loaded or belong to another net.
    """
    if params.seg_net not in WITH_BACKBONE:
        net = _published(params, classes)
        if initialise and params.seg_weights is not None:
            fit_state(net, load_state(params.seg_weights), origin=params.seg_weights)
        return PlainNet(net)
    if params.seg_net == "encoder-unet":
        from benchmark.learning.nets.encoder_unet import EncoderUnet

        return PlainNet(EncoderUnet(_stages(params, 5, initialise=initialise), classes))
    if params.seg_net == "deeplab":
        from benchmark.learning.nets.deeplab_net import deeplab_net

        fix = weights_fix("segmentation", f"{params.seg_backbone}.safetensors")
        pretrained, weights = initialise and params.seg_pretrained, params.seg_weights if initialise else None
        return PlainNet(deeplab_net(params.seg_backbone, classes, pretrained=pretrained, weights=weights, fix=fix))
    if params.seg_net == "fpn":
        stages = _stages(params, params.seg_stages, initialise=initialise)
        fpn = FpnNet(stages, classes, channels=params.head_channels, dropout=params.head_dropout)
        if params.head_init == "released":
            initialise_released(fpn.head)
        return fpn
    backbone = create_backbone(
        params.seg_backbone,
        pretrained=params.seg_pretrained and initialise,
        weights=params.seg_weights if initialise else None,
        purpose="segmentation",
        b7_dilation=params.seg_b7_dilation,
    )
    pspnet = PspNet(
        backbone,
        classes,
        head_channels=params.head_channels,
        pool_scales=params.pool_scales,
        aux_channels=params.aux_channels if params.aux_weight > 0 else 0,
        dropout=params.head_dropout,
    )
    if params.head_init == "released":
        for head in filter(None, (pspnet.head, pspnet.aux_head)):
            initialise_released(head)
    return pspnet


def _stages(params: SegmentationParams, count: int, *, initialise: bool) -> Stages:
    return create_stages(
        params.seg_backbone,
        count,
        pretrained=params.seg_pretrained and initialise,
        weights=params.seg_weights if initialise else None,
        fix=weights_fix("segmentation", f"{params.seg_backbone}.safetensors"),
    )


def _published(params: SegmentationParams, classes: int) -> nn.Module:
    """A net without backbone. Those with a sigmoid have one logit for two classes."""
    outputs, width = 1 if classes == 2 else classes, params.net_width
    if params.seg_net == "unet":
        from benchmark.learning.nets.unet import UnetNet

        return UnetNet(outputs, width=width or 64)
    if params.seg_net == "res-unet":
        from benchmark.learning.nets.res_unet import ResUnetNet

        return ResUnetNet(outputs, width=width or 64)
    if params.seg_net == "uctransnet":
        from benchmark.learning.nets.uctransnet import UcTransNet

        return UcTransNet(outputs, side=input_side(params), width=width or 64)
    if params.seg_net == "kiu-net":
        from benchmark.learning.nets.kiu_net import KiuNet

        return KiuNet(classes, width=width or 16, head_relu=params.head_relu)
    from benchmark.learning.nets.medt import MedT

    return MedT(classes, side=input_side(params))
