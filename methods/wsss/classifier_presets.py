"""Presets of OEEM's classification part. The paper's values are the defaults, so its preset is empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLASSIFIER_QUICK: Mapping[str, Any] = {
    "cls_backbone": "test_resnet",
    "cls_pretrained": False,
    "cls_input": 64,
    "cls_batch": 32,
    "cls_epochs": 20,
    "cls_steps": 75,
    "cls_lr": 0.05,
    "cam_scales": (1.0,),
    "cam_merge": "score",
    "cam_batch": 64,
}
"""Minutes on two CPU cores, from scratch: a small net, smaller inputs, fewer passes, a single scale, and scores
instead of votes where patches overlap, which is the better half of a weak classifier."""

CLASSIFIER_SMOKE: Mapping[str, Any] = {
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
