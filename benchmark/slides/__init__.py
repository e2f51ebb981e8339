"""Slides, grids, score maps and tissue: pixels and geometry, never labels."""

from __future__ import annotations

from benchmark.slides.accumulator import ScoreAccumulator
from benchmark.slides.facts import SlideFacts, probe, slide_facts
from benchmark.slides.grid import Grid
from benchmark.slides.pasted import PastedSlide, Piece
from benchmark.slides.patchset import PatchSet
from benchmark.slides.pyramid import write_pyramid
from benchmark.slides.rescaled import RescaledSlide
from benchmark.slides.scoremap import ScoreMap
from benchmark.slides.slide import Slide
from benchmark.slides.stream import PatchBatch, stream_patches
from benchmark.slides.tissue import tissue_mask

__all__ = [
    "Grid",
    "PastedSlide",
    "PatchBatch",
    "PatchSet",
    "Piece",
    "RescaledSlide",
    "ScoreAccumulator",
    "ScoreMap",
    "Slide",
    "SlideFacts",
    "probe",
    "slide_facts",
    "stream_patches",
    "tissue_mask",
    "write_pyramid",
]
