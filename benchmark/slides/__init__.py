"""Slides, grids, score maps and tissue: pixels and geometry, never labels."""

from __future__ import annotations

from benchmark.slides.accumulator import ScoreAccumulator
from benchmark.slides.grid import Grid
from benchmark.slides.scoremap import ScoreMap
from benchmark.slides.slide import Slide
from benchmark.slides.tissue import tissue_mask

__all__ = ["Grid", "ScoreAccumulator", "ScoreMap", "Slide", "tissue_mask"]
