"""From scores to a decision: Gaussian blur, threshold, small objects, small holes; all on the lattice of cells."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]


def gaussian_taps(sigma: float, kernel: int) -> Scores:
    """The `kernel` weights of a Gaussian in one direction, summing to 1; sigma in cells."""
    distance = np.arange(kernel) - kernel // 2
    weights = np.exp(-0.5 * (distance / sigma) ** 2)
    return np.asarray(weights / weights.sum())


def blurred(
    scores: NDArray[np.float32], tissue: Mask, *, sigma: float, kernel: int, border: Literal["zeros", "normalised"]
) -> Scores:
    """Scores (rows × cols, NaN where not scored) after a Gaussian blur; cells that were not scored enter it as 0.

    Beyond the lattice the outermost cell is repeated. With "zeros" cells without tissue count as 0, so that a cell at a
    straight tissue border keeps 0.6995 of its value and one in a corner 0.489; a cell without tissue beside such a
    border gets up to 0.3005, as in the released code (L9). With "normalised" they do not count, and are 0 afterwards:
    blur(score · tissue) / blur(tissue).
    """
    from scipy.ndimage import correlate1d

    values = np.where(tissue & ~np.isnan(scores), scores, 0.0).astype(np.float64)
    if sigma == 0 or kernel == 1:
        return values
    taps = gaussian_taps(sigma, kernel)

    def blur(plane: Scores) -> Scores:
        rows = correlate1d(plane, taps, axis=0, mode="nearest")
        return np.asarray(correlate1d(rows, taps, axis=1, mode="nearest"))

    smooth = blur(values)
    if border == "zeros":
        return smooth
    return np.divide(smooth, blur(tissue.astype(np.float64)), out=np.zeros_like(smooth), where=tissue)


def cleaned_up(mask: Mask, *, min_object: int, min_hole: int) -> Mask:
    """Without objects of fewer than `min_object` cells, then without holes of fewer than `min_hole` (both strictly).

    Cells that share a side are connected. Library functions changed what "small" means between versions (L24).
    """
    kept = mask & ~_small(mask, min_object)
    return kept | _small(~kept, min_hole)


def _small(mask: Mask, limit: int) -> Mask:
    """The cells of `mask` in 4-connected components of fewer than `limit` cells."""
    from scipy.ndimage import label

    numbers, _ = label(mask)
    small = np.bincount(numbers.ravel()) < limit
    small[0] = False
    cells: Mask = small[numbers]
    return cells
