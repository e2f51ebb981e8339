"""Presets of the cleaning methods. The paper's values are the defaults, so its preset is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENCODER_QUICK: Mapping[str, Any] = {
    "input_side": 64,
    "encoder": "resnet10t",
    "encoder_pretrained": False,
    "encoder_training": "self-supervised",
    "encoder_steps": 300,
    "encoder_batch": 96,
    "fc_width": 256,
    "min_object": 8,
    "min_hole": 8,
}
"""Minutes on two CPU cores and no weights: a small encoder learns from the training slides' tissue without labels.
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
