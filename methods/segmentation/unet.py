"""U-Net on experts' masks, trained as UCTransNet's authors train it (docs/methods/segmentation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.learning.segmentation.segmentation_params import UCTRANSNET
from benchmark.method import MethodCard

from .supervised import Supervised, with_defaults

TRAINING: Mapping[str, Any] = {
    "whole_side": 224,
    "seg_pretrained": False,
    "seg_scaling": "unit",
    "seg_distortion": False,
    "seg_augment": "one-of",
    "seg_rotation": 20.0,
    "seg_loss": "ce+dice",
    "class_weights": "balanced",
    "seg_optimiser": "adam",
    "seg_lr": 1e-3,
    "seg_min_lr": 1e-4,
    "seg_weight_decay": 0.0,
    "seg_schedule": "cosine-restarts",
    "seg_batch": 4,
    "iterations": None,
    "max_epochs": 2000.0,
    "seg_select": "best",
    "seg_patience": 50,
    "tta_scales": (1.0,),
    "tta_flip": False,
}
"""Whole images of 224 px, half Dice and half balanced cross-entropy, Adam with warm restarts, early stopping."""
QUICK: Mapping[str, Any] = {
    "net_width": 16,
    "max_epochs": 40.0,
    "seg_schedule": "one-cycle",
    "seg_lr": 2e-3,
    "seg_min_lr": 0.0,
    "seg_select": "last",
    "seg_patience": None,
}
"""A quarter of the channels, 40 epochs with one cycle; the last epoch is kept."""
SMOKE: Mapping[str, Any] = {
    **QUICK,
    "net_width": 4,
    "whole_side": 32,
    "seg_batch": 2,
    "max_epochs": None,
    "iterations": 2,
}

UnetParams = with_defaults("UnetParams", __name__, UCTRANSNET, seg_net="unet", **TRAINING)


class Unet(Supervised):
    """U-Net (Ronneberger et al., MICCAI 2015)."""

    name = "unet"
    card = MethodCard(
        title="U-Net, fully supervised",
        citation=(
            "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation. MICCAI 2015"
        ),
        paper="https://arxiv.org/abs/1505.04597",
        tables=("OEEM, Table 1, U-Net (quoted there under another protocol)",),
        notes="With BatchNorm and padded convolutions, as UCTransNet's released code compares with it.",
    )
    Params = UnetParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK, "smoke": SMOKE}
