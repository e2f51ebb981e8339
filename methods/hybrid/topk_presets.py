"""Presets of top-k multiple-instance learning. The released values are the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TOPK_QUICK: Mapping[str, Any] = {
    "patch": 128,
    "mpp": 1.24,
    "encoder": "mobilenetv3_small_050",
    "encoder_pretrained": False,
    "epochs": 5,
    "batch": 8,
    "lr": 1e-3,
    "test_every": 2,
    "rnn_epochs": 20,
    "rnn_lr": 0.01,
}
"""Minutes on two CPU cores and no weights: a small encoder, smaller tiles at half the resolution."""

TOPK_SMOKE: Mapping[str, Any] = {
    "patch": 64,
    "mpp": 1.24,
    "encoder": "test_resnet",
    "encoder_pretrained": False,
    "epochs": 2,
    "batch": 8,
    "test_every": 1,
    "rnn_tiles": 3,
    "rnn_state": 8,
    "rnn_epochs": 2,
    "rnn_lr": 0.01,
}
"""Seconds: shows that everything runs."""
