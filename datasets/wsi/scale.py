"""From microns to pixels: how large a cell is on a slide."""

from __future__ import annotations

import math

CELL_MICRONS = 64.0
"""A cell of LC-MIL: 256 px at 40×, 128 px at 20×."""


def power_of_two(microns: float, mpp: float) -> int:
    """The power of two nearest to `microns` (on a logarithmic scale), in px of `mpp` microns each; at least 1."""
    return int(2 ** max(0, round(math.log2(microns / mpp))))
