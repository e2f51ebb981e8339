"""The class maps after each session side by side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SHOWN, SIDE, GAP = 12, 160, 4
"""Sessions at most, px of a map's longer side, px between maps."""

COLOURS = (
    np.array([0x000000, 0x009E73, 0xE69F00, 0x56B4E9, 0xCC79A7, 0xD55E00, 0x0072B2, 0xF0E442, 0x999999], ">u4")
    .view(np.uint8)
    .reshape(-1, 4)[:, 1:]
)
"""Class 0 and missing cells black, positive green (the paper's); further classes tell apart for the colour-blind."""


def strip(maps: Sequence[NDArray[np.int8]], classes: int) -> NDArray[np.uint8]:
    """Class maps (rows × cols, -1 missing) of all sessions, at most 12 evenly chosen, as one RGB picture."""
    chosen = np.unique(np.linspace(0, len(maps) - 1, min(SHOWN, len(maps))).round().astype(int))
    palette = COLOURS[np.arange(classes) % len(COLOURS)]
    pictures: list[NDArray[np.uint8]] = []
    for index in chosen.tolist():
        picture = palette[np.maximum(maps[index], 0)]
        grown = max(1, SIDE // max(picture.shape[:2]))
        picture = picture.repeat(grown, axis=0).repeat(grown, axis=1)
        pictures += [picture, np.full((picture.shape[0], GAP, 3), 255, np.uint8)]
    return np.concatenate(pictures[:-1], axis=1)
