"""Medical Transformer on experts' masks (Valanarasu et al., MICCAI 2021; docs/methods/segmentation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.method import MethodCard

from .supervised import Supervised, with_defaults

TRAINING: Mapping[str, Any] = {
    "whole_side": 128,
    "seg_pretrained": False,
    "seg_scaling": "unit",
    "seg_distortion": False,
    "seg_optimiser": "adam",
    "seg_lr": 1e-3,
    "seg_min_lr": 1e-3,
    "seg_weight_decay": 1e-5,
    "seg_schedule": "constant",
    "seg_batch": 4,
    "iterations": None,
    "max_epochs": 400.0,
    "tta_scales": (1.0,),
    "tta_flip": False,
}
"""Whole images of 128 px, cross-entropy, Adam at a constant rate, 400 epochs; the last one is kept."""

MedtParams = with_defaults("MedtParams", __name__, "MedT's released code", seg_net="medt", **TRAINING)


class Medt(Supervised):
    """Gated axial attention on the image and on its patches."""

    name = "medt"
    card = MethodCard(
        title="Medical Transformer (MedT), fully supervised",
        citation=(
            "Valanarasu, Oza, Hacihaliloglu, Patel: Medical Transformer: Gated Axial-Attention for Medical Image"
            " Segmentation. MICCAI 2021"
        ),
        paper="https://arxiv.org/abs/2102.10662",
        tables=("OEEM, Table 1, MedT (quoted there under another protocol)",),
        notes="BatchNorm is in evaluation mode when slides are scored; the released training script leaves it on.",
    )
    Params = MedtParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {"max_epochs": 8.0, "gate_epochs": 2},
        "smoke": {"whole_side": 32, "seg_batch": 2, "max_epochs": None, "iterations": 2},
    }
