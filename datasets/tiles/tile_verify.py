"""The check that every tile of a set can be decoded and has the size of the others."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmark.dataset import Split, VerifyReport
from benchmark.slides.patchset import tile_fault

if TYPE_CHECKING:
    from .tile_dataset import TileDataset

SHOWN = 20
"""Faulty tiles that are named; the rest are counted."""


def check_tiles(report: VerifyReport, dataset: TileDataset, side: int | None) -> None:
    """Decode every tile, count them per split and class. `side`: the official one in px, None for a miniature."""
    files = sorted(dataset.root / tile.name for tile in dataset.tiles())
    if side is not None and dataset.side != side:
        report.check(False, f"{files[0]} has {dataset.side}×{dataset.side} px; the release has {side}×{side}")
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        faults = [fault for fault in pool.map(lambda file: tile_fault(file, dataset.side), files) if fault]
    for fault in faults[:SHOWN]:
        report.check(False, fault)
    if len(faults) > SHOWN:
        report.check(False, f"and {len(faults) - SHOWN} more tiles with faults")
    sound = f"{len(files) - len(faults)} of {len(files)} tiles"
    report.check(not faults, f"{sound} can be read and have {dataset.side}×{dataset.side} px")
    report.facts["tiles"] = len(files)
    for split in Split:
        slides = dataset.slides(split)
        counts = Counter(label for slide in slides for label in dataset.labels_of(slide).ravel().tolist())
        report.facts[f"{split}_tiles"] = sum(counts.values())
        listed = ", ".join(f"{name} {counts[label]}" for label, name in enumerate(dataset.classes))
        report.note(f"{split}: {sum(counts.values())} tiles on {len(slides)} slides ({listed})")
