"""Presets of the segmentation part. The paper's values are the defaults, so its preset is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SEG_QUICK: Mapping[str, Any] = {
    "tile": 288,
    "tile_stride": 256,
    "ratio_min": 0.4,
    "ratio_max": 0.6,
    "crop": 128,
    "seg_distortion": False,
    "seg_backbone": "test_resnet",
    "seg_pretrained": False,
    "head_channels": 64,
    "aux_channels": 32,
    "seg_batch": 8,
    "iterations": 900,
    "max_epochs": 30,
    "seg_lr": 0.05,
    "tta_scales": (0.5,),
}
"""Minutes on two CPU cores, from scratch: half the resolution, few scales, a small net."""

SEG_SMOKE: Mapping[str, Any] = {
    "tile": 128,
    "tile_stride": 128,
    "ratio_min": 0.4,
    "ratio_max": 0.6,
    "crop": 48,
    "seg_backbone": "test_resnet",
    "seg_pretrained": False,
    "head_channels": 8,
    "aux_channels": 8,
    "seg_batch": 2,
    "iterations": 3,
    "tta_scales": (0.5,),
    "tta_flip": False,
}
"""Seconds on a miniature: shows that everything runs, learns next to nothing."""

OHEM_QUICK: Mapping[str, Any] = {"ohem_kept": 4096}
"""A quarter of a 128-px crop."""
OHEM_SMOKE: Mapping[str, Any] = {"ohem_kept": 576}
"""A quarter of a 48-px crop."""
