"""Parameters of hybrid supervision and of its pixel-level baseline. The defaults are the paper's."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import FilePath, model_validator

from benchmark.method import Params, param

from .lattice import TissueRule

PAPER = "paper"
CODE = "released code"
SILENT = "the paper is silent"


class PlaceParams(Params):
    """Where patches lie."""

    patch: int = param(
        512,
        "side of a patch; smaller where units are smaller",
        symbol="P",
        unit="px",
        source=PAPER,
        ge=32,
        multiple_of=32,
        given=True,
    )
    overlap: int = param(128, "what neighbouring patches have to do with each other", unit="px", source=PAPER, ge=0)
    overlap_means: Literal["shared", "stride"] = param(
        "shared", "neighbours share `overlap` px (reading A), or are `overlap` px apart (reading B)", source="sheet 2.1"
    )
    mpp: float | None = param(
        0.5,
        "resolution of a patch; finer slides are scaled down, coarser ones read as they are",
        unit="µm",
        source=PAPER,
        gt=0.0,
    )
    tissue: TissueRule = param(
        "grey-otsu", "which patches hold tissue: Otsu on grey, the dataset's rule, or Khened's", source=PAPER
    )
    min_tissue: float = param(
        0.0, "share of a patch that must be tissue; 0: any of it", source="sheet 2.1", ge=0.0, le=1.0
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap_means == "shared" and self.overlap >= self.patch:
            raise ValueError(f"overlap = {self.overlap} px must be less than patch = {self.patch} px")
        if self.overlap_means == "stride" and self.overlap == 0:
            raise ValueError("overlap = 0 px apart leaves no distance between patches")
        return self


class PixelParams(PlaceParams):
    """Round 0 and stage 2: what the pixel-level baseline and hybrid supervision share."""

    fine_patches: int = param(
        200, "patches of positive slides with a fine mask", symbol="N_f", source=PAPER, ge=1, given=True
    )
    fine_choice: Literal["lesion", "random"] = param(
        "lesion",
        "an expert draws patches that hold lesion, or whatever patch of a positive unit is put before them",
        source=PAPER,
    )
    fine_negatives: int = param(
        0, "further fine patches without lesion, from the same slides", source=f"{CODE}, D10", ge=0, given=True
    )

    nets: Literal["dla", "khened"] = param(
        "dla",
        "'dla': DLA34up; 'khened': two U-Nets and DeepLabv3+ after Khened, averaged",
        source="sheet 2.10",
        given=True,
    )
    mask_threshold: float | None = param(
        None, "a cell is positive above this; none: 0.5, or 0.3 with nets=khened", source=CODE, gt=0.0, lt=1.0
    )
    encoder: str = param(
        "dla34", "encoder of both stages: a timm model with maps of stride 2 to 32", source=PAPER, given=True
    )
    encoder_pretrained: bool = param(True, "ImageNet weights; false starts at random", source=CODE, given=True)
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    scaling: Literal["imagenet", "unit"] = param(
        "imagenet",
        "pixels standardised with ImageNet's mean and deviation, or only divided by 255 (released)",
        source=SILENT,
    )

    theta1_epochs: int = param(30, "epochs of the patch model per round", source=PAPER, ge=1)
    theta1_batch: int = param(32, "patches per step", source=CODE, ge=1)
    theta1_lr: float = param(1e-3, "learning rate of Adam, constant", source=CODE, gt=0.0)
    crop_min: float = param(
        0.375,
        "smallest side of the square that is cut from a patch and enlarged to it, as a share",
        source=CODE,
        gt=0.0,
        le=1.0,
    )
    colour: bool = param(True, "colour, contrast and sharpness are varied in training", source=CODE)
    norm_statistics: Literal["running", "anew"] = param(
        "running",
        "mean and variance of BatchNorm in evaluation: running ones of training, or taken anew when training has ended,"
        " which short trainings need: the running ones lag behind the weights",
        source=SILENT,
    )
    ensemble: int = param(1, "patch models whose probabilities are averaged", source=CODE, ge=1, given=True)
    turns: bool = param(
        False, "probabilities are averaged over the eight flips and turns of a patch, an option of Khened's package"
    )

    top_patches: int = param(16, "patches of a unit that decide on it", symbol="K", source=PAPER, ge=1)
    theta2_epochs: int = param(15, "epochs of the slide model per round", source=PAPER, ge=1)
    theta2_batch: int = param(4, "units per step, half of them positive", source=SILENT, ge=2, multiple_of=2)
    theta2_lr: float = param(1e-4, "learning rate of Adam", source=f"{SILENT}, sheet 3", gt=0.0)
    theta2_augment: bool = param(True, "patches are flipped and turned by 90° in training", source=SILENT)
    score_batch: int = param(16, "patches per forward pass when scoring", ge=1)
    crop_cache: float = param(4.0, "decoded patches held in memory at most while training", unit="GiB", ge=0.0)


class HybridParams(PixelParams):
    """Hybrid supervision."""

    rounds: int = param(2, "last round of E-step and M-step; 0 is the fine masks alone", source=PAPER, ge=0)
    reweight_constant: float = param(4.0, "pseudo-labels are min(1, V · P)", symbol="V", source=PAPER, gt=1.0)
    lower_clip: float = param(0.01, "smaller pseudo-labels become 0", source=PAPER, ge=0.0, lt=1.0)
    removal_threshold: float = param(
        0.4, "patches whose highest pixel is below are removed", symbol="T", source=PAPER, ge=0.0, lt=1.0
    )
    quantise: bool = param(False, "probabilities in 8 bits before V and the clips, as released", source=CODE)
    ratio_fine: float = param(2.0, "share of fine patches in a batch", symbol="R", source=PAPER, ge=0.0)
    ratio_pseudo: float = param(1.0, "share of pseudo-labelled patches", source=PAPER, ge=0.0)
    ratio_negative: float = param(7.0, "share of hard negatives", source=PAPER, ge=0.0)
    composition: Literal["exact", "iid"] = param(
        "exact",
        "every batch holds these shares by largest remainder; 'iid': drawn patch by patch as released",
        source="D9",
    )
    selection: Literal["stage2-loss", "last"] = param(
        "stage2-loss", "which round is used: the one of lowest stage-2 training loss, or the last", source=PAPER
    )

    @model_validator(mode="after")
    def _some_ratio(self) -> Self:
        if self.ratio_fine + self.ratio_pseudo + self.ratio_negative <= 0:
            raise ValueError("the ratio of fine, pseudo and negative patches is 0 : 0 : 0")
        return self


PLACE_FIELDS = tuple(PlaceParams.model_fields)
NET_FIELDS = ("nets", "encoder", "encoder_pretrained", "encoder_weights", "scaling", "ensemble", "turns")
FINE_FIELDS = ("fine_patches", "fine_choice", "fine_negatives")
THETA1_FIELDS = ("theta1_epochs", "theta1_batch", "theta1_lr", "crop_min", "colour", "norm_statistics", "crop_cache")
SCORE_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, "score_batch")
"""Parameters behind the probabilities of a given patch model."""
ROUND0_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, *FINE_FIELDS, *THETA1_FIELDS)
ROUND_FIELDS = (
    *ROUND0_FIELDS,
    *("score_batch", "reweight_constant", "lower_clip", "removal_threshold", "quantise", "composition"),
    *("ratio_fine", "ratio_pseudo", "ratio_negative"),
)
THETA2_FIELDS = (
    *PLACE_FIELDS,
    *("encoder", "encoder_pretrained", "encoder_weights", "scaling", "score_batch", "crop_cache"),
    *("top_patches", "theta2_epochs", "theta2_batch", "theta2_lr", "theta2_augment", "norm_statistics"),
)
