"""Parameters of the segmentation part, and of each method of the family. The defaults are the paper's values."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, FilePath, model_validator

from benchmark.method import Params, param

from .classifier_params import ClassifierParams

CODE = "released code"
STRIDE = 8
"""Level-0 pixels per position of the deepest feature map: backbones have output stride 8."""
TtaScale = Annotated[float, Field(ge=0.125, le=8.0)]
PoolScale = Annotated[int, Field(ge=1)]
WeightMap = Literal["none", "c_max", "c_diff", "l_norm", "lc_mix"]


class SegmentationParams(Params):
    """Training on masks and scoring a slide; all that `pspnet` has."""

    tile: int = param(256, "side of the tiles a slide is cut into", symbol="t", unit="px", source=f"{CODE}, D9", ge=32)
    tile_stride: int = param(192, "distance of neighbouring tiles", symbol="u", unit="px", source=f"{CODE}, D9", ge=1)
    jpeg_quality: int | None = param(
        None,
        "re-encode every tile as JPEG of this quality, as the released code does (95); none: lossless",
        source="D9",
        ge=1,
        le=100,
    )
    ratio_min: float = param(
        0.75, "smallest random resize of a training tile", symbol="q", source=f"{CODE}, D23", gt=0.0, le=8.0
    )
    ratio_max: float = param(
        3.0, "largest random resize of a training tile", symbol="q", source=f"{CODE}, D23", gt=0.0, le=8.0
    )
    crop: int = param(256, "side of the training crop", unit="px", source=CODE, ge=STRIDE, multiple_of=STRIDE)
    seg_flip: float = param(0.5, "probability of a horizontal flip", source=CODE, ge=0.0, le=1.0)
    seg_distortion: bool = param(True, "vary brightness, contrast, saturation and hue", source=CODE)

    seg_backbone: str = param(
        "resnet38", "encoder of the segmentation net: 'resnet38' or a timm model", source="paper §3.1"
    )
    seg_weights: FilePath | None = param(None, "local weight file of the encoder (res38d.pth for 'resnet38')")
    seg_pretrained: bool = param(
        True, "start from ImageNet weights; false starts at random", source="paper §3.1", given=True
    )
    seg_b7_dilation: int = param(
        4, "dilation of the last block of 'resnet38' (2 or 4)", source=f"{CODE}, D15", ge=1, le=8
    )
    head_channels: int = param(512, "channels of the pyramid pooling head", source=CODE, ge=1)
    pool_scales: tuple[PoolScale, ...] = param((1, 2, 3, 6), "sides of the pooled maps", source=CODE, min_length=1)
    aux_channels: int = param(256, "channels of the auxiliary head", source=CODE, ge=1)
    aux_weight: float = param(
        0.4, "weight of the auxiliary head's loss; 0: no such head, as the paper tells it", source=f"{CODE}, D3", ge=0.0
    )
    head_dropout: float = param(0.1, "dropout of whole channels before both classifiers", source=CODE, ge=0.0, lt=1.0)

    seg_batch: int = param(32, "crops per step (the released command: 8)", source="paper §3.1, D2", ge=2)
    iterations: int = param(10_000, "training steps", source="paper §3.1", ge=1)
    max_epochs: float | None = param(
        None,
        "stop earlier, after this many passes over the training tiles; the schedule shrinks with it; none: never",
        gt=0.0,
    )
    seg_lr: float = param(5e-3, "learning rate at the first step", source="paper §3.1", gt=0.0)
    seg_min_lr: float = param(1e-4, "learning rate at the last step (poly 0.9)", source=f"{CODE}, D22", ge=0.0)
    seg_momentum: float = param(0.9, "momentum of SGD", source=f"{CODE}, D22", ge=0.0, lt=1.0)
    seg_weight_decay: float = param(5e-4, "weight decay of SGD", source=f"{CODE}, D22", ge=0.0)

    tta_scales: tuple[TtaScale, ...] = param(
        (0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0),
        "scales at which a tile is scored",
        symbol="r",
        source="paper §3.1",
        min_length=1,
    )
    tta_flip: bool = param(True, "score the mirrored tile too", source=f"{CODE}, D10")
    window: int = param(
        320, "side of the sliding window on the resized tile", unit="px", source=f"{CODE}, D10", ge=STRIDE
    )
    window_stride: int = param(256, "distance of neighbouring windows", unit="px", source=f"{CODE}, D10", ge=1)
    window_batch: int = param(32, "windows per forward pass when scoring; changes no result", ge=1)

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


class CamSegParams(SegmentationParams, ClassifierParams):
    """The whole weakly supervised pipeline, with plain cross entropy."""

    examine_cam: bool = param(
        True, "also score the CAM without patch labels on the training slides (Table 2); costs a pass over all patches"
    )


class OeemParams(CamSegParams):
    """The pipeline with online easy example mining."""

    weighting: WeightMap = param("l_norm", "weight of each pixel's loss", symbol="W", source="paper Eq. 4-7, Table 3")
    scope: Literal["image", "batch"] = param(
        "image",
        "domain over which l_norm is normalised: one image (Eq. 6, code) or the mini-batch (introduction)",
        source="D4",
    )
    ignore_in_softmax: bool = param(
        False, "count padded pixels in l_norm and in the mean of the loss, as the released code does", source="D6"
    )
    normalise_weights: bool = param(False, "divide c_max, c_diff and lc_mix by their mean", source="D18")


class OhemParams(CamSegParams):
    """The pipeline with online hard example mining, the paper's counter-example."""

    ohem_threshold: float | None = param(
        0.7,
        "pixels whose label has less than this probability are kept; none: only ohem_kept counts",
        source="mmsegmentation",
        gt=0.0,
        le=1.0,
    )
    ohem_kept: int = param(
        16_384,
        "at least this many pixels per image are kept (a quarter of a 256-px crop)",
        source="own choice, docs/methods/oeem.md",
        ge=1,
    )


SEGMENTATION_FIELDS = tuple(name for name in SegmentationParams.model_fields if not name.startswith(("tta_", "window")))
"""Parameters that the stage "segmentation" uses; the others matter only when a slide is scored."""
OEEM_FIELDS = ("weighting", "scope", "ignore_in_softmax", "normalise_weights")
OHEM_FIELDS = ("ohem_threshold", "ohem_kept")


def _at_most(params: SegmentationParams, small: str, large: str, otherwise: str) -> None:
    low, high = getattr(params, small), getattr(params, large)
    if low > high:
        raise ValueError(f"{small} {low} is larger than {large} {high}: {otherwise}")
