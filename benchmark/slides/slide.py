"""One image: pixels, size, microns per pixel, patient. No labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError


@dataclass(frozen=True)
class Slide:
    """A whole-slide image (OpenSlide) or a tile (`openslide.ImageSlide`: BMP, PNG, JPEG, plain TIFF).

    `id`: unique in its dataset. `patient`: what splits are grouped by. `mpp`: microns per level-0 pixel.
    Nothing is opened until pixels or the size are asked for; the object can be pickled and shared by threads.
    """

    id: str
    path: Path
    patient: str
    mpp: float | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in level-0 pixels. Raises `DataError` when the file cannot be opened."""
        from benchmark.slides.handles import size_of

        return size_of(self.path, self.id)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold its pixels."""
        return (self.path,)

    def parts(self) -> Iterator[Slide]:
        """The images it is made of: itself."""
        yield self

    def own(self, x: int, y: int, width: int, height: int) -> tuple[slice, slice] | None:
        """Rows and columns of a patch that belong to the image under its centre; None: all of them."""
        return None

    def read(self, x: int, y: int, width: int, height: int, *, downsample: float = 1.0) -> NDArray[np.uint8]:
        """RGB pixels of a level-0 region, height × width × 3; black beyond the slide, alpha dropped.

        With `downsample` d the result is round(height / d) × round(width / d) × 3 (at least one pixel), each
        the mean of what it covers, taken from the best level of a pyramid. Raises `DataError` naming slide
        and file when the pixels cannot be read, `ConfigError` for an empty region or d below 1.
        """
        if width < 1 or height < 1 or downsample < 1:
            asked = f"{width}×{height} px at downsample {downsample}"
            raise ConfigError(f"slide {self.id!r}: cannot read {asked}: all three must be at least 1")
        from benchmark.slides.handles import read_box

        out = (max(1, round(width / downsample)), max(1, round(height / downsample)))
        return read_box(self.path, self.id, (x, y, width, height), out)

    def thumbnail(self, max_side: int) -> NDArray[np.uint8]:
        """The whole slide with its longer side at most `max_side` px; never enlarged."""
        width, height = self.size
        return self.read(0, 0, width, height, downsample=max(1.0, max(width, height) / max_side))
