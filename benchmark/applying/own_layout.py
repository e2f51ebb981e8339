"""Cells, patches and tissue of slides that belong to no dataset."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.applying.given_slides import Given
from benchmark.dataset import Options
from benchmark.errors import BlankSlideError, DataError
from benchmark.slides import Grid, Slide, SlideFacts, probe, slide_facts, tissue_mask
from benchmark.slides.resolution import PLAUSIBLE_MPP, SAME, power_of_two
from benchmark.slides.tissue import Mode

CELL_MICRONS = 64.0
"""Side of a cell where the options do not say (LC-MIL: 256 px at 40×)."""
SMALLEST = 32
"""Fewer pixels than this, on slides exported at low resolution, show no tissue to judge by."""


class OwnOptions(Options):
    """How slides of one's own and their annotations are read."""

    cell: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="side of a cell, level-0 px; null: the power of two nearest to 64 µm, at least 32",
    )
    mpp: float | None = Field(
        None,
        ge=PLAUSIBLE_MPP[0],
        le=PLAUSIBLE_MPP[1],
        description="microns per level-0 px of slides whose files do not state it",
    )
    tissue_mode: Mode = Field("hsv-otsu", description="how tissue is separated from glass; all: there is no glass")
    classes: str | None = Field(
        None,
        description="what names in the annotation mean beside the known words for a lesion, as "
        "'Stroma=0,Invasive=1,Fold=ignore'",
    )
    positive: str = Field("tumor", min_length=1, description="name of the positive class in what is written")
    origin: Literal["canvas", "bounds"] | None = Field(
        None,
        description="where the annotation's coordinates count from, on slides whose scanned area does not begin at "
        "the corner: canvas (OpenSlide, ASAP) or bounds (QuPath); null: found out, or refused",
    )


class OwnLayout:
    """The grids of slides of one's own, a `Geometry`: every slide is one unit."""

    def __init__(self, options: OwnOptions) -> None:
        self.options = options
        self.classes = ("normal", options.positive)
        self._masks: dict[tuple[str, str], NDArray[np.bool_]] = {}

    @property
    def positive(self) -> frozenset[int]:
        """The one class beside normal."""
        return frozenset({1})

    def cell(self, slide: Slide) -> int:
        """Side of a cell in level-0 px. Raises `DataError` where nothing tells it."""
        if self.options.cell:
            return self.options.cell
        if slide.mpp is None:
            msg = f"slide {slide.id!r} ({slide.path}) does not state its microns per pixel, so 64-µm cells are unknown"
            raise DataError(msg, fix="--mpp 0.25   (usual at 40×; 0.5 at 20×), or --set cell=PIXELS")
        return max(SMALLEST, power_of_two(CELL_MICRONS, slide.mpp))

    def unit_grid(self, slide: Slide) -> Grid:
        """The whole slide."""
        return Grid.whole(slide.size)

    def patch_grid(self, slide: Slide) -> Grid:
        """The cells."""
        return self.evaluation_grid(slide)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """The cells."""
        return Grid.regular(slide.size, self.cell(slide))

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_]:
        """Which cells hold tissue. Raises `BlankSlideError` for a slide of glass alone."""
        key = (slide.id, grid.digest)
        if key not in self._masks:
            mask = tissue_mask(slide, grid, self.options.tissue_mode)
            if not mask.any():
                msg = f"slide {slide.id!r} ({slide.path}) holds no tissue under tissue_mode={self.options.tissue_mode}"
                raise BlankSlideError(msg, fix="--set tissue_mode=grey-otsu, or =all")
            self._masks = {key: mask}
        return self._masks[key]


def open_slide(given: Given, mpp: float | None) -> tuple[Slide, SlideFacts, list[str]]:
    """A slide that can be read, what its file says, and notes on its header. `mpp`: where the file does not state it.

    Raises `DataError`.
    """
    slide = Slide(given.id, given.path, given.id)
    if fault := probe(slide):
        where = f"slide {given.id!r}: "
        raise DataError(where + fault.removeprefix(where), fix="copy the file again if it is damaged, or leave it out")
    facts = slide_facts(given.path, given.id)
    notes = list(facts.notes)
    if given.mpp is None and facts.mpp is None and mpp is not None:
        notes.append(f"no resolution stated: {mpp:g} µm/px as told")
    if given.mpp is not None and facts.mpp is not None and abs(given.mpp / facts.mpp - 1) > SAME:
        notes.append(f"the file states {facts.mpp:.4g} µm/px; {given.mpp:g} of the table is taken")
    return Slide(given.id, given.path, given.id, given.mpp or facts.mpp or mpp), facts, notes
