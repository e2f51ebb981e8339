"""Pseudo-labels of the E-step: which patches are kept, and their re-weighted probabilities (sheet §2.4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def kept(highest: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Which patches stay: those whose highest pixel probability m(x) is at least T ("less than T" are removed)."""
    found: NDArray[np.bool_] = highest >= np.float32(threshold)
    return found


def pseudo_label(probabilities: Floats, *, constant: float, lower: float, quantise: bool = False) -> Floats:
    """Soft labels of a patch of a positive slide: y = min(1, V · P), and 0 where that is below `lower`.

    Every pixel of the patch is scaled, not only those above T. `quantise` imitates the release, which keeps
    P as ⌊255 P⌋ and lets V and both clips act on whole numbers (cap 255, zero below 255 · `lower`).
    """
    if quantise:
        whole = np.minimum(255.0, np.floor(255.0 * probabilities.astype(np.float64)) * constant)
        return np.where(whole < 255 * lower, 0.0, np.floor(whole) / 255).astype(np.float32)
    scaled = np.minimum(np.float32(1), np.float32(constant) * probabilities.astype(np.float32))
    return np.where(scaled < np.float32(lower), np.float32(0), scaled)
