"""A slide read at a coarser resolution than its own, as if it had been scanned so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError
from benchmark.slides.handles import read_box, size_of
from benchmark.slides.slide import Slide


@dataclass(frozen=True)
class RescaledSlide(Slide):
    """A slide of which `times` × `times` of the file's pixels are one.

    Each pixel is the mean of what it covers, from the best level of the pyramid. `mpp` is that of the larger pixels.
    """

    times: float = 1.0

    def __post_init__(self) -> None:
        if self.times < 1:
            raise ConfigError(f"slide {self.id!r}: cannot be enlarged {1 / self.times:.3g} times: nobody scanned that")

    @classmethod
    def of(cls, slide: Slide, mpp: float) -> RescaledSlide:
        """The slide with pixels of `mpp` microns. Raises `ConfigError` where it knows no mpp, or has coarser pixels."""
        if slide.mpp is None:
            raise ConfigError(f"slide {slide.id!r} does not state its microns per pixel, so it cannot be rescaled")
        return cls(slide.id, slide.path, slide.patient, mpp, mpp / slide.mpp)

    @property
    def original(self) -> Slide:
        """The slide in the pixels of its file."""
        return Slide(self.id, self.path, self.patient, None if self.mpp is None else self.mpp / self.times)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in the larger pixels; a part of one at the right or lower edge is left out."""
        width, height = size_of(self.path, self.id)
        return max(1, int(width / self.times)), max(1, int(height / self.times))

    @property
    def arrangement(self) -> str:
        """How many of the file's pixels are one."""
        return f"rescaled {self.times!r}"

    def read(self, x: int, y: int, width: int, height: int, *, downsample: float = 1.0) -> NDArray[np.uint8]:
        """See `Slide.read`; all lengths are in the larger pixels."""
        if width < 1 or height < 1 or downsample < 1:
            asked = f"{width}×{height} px at downsample {downsample}"
            raise ConfigError(f"slide {self.id!r}: cannot read {asked}: all three must be at least 1")
        out = (max(1, round(width / downsample)), max(1, round(height / downsample)))
        left, top = round(x * self.times), round(y * self.times)
        box = (
            left,
            top,
            max(1, round((x + width) * self.times) - left),
            max(1, round((y + height) * self.times) - top),
        )
        return read_box(self.path, self.id, box, out)
