"""Presets of hybrid supervision and of its pixel-level baseline. The paper's values are the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PIXEL_QUICK: Mapping[str, Any] = {
    "patch": 128,
    "overlap": 0,
    "mpp": 1.24,
    "encoder": "mobilenetv3_small_050",
    "encoder_pretrained": False,
    "fine_patches": 100,
    "theta1_epochs": 12,
    "theta1_batch": 10,
    "theta1_lr": 3e-3,
    "crop_min": 0.7,
    "theta2_epochs": 10,
    "theta2_lr": 1e-3,
    "norm_statistics": "anew",
}
"""Minutes on two CPU cores and no weights: a small encoder, small patches at half of GlaS's resolution."""

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
