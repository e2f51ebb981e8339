"""Annotations: what experts drew, rasterised on any grid, read from and written to their formats."""

from __future__ import annotations

from benchmark.annotations.annotation import Annotation, Region
from benchmark.annotations.asap import read_asap, write_asap
from benchmark.annotations.by_share import ByShare
from benchmark.annotations.class_names import UNNAMED, ClassNames, Meaning, read_classes
from benchmark.annotations.extent import check_extent, placed
from benchmark.annotations.formats import read_annotation, write_label_image
from benchmark.annotations.geojson import read_geojson, write_geojson
from benchmark.annotations.imagescope import read_imagescope, write_imagescope
from benchmark.annotations.labelimage import LabelImage
from benchmark.annotations.noise import NoiseOptions, noisy_coarse
from benchmark.annotations.notes import Kind, Note, distinct
from benchmark.annotations.polygons import Polygons
from benchmark.annotations.released import Released
from benchmark.annotations.sav import read_sav
from benchmark.annotations.shapes import Bounds
from benchmark.annotations.simulate import CoarseOptions, simulate_coarse

__all__ = [
    "UNNAMED",
    "Annotation",
    "Bounds",
    "ByShare",
    "ClassNames",
    "CoarseOptions",
    "Kind",
    "LabelImage",
    "Meaning",
    "NoiseOptions",
    "Note",
    "Polygons",
    "Region",
    "Released",
    "check_extent",
    "distinct",
    "noisy_coarse",
    "placed",
    "read_annotation",
    "read_asap",
    "read_classes",
    "read_geojson",
    "read_imagescope",
    "read_sav",
    "simulate_coarse",
    "write_asap",
    "write_geojson",
    "write_imagescope",
    "write_label_image",
]
