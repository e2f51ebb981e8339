"""Parameters of the segmentation stage, with presets. The defaults are the values of OEEM (Li et al., MICCAI 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FilePath, model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.precision import PrecisionParams
from benchmark.method import param

CODE = "released code"
EXTENSION = "an extension"
STRIDE = 8
"""Level-0 pixels per position of the deepest feature map: backbones have output stride 8."""
LARGEST = 100_000_000
"""Pixels of the largest slide that is held in memory whole."""
NET_STRIDES: Mapping[str, int] = {
    "pspnet": 1,
    "fpn": 1,
    "encoder-unet": 1,
    "deeplab": 1,
    "unet": 16,
    "res-unet": 16,
    "kiu-net": 8,
    "uctransnet": 16,
    "medt": 32,
}
"""Net → what the sides of its input are multiples of."""
DEEPEST: Mapping[str, int] = {"fpn": 32, "encoder-unet": 32, "unet": 16, "res-unet": 16, "uctransnet": 16}
"""Net → the side of an input whose deepest map, behind BatchNorm, has one position."""
ONE_SIDE = ("uctransnet", "medt")
"""Nets that are built for one side of the input, to which their learned positions belong."""
WITH_BACKBONE = ("pspnet", "fpn", "encoder-unet", "deeplab")
"""Nets on a backbone; the others start at random, or from `seg_weights`."""
UCTRANSNET = "UCTransNet's released code"
TtaScale = Annotated[float, Field(ge=0.125, le=8.0)]
PoolScale = Annotated[int, Field(ge=1)]


SegNet = Literal["pspnet", "fpn", "encoder-unet", "deeplab", "unet", "res-unet", "medt", "kiu-net", "uctransnet"]
SegOptimiser = Literal["sgd", "nesterov", "adam", "adamw"]
SegSchedule = Literal["poly", "one-cycle", "cosine-restarts", "steps", "constant"]


class SegmentationParams(PrecisionParams):
    """Training on masks and scoring slides: the parameters of every method that ends in a segmentation net."""

    tile: int = param(256, "side of the tiles a slide is cut into", symbol="t", unit="px", source=f"{CODE}, D9", ge=32)
    tile_stride: int = param(192, "distance of neighbouring tiles", symbol="u", unit="px", source=f"{CODE}, D9", ge=1)
    whole_side: int | None = param(
        None,
        "every slide is resized to this side, whatever its shape, for training and for scoring; tile, ratio, crop and"
        " window then do not matter; none: tiles",
        unit="px",
        source="papers of unet, medt, kiu-net, uctransnet",
        ge=16,
    )
    jpeg_quality: int | None = param(
        None,
        "JPEG quality at which every tile is re-encoded (released code: 95); none: no compression",
        source="D9",
        ge=1,
        le=100,
    )
    ratio_min: float = param(
        0.75,
        "smallest factor of the random resize of a training tile",
        symbol="q",
        source=f"{CODE}, D23",
        gt=0.0,
        le=8.0,
    )
    ratio_max: float = param(
        3.0, "largest factor of the random resize of a training tile", symbol="q", source=f"{CODE}, D23", gt=0.0, le=8.0
    )
    crop: int = param(256, "side of the training crop", unit="px", source=CODE, ge=STRIDE, multiple_of=STRIDE)
    seg_flip: float = param(0.5, "probability of a horizontal flip", source=CODE, ge=0.0, le=1.0)
    seg_flip_vertical: float = param(0.0, "probability of a vertical flip", source=EXTENSION, ge=0.0, le=1.0)
    seg_rotation: float = param(
        0.0, "largest rotation; corners without pixels are ignored", unit="°", source=UCTRANSNET, ge=0.0, le=180.0
    )
    seg_elastic: float = param(
        0.0, "standard deviation of an elastic deformation", unit="px", source="Ronneberger et al. 2015", ge=0.0
    )
    elastic_smoothness: float = param(
        16.0, "standard deviation of the Gaussian that smooths it", unit="px", source=EXTENSION, gt=0.0
    )
    seg_augment: Literal["all", "one-of"] = param(
        "all",
        "'all': each change by its own chance; 'one-of': half of the crops are turned by a multiple of 90° and flipped,"
        " a quarter are rotated, a quarter stay",
        source=f"'one-of' is {UCTRANSNET}",
    )
    seg_turn: bool = param(False, "turn the crop by a random multiple of 90°", source=EXTENSION)
    seg_distortion: bool = param(True, "vary brightness, contrast, saturation and hue", source=CODE)
    seg_jitter: float = param(
        0.0,
        "largest change of contrast, and of brightness as a share of white; milder than seg_distortion",
        source=EXTENSION,
        ge=0.0,
        lt=1.0,
    )

    seg_net: SegNet = param(
        "pspnet",
        "'pspnet': backbone dilated to output stride 8, pyramid pooling; 'fpn': backbone not dilated, lateral and"
        " top-down connections, which costs a CPU a fraction; 'encoder-unet': a U-Net's decoder on the backbone;"
        " 'deeplab': DeepLabv3+ with group norm; the others have no backbone and start at random",
        source="paper §3.1; the others are options",
    )
    net_width: int | None = param(
        None,
        "channels of the first level of 'unet', 'res-unet', 'uctransnet' (published: 64) and 'kiu-net' (16); none: as"
        " published",
        ge=2,
        multiple_of=2,
    )
    head_relu: bool = param(
        False,
        "ReLU behind the head of 'kiu-net', as in its released code; it stops the gradients of negative logits",
        source="KiU-Net's released code",
    )
    gate_epochs: int = param(
        11, "epochs for which the gates of 'medt' are constant", source="MedT's released code", ge=0
    )
    seg_backbone: EncoderName = param(
        "resnet38",
        "backbone of the segmentation net: 'resnet38', a convolutional encoder (imagenet-lite0, …), or a timm model",
        source="paper §3.1",
    )
    seg_weights: FilePath | None = param(
        None, "local weight file of the backbone (res38d.pth for 'resnet38'), or of a net without one"
    )
    seg_pretrained: bool = param(
        True, "the backbone starts from ImageNet weights; false: random weights", source="paper §3.1", given=True
    )
    seg_scaling: Literal["imagenet", "encoder", "unit"] = param(
        "imagenet",
        "standardise pixels with ImageNet's mean and deviation, or as the backbone's weights were trained; 'unit':"
        " pixels in [0, 1]",
        source=f"{CODE}, D8",
    )
    seg_stages: int = param(4, "how many stages of the backbone 'fpn' connects", source=EXTENSION, ge=2, le=5)
    seg_b7_dilation: int = param(
        4, "dilation of the last block of 'resnet38' (2 or 4)", source=f"{CODE}, D15", ge=1, le=8
    )
    head_channels: int = param(
        512, "channels of the pyramid pooling head, or of the connections of 'fpn'", source=CODE, ge=1
    )
    pool_scales: tuple[PoolScale, ...] = param(
        (1, 2, 3, 6), "sides of the pooled maps of the pyramid", source=CODE, min_length=1
    )
    head_init: Literal["released", "torch"] = param(
        "released",
        "initial weights of the heads of 'pspnet' and 'fpn': 'released': Kaiming's normal by fan-out, N(0, 0.01) for"
        " the classifier; 'torch': PyTorch's",
        source=CODE,
    )
    aux_channels: int = param(256, "channels of the auxiliary head", source=CODE, ge=1)
    aux_weight: float = param(
        0.4, "weight of the auxiliary head's loss; 0: no auxiliary head, as in the paper", source=f"{CODE}, D3", ge=0.0
    )
    head_dropout: float = param(0.1, "channel dropout before the classifier of each head", source=CODE, ge=0.0, lt=1.0)

    count_padding: bool = param(
        False,
        "count padded pixels in the mean of the loss (and in OEEM's l_norm), as the released code does",
        source="D6",
    )
    seg_batch: int = param(32, "crops per training step (released command: 8)", source="paper §3.1, D2", ge=1)
    iterations: int | None = param(
        10_000, "training steps; none: as many as max_epochs gives", source="paper §3.1", ge=1
    )
    max_epochs: float | None = param(
        None,
        "most passes over the training tiles; fewer steps shorten the schedule too; none: no limit",
        gt=0.0,
    )
    seg_optimiser: SegOptimiser = param(
        "sgd", "optimiser; 'nesterov': SGD with Nesterov's momentum", source="paper §3.1"
    )
    seg_schedule: SegSchedule = param(
        "poly",
        "'poly': from seg_lr down to seg_min_lr; 'one-cycle': up to seg_lr over 30 % of the steps, then to nothing;"
        " 'cosine-restarts': down to seg_min_lr along a cosine, epoch by epoch, and anew after restart_epochs;"
        " 'steps': a tenth of it after 40 % of the steps, and again after 80 %",
        source="paper §3.1",
    )
    restart_epochs: int = param(10, "epochs between two restarts", source=UCTRANSNET, ge=1)
    seg_lr: float = param(5e-3, "initial learning rate, of 'one-cycle' the highest", source="paper §3.1", gt=0.0)
    seg_min_lr: float = param(1e-4, "final learning rate (poly 0.9)", source=f"{CODE}, D22", ge=0.0)
    seg_momentum: float = param(0.9, "momentum of SGD", source=f"{CODE}, D22", ge=0.0, lt=1.0)
    seg_weight_decay: float = param(5e-4, "weight decay", source=f"{CODE}, D22", ge=0.0)

    tta_scales: tuple[TtaScale, ...] = param(
        (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0),
        "scales at which a tile is scored",
        symbol="r",
        source="paper §3.1",
        min_length=1,
    )
    tta_flip: bool = param(True, "also score the mirrored tile", source=f"{CODE}, D10")
    window: int = param(
        320, "side of the sliding window on the resized tile", unit="px", source=f"{CODE}, D10", ge=STRIDE
    )
    window_stride: int = param(256, "distance of neighbouring windows", unit="px", source=f"{CODE}, D10", ge=1)
    window_batch: int = param(32, "windows per forward pass when scoring; does not change results", ge=1)

    @model_validator(mode="after")
    def _fields_agree(self) -> Self:
        _at_most(self, "tile_stride", "tile", "pixels would be left out")
        _at_most(self, "window_stride", "window", "pixels would be left out")
        _at_most(self, "ratio_min", "ratio_max", "the range of resize factors would be empty")
        _at_most(self, "seg_min_lr", "seg_lr", "the learning rate would grow")
        if self.iterations is None and self.max_epochs is None:
            raise ValueError("neither iterations nor max_epochs is given: training would not end")
        _net_fits(self)
        return self


SEGMENTATION_FIELDS = tuple(name for name in SegmentationParams.model_fields if not name.startswith(("tta_", "window")))
"""Parameters that the stage "segmentation" uses; the others only matter when a slide is scored."""
SEG_QUICK: Mapping[str, Any] = {
    "tile": 800,
    "tile_stride": 640,
    "ratio_min": 0.4,
    "ratio_max": 0.6,
    "crop": 160,
    "seg_turn": True,
    "seg_distortion": False,
    "seg_jitter": 0.1,
    "seg_net": "fpn",
    "seg_stages": 5,
    "seg_backbone": "imagenet-lite0",
    "seg_scaling": "encoder",
    "head_channels": 64,
    "head_init": "torch",  # the released framework has no such net
    "head_dropout": 0.0,
    "seg_batch": 8,
    "iterations": 300,
    "seg_optimiser": "adamw",
    "seg_schedule": "one-cycle",
    "seg_lr": 1e-3,
    "seg_min_lr": 0.0,
    "seg_weight_decay": 0.01,
    "tta_scales": (0.5,),
    "window": 400,
    "window_stride": 320,
}
"""Minutes on two CPU cores, from ImageNet weights that come with the project: half the resolution, whole images of
GlaS in one window, a net that is not dilated, few steps."""

SEG_SMOKE: Mapping[str, Any] = {
    "tile": 128,
    "tile_stride": 128,
    "ratio_min": 0.4,
    "ratio_max": 0.6,
    "crop": 48,
    "seg_backbone": "test_resnet",
    "seg_pretrained": False,
    "head_channels": 8,
    "aux_channels": 8,
    "seg_batch": 2,
    "iterations": 3,
    "tta_scales": (0.5,),
    "tta_flip": False,
}
"""Seconds on a miniature: shows that everything runs, learns next to nothing."""


def input_side(params: SegmentationParams) -> int:
    """Side of the images that the net is trained on."""
    return params.whole_side or params.crop


def input_multiple(params: SegmentationParams) -> int:
    """What the sides of the net's input are multiples of when slides are scored; smaller windows are padded to it."""
    return input_side(params) if params.seg_net in ONE_SIDE else NET_STRIDES[params.seg_net]


def scoring_window(params: SegmentationParams) -> tuple[int, int]:
    """Side and stride of the sliding window."""
    if params.whole_side is not None:
        return params.whole_side, params.whole_side
    return params.window, params.window_stride


def _net_fits(params: SegmentationParams) -> None:
    """Raise `ValueError` for sides that the net cannot take."""
    net, side = params.seg_net, input_side(params)
    name = "crop" if params.whole_side is None else "whole_side"
    if side % NET_STRIDES[net]:
        raise ValueError(f"{name} {side} is not a multiple of {NET_STRIDES[net]}, as seg_net {net!r} needs")
    if net in ONE_SIDE and params.whole_side is None and params.window != side:
        raise ValueError(f"seg_net {net!r} takes images of one side: window {params.window} must equal crop {side}")
    if net == "deeplab" and params.seg_batch < 2:
        raise ValueError("seg_batch 1: deeplab needs 2")
    if net in DEEPEST and params.seg_batch < 2 and side == DEEPEST[net]:
        raise ValueError(f"seg_batch 1: {net} needs 2 for BatchNorm of a deepest map of one position ({name} {side})")
    if net != "pspnet":
        return
    positions, finest = side // STRIDE, max(params.pool_scales)
    if finest > positions:
        msg = f"pool_scales up to {finest}: a {name} of {side} px has only {positions} × {positions} positions"
        raise ValueError(msg)
    if params.seg_batch < 2:
        raise ValueError("seg_batch 1: pspnet needs 2, for BatchNorm of maps that are pooled to one position")


def _at_most(params: SegmentationParams, small: str, large: str, otherwise: str) -> None:
    low, high = getattr(params, small), getattr(params, large)
    if low > high:
        raise ValueError(f"{small} {low} is larger than {large} {high}: {otherwise}; set {small} to {high} or less")
