"""Where two runs agree and differ on a slide, drawn over its tissue, or as bare maps when the tissue is not there."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.dataset import Dataset, Split
from benchmark.errors import DataError
from benchmark.reporting.cells import Classes, cell_edges, classes_in_picture
from benchmark.reporting.comparison.comparison_facts import Difference, SlideGap
from benchmark.reporting.comparison.decisions import decision
from benchmark.reporting.overlays import TRUTH_COLOUR, tinted, traced
from benchmark.reporting.style import BLUE, GREEN, PAPER, VERMILION, rgb
from benchmark.slides import Slide
from benchmark.stored import Maps

Pixels = NDArray[np.uint8]

SIDE, LEAST = 640, 480
"""Longer side of a panel in pixels: of the tissue at most, and of anything at least."""

KINDS = (("both positive", GREEN), ("positive in one only", VERMILION), ("positive in other only", BLUE))
"""What a cell can be, and its colour; a cell that neither marks, or not both scored, keeps the grey of the tissue."""

NEITHER = "#d0d7de"


@dataclass(frozen=True)
class Panel:
    """A picture as a data address, with its (width, height)."""

    caption: str
    address: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Picture:
    """A slide's panels. `right`: of the tissue cells on which the runs differ, the share on which `one` is right."""

    gap: SlideGap
    panels: tuple[Panel, ...]
    tissue: bool
    right: float | None = None
    note: str = ""


def draw(difference: Difference, datasets: Sequence[Dataset]) -> list[Picture]:
    """The pictures of the slides that are shown.

    Args:
        difference: what was found.
        datasets: the data as the runs read them: one where both read them alike, two where their options differ, none
            where they are not to be had; then the two decisions are drawn without tissue.
    """
    slides = {slide.id: slide for dataset in datasets[:1] for slide in dataset.slides(Split.TEST)}
    drawn = []
    for gap in difference.shown:
        maps, slide = difference.maps[gap.slide], slides.get(gap.slide)
        if gap.share is None:
            continue
        if slide is None:
            drawn.append(_bare(gap, maps, "its slide is not among the data" if datasets else ""))
            continue
        try:
            drawn.append(_on_tissue(gap, maps, slide, datasets))
        except DataError as error:
            drawn.append(_bare(gap, maps, error.what))
    return drawn


def kinds(first: Classes, second: Classes) -> tuple[NDArray[np.bool_], ...]:
    """The cells of each of `KINDS`, of those that both scored."""
    both = (first >= 0) & (second >= 0)
    return (both & (first > 0) & (second > 0), both & (first > 0) & (second == 0), both & (first == 0) & (second > 0))


def _on_tissue(gap: SlideGap, maps: tuple[Maps, Maps], slide: Slide, datasets: Sequence[Dataset]) -> Picture:
    (grid, first), (_, second) = decision(maps[0]), decision(maps[1])
    truths = [(dataset.truth(slide).labels(grid) > 0).astype(np.int8) for dataset in datasets]
    alike = all(np.array_equal(truth, truths[0]) for truth in truths)
    tissue = _enlarged(slide.thumbnail(SIDE))
    size, (wide, high) = (tissue.shape[1], tissue.shape[0]), slide.size
    box = (0.0, 0.0, float(wide), float(high))
    outlines = [(classes_in_picture(truths[0], grid, size, box), TRUTH_COLOUR)] if alike else []
    marked = kinds(*(classes_in_picture(classes, grid, size, box) for classes in (first, second)))
    over = tinted(tissue, [(where, colour) for (_, colour), where in zip(KINDS, marked, strict=True)])
    panels = (
        _panel("tissue with the truth" if alike else "tissue", traced(tissue, outlines) if outlines else tissue),
        _panel("decisions", traced(over, outlines) if outlines else over),
    )
    note = "" if alike else "the truth is not drawn: under the options of the two runs it differs"
    right = who_is_right(first, second, truths[0], datasets[0].tissue(slide, grid)) if alike else None
    return Picture(gap, panels, tissue=True, right=right, note=note)


def _bare(gap: SlideGap, maps: tuple[Maps, Maps], note: str) -> Picture:
    (grid, first), (_, second) = decision(maps[0]), decision(maps[1])
    x, y = cell_edges(grid)
    box = (x[0], y[0], x[-1] - x[0], y[-1] - y[0])
    scale = LEAST / max(box[2:])
    size = (max(1, round(box[2] * scale)), max(1, round(box[3] * scale)))
    own, others = (classes_in_picture(classes, grid, size, box) for classes in (first, second))
    layers = {
        "decision of one": (own >= 0, [(own > 0, VERMILION)]),
        "decision of other": (others >= 0, [(others > 0, BLUE)]),
        "both": (
            (own >= 0) & (others >= 0),
            [(where, colour) for (_, colour), where in zip(KINDS, kinds(own, others), strict=True)],
        ),
    }
    panels = []
    for caption, (scored, marked) in layers.items():
        flat = np.empty((*own.shape, 3), np.uint8)
        flat[:] = rgb(PAPER)
        flat[scored] = rgb(NEITHER)
        for where, colour in marked:
            flat[where] = rgb(colour)
        panels.append(_panel(caption, flat, flat=True))
    return Picture(gap, tuple(panels), tissue=False, note=note)


def who_is_right(first: Classes, second: Classes, truth: Classes, tissue: NDArray[np.bool_] | None) -> float | None:
    """Of the tissue cells that both scored and decided differently, the share on which `first` has the truth."""
    differing = (first >= 0) & (second >= 0) & (first != second)
    if tissue is not None:
        differing &= tissue
    return float((first == truth)[differing].mean()) if differing.any() else None


def _enlarged(pixels: Pixels) -> Pixels:
    """A small picture as large as lines of its width need."""
    height, width = pixels.shape[:2]
    scale = LEAST / max(height, width)
    if scale <= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _panel(caption: str, pixels: Pixels, *, flat: bool = False) -> Panel:
    """Photographs as JPEG, a few flat colours as PNG."""
    data = io.BytesIO()
    picture = Image.fromarray(pixels)
    if flat:
        picture.quantize(16, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(data, "PNG")
    else:
        picture.save(data, "JPEG", quality=82, subsampling=0)
    address = f"data:image/{'png' if flat else 'jpeg'};base64,{base64.b64encode(data.getvalue()).decode()}"
    return Panel(caption, address, (pixels.shape[1], pixels.shape[0]))
