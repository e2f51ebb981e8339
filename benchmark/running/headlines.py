"""The metrics that stand for a run where there is room for a few."""

from __future__ import annotations

HEADLINES = {
    "pixel/miou": "mIoU",
    "pixel/dice": "Dice",
    "object/f1": "obj. F1",
    "class/accuracy": "acc. (all)",
    "class/f1_macro": "F1 (all)",
    "image/auc": "AUC",
    "image/specificity_at_100": "spec@100",
}
"""Metric → short title, in the order of the columns. Shown where a run has them."""
