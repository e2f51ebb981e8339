"""The patches of a slide as a net sees them: level-0 windows that no unit cuts, scaled to one size.

Tiling, tissue and resolution of Li et al., MICCAI 2021; open points: docs/methods/hybrid.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BlankSlideError, ConfigError
from benchmark.slides import Grid, slide_facts, stream_patches, tissue_mask
from benchmark.slides.grid import box_sums
from benchmark.slides.strips import PatchReader

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

Numbers = NDArray[np.int64]
Pixels = NDArray[np.uint8]
TissueRule = Literal["grey-otsu", "dataset", "khened"]

MULTIPLE = 32
"""Nets halve their input five times."""
LARGEST = 64_000_000
"""Pixels of a level that Khened's tissue rule is given as one picture."""
NEARLY = 0.1
"""A scale this near to a whole number is taken for it: 0.243 µm is meant as a quarter."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """The patches of one slide.

    `grid`: windows in level-0 px, clamped at the right and lower border so that no tissue is lost. `side`: px of a
    patch for the net. `tissue`: rows × cols, the patches that exist for a method. `units`: the dataset's unit grid;
    every window lies wholly in at least one of its cells.
    """

    slide: Slide
    grid: Grid
    side: int
    tissue: NDArray[np.bool_]
    units: Grid

    @classmethod
    def of(
        cls,
        slide: Slide,
        context: Context,
        *,
        patch: int,
        overlap: int,
        mpp: float | None,
        tissue: TissueRule,
        min_tissue: float,
    ) -> Lattice:
        """Patches of `patch` px at `mpp` µm per px (None: level 0), neighbours sharing `overlap` px.

        Where units are smaller than a patch it shrinks to the largest multiple of 32 that fits, the overlap in
        proportion. Raises `ConfigError` for units below 32 px.
        """
        units = context.geometry.unit_grid(slide)
        side, scale = _fitting(slide, units, patch, mpp)
        extent = round(side * scale)
        stride = max(1, extent - round(extent * overlap / patch))
        x, y = (
            _edges(edges, length, extent, stride) for edges, length in ((units.x, units.width), (units.y, units.height))
        )
        grid = Grid(x, y, extent, extent)
        return cls(slide, grid, side, _tissue(slide, grid, context, tissue, min_tissue), units)

    def members(self, row: int, col: int) -> Numbers:
        """Numbers (row-major) of the tissue patches that lie wholly in one unit, ascending."""
        rows = _inside(self.grid.y, self.grid.height, int(self.units.y[row]), self.units.height)
        cols = _inside(self.grid.x, self.grid.width, int(self.units.x[col]), self.units.width)
        numbers = np.arange(self.tissue.size).reshape(self.tissue.shape)[rows, cols]
        return np.asarray(numbers[self.tissue[rows, cols]], np.int64)

    @property
    def numbers(self) -> Numbers:
        """Numbers of all tissue patches, ascending."""
        return np.flatnonzero(self.tissue)

    def stream(self, batch: int, where: NDArray[np.bool_] | None = None) -> Iterator[tuple[Numbers, Pixels]]:
        """Tissue patches row by row, read ahead on big slides: numbers n, pixels n × side × side × 3."""
        wanted = self.tissue if where is None else self.tissue & where
        for part in stream_patches(self.slide, self.grid, wanted, side=self.side, batch=batch):
            yield part.rows * self.grid.cols + part.cols, part.pixels

    def read(self, number: int) -> Pixels:
        """One patch, side × side × 3; the same bits as from `stream`."""
        row, col = divmod(number, self.grid.cols)
        reader = PatchReader(self.slide, self.grid, (self.side, self.side), 1)
        (pixels,) = reader.read(np.array([row]), np.array([col]))
        return np.asarray(pixels)

    def corner(self, number: int) -> tuple[int, int]:
        """Left and upper edge of a patch in level-0 px."""
        row, col = divmod(number, self.grid.cols)
        return int(self.grid.x[col]), int(self.grid.y[row])


def scale_of(slide: Slide, mpp: float | None) -> float:
    """Level-0 px per px of the net; never below 1, for nothing is gained by enlarging. 1 where the slide has no mpp."""
    if mpp is None or slide.mpp is None:
        return 1.0
    scale = max(1.0, mpp / slide.mpp)
    return float(round(scale)) if abs(scale - round(scale)) <= NEARLY else scale


def common_patch(slides: Sequence[Slide], context: Context, *, patch: int, mpp: float | None) -> int:
    """The patch that fits the units of all these slides, so that patches of different slides make one batch."""
    return min(_fitting(slide, context.geometry.unit_grid(slide), patch, mpp)[0] for slide in slides)


def _fitting(slide: Slide, units: Grid, patch: int, mpp: float | None) -> tuple[int, float]:
    """Side and scale of a patch: a unit that cannot hold a patch gives up the coarser scale first, then its side."""
    room = min(units.width, units.height)
    if room >= patch:
        return patch, min(scale_of(slide, mpp), room / patch)
    if room < MULTIPLE:
        problem = f"units of slide {slide.id!r} have {units.width} × {units.height} px"
        raise ConfigError(
            f"{problem}; a patch needs at least {MULTIPLE}", fix="choose larger units: bench data info DATASET"
        )
    return room // MULTIPLE * MULTIPLE, 1.0


def _edges(units: NDArray[np.int64], unit: int, extent: int, stride: int) -> NDArray[np.int64]:
    """Edges of the windows of all units along one axis."""
    last = max(0, unit - extent)
    offsets = np.unique(np.append(np.arange(0, last + 1, stride), last))
    return np.unique(units[:, None] + offsets)


def _inside(edges: NDArray[np.int64], extent: int, start: int, length: int) -> slice:
    return slice(int(np.searchsorted(edges, start)), int(np.searchsorted(edges, start + length - extent, side="right")))


def _tissue(slide: Slide, grid: Grid, context: Context, rule: TissueRule, least: float) -> NDArray[np.bool_]:
    """Where tissue is: everywhere in a set of tiles, nowhere on a slide of glass alone."""
    try:
        own = context.geometry.tissue(slide, grid)
    except BlankSlideError:
        own = np.zeros(grid.shape, np.bool_)
    if own is None:
        return np.ones(grid.shape, np.bool_)
    if rule == "khened":
        return _khened(slide, grid)
    return own if rule == "dataset" else tissue_mask(slide, grid, "grey-otsu", least=least)


def _khened(slide: Slide, grid: Grid) -> NDArray[np.bool_]:
    """Patches with any tissue under Khened's rule, on the coarsest level it knows."""
    from benchmark.learning.mil.khened_tissue import DILATION, khened_tissue

    levels = slide_facts(slide.files[0], slide.id).downsamples[: len(DILATION)]
    width, height = slide.size
    if width * height / levels[-1] ** 2 > LARGEST:
        problem = f"slide {slide.id!r}: its level {len(levels) - 1} has more than {LARGEST // 10**6} Mpx"
        raise ConfigError(f"{problem}, too much for the tissue rule of Khened", fix="--set tissue=grey-otsu")
    mask = khened_tissue(slide.read(0, 0, width, height, downsample=levels[-1]), len(levels) - 1)
    rows, cols = (
        np.stack([edges * pixels // length, -(-(edges + extent) * pixels // length)], axis=1).clip(0, pixels)
        for edges, extent, pixels, length in (
            (grid.y, grid.height, mask.shape[0], height),
            (grid.x, grid.width, mask.shape[1], width),
        )
    )
    return np.asarray(box_sums(mask.astype(np.float64), rows, cols) > 0.5)
