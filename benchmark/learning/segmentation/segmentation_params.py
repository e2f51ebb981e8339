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
TtaScale = Annotated[float, Field(ge=0.125, le=8.0)]
PoolScale = Annotated[int, Field(ge=1)]


class SegmentationParams(PrecisionParams):
    """Training on masks and scoring slides: the parameters of every method that ends in a segmentation net."""

    tile: int = param(256, "side of the tiles a slide is cut into", symbol="t", unit="px", source=f"{CODE}, D9", ge=32)
    tile_stride: int = param(192, "distance of neighbouring tiles", symbol="u", unit="px", source=f"{CODE}, D9", ge=1)
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
    seg_turn: bool = param(False, "turn the crop by a random multiple of 90°", source=EXTENSION)
    seg_distortion: bool = param(True, "vary brightness, contrast, saturation and hue", source=CODE)
    seg_jitter: float = param(
        0.0,
        "largest change of contrast, and of brightness as a share of white; milder than seg_distortion",
        source=EXTENSION,
        ge=0.0,
        lt=1.0,
    )

    seg_net: Literal["pspnet", "fpn"] = param(
        "pspnet",
        "'pspnet': backbone dilated to output stride 8, pyramid pooling; 'fpn': backbone not dilated, lateral and"
        " top-down connections, which costs a CPU a fraction",
        source="paper §3.1; 'fpn' is an extension",
    )
    seg_backbone: EncoderName = param(
        "resnet38",
        "backbone of the segmentation net: 'resnet38', an encoder with stages (bench list encoders), or a timm model",
        source="paper §3.1",
    )
    seg_weights: FilePath | None = param(None, "local weight file of the backbone (res38d.pth for 'resnet38')")
    seg_pretrained: bool = param(
        True, "start from ImageNet weights; false: random weights", source="paper §3.1", given=True
    )
    seg_scaling: Literal["imagenet", "encoder"] = param(
        "imagenet",
        "standardise pixels with ImageNet's mean and deviation, or as the backbone's weights were trained",
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
    aux_channels: int = param(256, "channels of the auxiliary head", source=CODE, ge=1)
    aux_weight: float = param(
        0.4, "weight of the auxiliary head's loss; 0: no auxiliary head, as in the paper", source=f"{CODE}, D3", ge=0.0
    )
    head_dropout: float = param(0.1, "channel dropout before the classifier of each head", source=CODE, ge=0.0, lt=1.0)

    seg_batch: int = param(32, "crops per training step (released command: 8)", source="paper §3.1, D2", ge=2)
    iterations: int = param(10_000, "training steps", source="paper §3.1", ge=1)
    max_epochs: float | None = param(
        None,
        "most passes over the training tiles; fewer steps shorten the schedule too; none: no limit",
        gt=0.0,
    )
    seg_optimiser: Literal["sgd", "adamw"] = param("sgd", "optimiser", source="paper §3.1")
    seg_schedule: Literal["poly", "one-cycle"] = param(
        "poly",
        "'poly': from seg_lr down to seg_min_lr; 'one-cycle': up to seg_lr over 30 % of the steps, then to nothing",
        source="paper §3.1",
    )
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
        positions, finest = self.crop // STRIDE, max(self.pool_scales)
        if finest > positions:
            msg = f"pool_scales up to {finest}: a crop of {self.crop} px has only {positions} × {positions} positions"
            raise ValueError(msg)
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
    "seg_backbone": "imagenet-lite0",
    "seg_scaling": "encoder",
    "head_channels": 64,
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


def _at_most(params: SegmentationParams, small: str, large: str, otherwise: str) -> None:
    low, high = getattr(params, small), getattr(params, large)
    if low > high:
        raise ValueError(f"{small} {low} is larger than {large} {high}: {otherwise}")
