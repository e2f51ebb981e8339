"""Parameters up to the pseudo-masks (patches, classifier, CAM), with presets. The defaults are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FilePath, model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.precision import PrecisionParams
from benchmark.method import param

Scale = Annotated[float, Field(ge=1.0, le=8.0)]
ViewScale = Annotated[float, Field(ge=0.25, le=4.0)]
FrozenScale = Annotated[float, Field(ge=0.05, le=4.0)]
Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Spread = Annotated[float, Field(gt=0.0, le=1.0)]

CODE = "released code"
EXTENSION = "an extension"
PAPER = "paper §3.1"


class PatchNetParams(PrecisionParams):
    """Training patches, a net on a backbone that learns their labels, and how its maps become masks."""

    patch_side: int = param(112, "side of a training patch", symbol="p", unit="px", source=PAPER, ge=8)
    patch_stride: int = param(56, "distance of neighbouring patches", symbol="s", unit="px", source=PAPER, ge=1)
    presence: float = param(
        0.05, "a class is present in a patch when it covers more than this", symbol="τ_y", source=CODE, ge=0.0, lt=0.5
    )

    cls_backbone: EncoderName = param(
        "resnet38",
        "backbone of the classifier: 'resnet38', an encoder with stages (bench list encoders), or a timm model",
        source=PAPER,
    )
    cls_weights: FilePath | None = param(None, "local weight file of the backbone (res38d.pth for 'resnet38')")
    cls_pretrained: bool = param(True, "start from ImageNet weights; false: random weights", source=PAPER, given=True)
    cls_dilated: bool = param(
        True,
        "dilate the backbone to output stride 8 where it can be; false: its own strides, its maps enlarged to stride 8",
        source=PAPER,
    )
    cls_b7_dilation: int = param(
        2, "dilation of the last block of 'resnet38' (4 in the original)", source=f"{CODE}, D15", ge=1, le=8
    )
    cls_freeze_bn: Literal["auto", "yes", "no"] = param(
        "auto",
        "freeze the first convolution and every BatchNorm; 'auto': when weights were loaded",
        source=f"{CODE}, D16",
    )
    cls_input: int = param(
        224,
        "side to which a patch is resized for the classifier",
        symbol="S",
        unit="px",
        source=PAPER,
        ge=16,
        multiple_of=8,
    )
    cls_area_min: float = param(
        0.7, "smallest share of the patch area that a random resized crop covers", source=CODE, gt=0.0, le=1.0
    )
    cls_flip: float = param(
        0.5, "probability of a horizontal flip and, independently, of a vertical one", source=CODE, ge=0.0, le=1.0
    )
    cls_mean: tuple[Unit, Unit, Unit] = param(
        (0.787, 0.511, 0.785), "mean of the RGB channels in [0, 1], subtracted", source=f"{CODE}, D8"
    )
    cls_std: tuple[Spread, Spread, Spread] = param(
        (0.167, 0.248, 0.131), "standard deviation of the RGB channels in [0, 1], divided by", source=f"{CODE}, D8"
    )
    cls_batch: int = param(20, "patches per step; an incomplete last batch is dropped", source=PAPER, ge=1)
    cls_epochs: int = param(20, "passes over the training patches", source=PAPER, ge=1)
    cls_steps: int | None = param(None, "most steps per epoch; none: no limit", ge=1)
    cls_lr: float = param(0.01, "initial learning rate", source=PAPER, gt=0.0)
    cls_momentum: float = param(0.9, "momentum of SGD with schedule 'paper'", source=f"{CODE}, D1", ge=0.0, lt=1.0)
    cls_weight_decay: float = param(1e-4, "weight decay of SGD with schedule 'paper'", source=f"{CODE}, D1", ge=0.0)

    cam_scales: tuple[Scale, ...] = param(
        (1.0, 1.25, 1.5, 1.75, 2.0), "scales at which a patch is scored", symbol="r", source=PAPER, min_length=1
    )
    cam_merge: Literal["vote", "score"] = param(
        "vote",
        "how overlapping patches are merged: majority of hard labels (ties: negative), or argmax of the summed scores",
        source=f"{CODE}, D17",
    )
    cam_batch: int = param(128, "windows per forward pass when scoring; does not change results", ge=1)

    @model_validator(mode="after")
    def _patches_cover_the_slide(self) -> Self:
        if self.patch_stride > self.patch_side:
            sizes = f"patch_stride {self.patch_stride} is larger than patch_side {self.patch_side}"
            raise ValueError(f"{sizes}: pixels would be left out")
        return self


class TrainedParams(PatchNetParams):
    """Training the paper's classifier."""

    cls_schedule: Literal["paper", "released"] = param(
        "paper",
        "'paper': poly 0.9 over all steps; 'released': as in the released code (poly over as many steps as there are"
        " epochs, then constant at 6.746 % of the initial rate; momentum 1e-4, no weight decay)",
        source="D1",
    )
    cls_select: Literal["last", "best"] = param(
        "last", "keep the last epoch, or the one with the lowest loss on the validation patches", source="D20"
    )


class ClassifierParams(TrainedParams):
    """Everything up to the pseudo-masks of `cam-seg`, `oeem` and `ohem`."""

    cam_from: Literal["classifier", "frozen-stages"] = param(
        "classifier",
        "'classifier': cls_backbone is trained on the patches, as in the paper; 'frozen-stages': a logistic regression"
        " on the maps of its last stages, which stay as they are (of the cls_ parameters only its weights matter)",
        source="paper §2.2; 'frozen-stages' is an extension",
    )

    frozen_stages: int = param(3, "stages whose maps are taken, from the deepest on", source=EXTENSION, ge=1, le=5)
    frozen_scales: tuple[FrozenScale, ...] = param(
        (0.5,), "factors by which a slide is resized for the frozen encoder", source=EXTENSION, min_length=1
    )
    frozen_cell: int = param(
        16, "distance of the positions to which all maps are brought", unit="px", source=EXTENSION, ge=1
    )
    frozen_flip: bool = param(True, "average the maps with those of the mirrored slide", source=EXTENSION)
    frozen_c: float = param(
        0.01, "inverse strength of the logistic regression's penalty", symbol="C", source=EXTENSION, gt=0.0
    )


PATCH_FIELDS = ("patch_side", "patch_stride", "presence")
CLASSIFIER_FIELDS = (
    *PATCH_FIELDS,
    "amp",
    *(name for name in TrainedParams.model_fields if name.startswith("cls_")),
)
"""Parameters that training the classifier uses."""
NET_FIELDS = tuple(name for name in CLASSIFIER_FIELDS if name in PatchNetParams.model_fields)
"""Parameters that training any other net of patches uses."""
CAM_FIELDS = (
    *PATCH_FIELDS,
    *("amp", "cls_backbone", "cls_dilated", "cls_b7_dilation", "cls_input", "cls_mean", "cls_std"),
    *("cam_scales", "cam_merge", "cam_batch"),
)
"""Parameters that the classifier's CAM uses besides."""
FROZEN_FIELDS = (
    *PATCH_FIELDS,
    *("amp", "cls_backbone", "cls_weights", "cls_pretrained"),
    *("frozen_stages", "frozen_scales", "frozen_cell", "frozen_flip", "frozen_c"),
)
"""Parameters that the linear layer on frozen stages uses."""

NET_QUICK: Mapping[str, Any] = {
    "cls_backbone": "imagenet-lite0",
    "cls_dilated": False,
    "cls_input": 80,
    "cls_mean": (0.5, 0.5, 0.5),
    "cls_std": (0.5, 0.5, 0.5),
    "cls_batch": 32,
    "cls_epochs": 1,
    "cls_steps": 80,
    "cls_lr": 1e-3,  # at 0.01 the loss grows: 80 steps are too few for momentum and a deepest map without ReLU
    "cls_momentum": 0.9,
    "cam_scales": (1.0,),
    "cam_merge": "score",
}
"""For nets that are trained on patches: a minute or two of training on two CPU cores, from the same weights.

Patches at 0.7 of their resolution, standardised as the weights were trained, 80 steps, one scale."""

CLASSIFIER_QUICK: Mapping[str, Any] = {
    "cam_from": "frozen-stages",
    "cls_backbone": "imagenet-lite0",
    "frozen_stages": 4,
    "frozen_scales": (0.5, 0.75),
    "cam_merge": "score",
}
"""Seconds on two CPU cores, from ImageNet weights that come with the project. Summed scores instead of votes where
patches overlap: what one label excludes stays excluded."""

NET_SMOKE: Mapping[str, Any] = {
    "cls_backbone": "test_resnet",
    "cls_pretrained": False,
    "cls_input": 32,
    "cls_batch": 8,
    "cls_epochs": 1,
    "cls_steps": 2,
    "cam_scales": (1.0,),
    "cam_batch": 32,
}
"""Seconds on a miniature: shows that everything runs, learns next to nothing."""
CLASSIFIER_SMOKE = NET_SMOKE
