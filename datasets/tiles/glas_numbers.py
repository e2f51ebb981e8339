"""Whether the label images of GlaS number their glands: saved as black and white, they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Kind, Note
from benchmark.annotations.labelpixels import LabelPixels
from benchmark.errors import DataError

SPECK = 16
"""Areas of fewer pixels are slips of the pen, no glands."""
SHARE = 0.5
"""From this share of its numbers on, a label image whose numbers stand for several areas each numbers nothing."""
SHOWN = 6


@dataclass(frozen=True)
class Numbering:
    """`unnumbered`: images in which one number stands for several glands. `reason`: why glands cannot be told apart.

    Where only some images are unnumbered, each connected area of them is taken for a gland; `notes` say so.
    """

    unnumbered: frozenset[str]
    reason: str | None
    notes: tuple[Note, ...]


def numbering(masks: Sequence[tuple[str, Path]]) -> Numbering:
    """Look at every label image (name, file). One that cannot be read is left to the verification."""
    several, unnumbered, files = 0, [], dict(masks)
    for name, file in masks:
        try:
            numbers, split = _split_numbers(LabelPixels(file).whole())
        except DataError:
            continue
        several += numbers > 1 or split > 0
        if split and split >= SHARE * numbers:
            unnumbered.append(name)
    if not unnumbered:
        return Numbering(frozenset(), None, ())
    named = ", ".join(unnumbered[:SHOWN]) + (f" and {len(unnumbered) - SHOWN} more" if len(unnumbered) > SHOWN else "")
    fact = f"one number stands for several glands in {len(unnumbered)} of {len(masks)} label images ({named})"
    first = str(files[unnumbered[0]])
    if len(unnumbered) > several / 2:
        reason = f"{fact}: the masks are black and white, object metrics are left out"
        return Numbering(frozenset(unnumbered), reason, (Note(reason, Kind.PASSED_OVER, unnumbered[0], first),))
    text = f"{fact}: each connected area of them is taken for a gland"
    return Numbering(frozenset(unnumbered), None, (Note(text, Kind.ASSUMED, unnumbered[0], first),))


def _split_numbers(pixels: NDArray[np.integer]) -> tuple[int, int]:
    """How many numbers there are, and how many of them stand for several areas (8 neighbours, specks apart)."""
    from scipy.ndimage import find_objects
    from scipy.ndimage import label as connected

    numbers = split = 0
    for number, window in enumerate(find_objects(pixels.astype(np.int32)), start=1):
        if window is None:
            continue
        numbers += 1
        areas = np.bincount(connected(pixels[window] == number, np.ones((3, 3)))[0].ravel())[1:]
        split += int((areas >= SPECK).sum() > 1)
    return numbers, split
