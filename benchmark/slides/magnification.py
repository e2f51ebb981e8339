"""Matching the magnification of a slide, in microns, to that of the slides a model learnt from."""

from __future__ import annotations

from benchmark.errors import DataError
from benchmark.slides.rescaled import RescaledSlide
from benchmark.slides.slide import Slide

SCALE = 1.5
"""Factor by which a slide's resolution may differ from that of the slides a model learnt from, and is read as it is."""


def matched(slide: Slide, known: tuple[float, float], *, unknown: str, coarser: str) -> tuple[Slide, tuple[str, ...]]:
    """The slide at a resolution that a model knows, and a note where it was scanned finer and is read coarser.

    Args:
        slide: as its file has it.
        known: lowest and highest microns per pixel of the slides that the model learnt from.
        unknown: what to type where the slide states no resolution.
        coarser: what to do where its pixels are coarser.

    Raises:
        DataError: a slide of unknown resolution, with coarser pixels, or pasted of tiles and scanned finer.
    """
    usual = f"{known[0]:.3g}" if known[1] < known[0] * 1.001 else f"{known[0]:.3g} to {known[1]:.3g}"
    if slide.mpp is None:
        msg = f"slide {slide.id!r} ({slide.path}) does not state its microns per pixel; the model learnt at {usual}"
        raise DataError(msg, fix=unknown)
    if slide.mpp > known[1] * SCALE:
        msg = f"slide {slide.id!r} has {slide.mpp:.3g} µm/px, the model learnt at {usual}: finer than was scanned"
        raise DataError(msg, fix=coarser)
    if slide.mpp >= known[0] / SCALE:
        return slide, ()
    if type(slide) is not Slide:
        msg = f"slide {slide.id!r} is pasted of tiles of {slide.mpp:.3g} µm/px and cannot be read at {usual}"
        raise DataError(msg, fix=coarser)
    note = f"read at {known[0]:.3g} µm/px, at which the model learnt; scanned at {slide.mpp:.3g}"
    return RescaledSlide.of(slide, known[0]), (note,)
