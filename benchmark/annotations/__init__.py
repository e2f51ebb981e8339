"""Annotations: what experts drew, rasterised on any grid."""

from __future__ import annotations

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.labelimage import LabelImage
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.simulate import CoarseOptions, simulate_coarse

__all__ = ["Annotation", "CoarseOptions", "LabelImage", "Polygons", "Region", "simulate_coarse"]
