"""E-step of Li et al., MICCAI 2021: θ1 scans the training slides and makes pseudo-labels and hard negatives.

On positive slides the re-weighted probabilities of the patches that reach T are labels; on negative slides such patches
are hard negatives. Open points and the released code: docs/methods/hybrid.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.learning.mil.cohort import Cohort, Scored
from benchmark.learning.mil.lattice import Lattice, Numbers

from .hybrid_nets import PatchModel, probabilities
from .hybrid_params import PixelParams

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
SAVE_SECONDS = 20.0
"""A pass over slides saves its progress about this often."""


def look(model: PatchModel, lattice: Lattice, batch: int) -> Iterator[tuple[Numbers, Floats]]:
    """θ1 over the tissue patches of a slide: numbers n and logits n × h × w, batch by batch.

    A batch is read while the one before it is predicted.
    """
    before: tuple[Numbers, Callable[[], Floats]] | None = None
    for numbers, pixels in lattice.stream(batch):
        begun = numbers, model.begin(pixels)
        if before is not None:
            yield before[0], before[1]()
        before = begun
    if before is not None:
        yield before[0], before[1]()


def scan(
    model: PatchModel, cohort: Cohort, params: PixelParams, context: Context, *, part: str = "training"
) -> dict[str, dict[str, NDArray[Any]]]:
    """m(x) of every tissue patch of every slide of a part: serves stage 2 and the next E-step alike.

    Only the largest logit of a patch is kept. Finished slides survive a kill.
    """
    done: dict[str, dict[str, NDArray[Any]]] = context.checkpoint.load() or {}
    saved = time.monotonic()
    for lattice in context.track(cohort.lattices, f"scanning {part} slides", len(cohort.lattices)):
        if lattice.slide.id in done:
            continue
        parts = [(numbers, logits.max(axis=(1, 2))) for numbers, logits in look(model, lattice, params.score_batch)]
        done[lattice.slide.id] = {
            "numbers": np.concatenate([np.empty(0, np.int64), *(numbers for numbers, _ in parts)]),
            "highest": np.concatenate([np.empty(0, np.float32), *(highest for _, highest in parts)]),
        }
        if time.monotonic() - saved > SAVE_SECONDS:
            context.checkpoint.save(done)
            saved = time.monotonic()
    return done


def kept(highest: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Which patches stay: those whose highest pixel probability m(x) is at least T ("less than T" are removed)."""
    reached: NDArray[np.bool_] = highest >= np.float32(threshold)
    return reached


def pools_above(cohort: Cohort, scored: Scored, threshold: float) -> list[Numbers]:
    """Patches with m(x) ≥ T, (slide, number) each: those of positive units for pseudo-labels, and hard negatives."""
    pools: list[list[Numbers]] = [[], []]
    for number, lattice in enumerate(cohort.lattices):
        part = scored[lattice.slide.id]
        numbers = part["numbers"][kept(probabilities(part["highest"]), threshold)]
        negative = cohort.negative_patches[number][numbers]
        for pool, chosen in zip(pools, (numbers[~negative], numbers[negative]), strict=True):
            pool.append(np.stack([np.full(chosen.size, number), chosen], axis=1).astype(np.int64))
    return [np.concatenate(pool) for pool in pools]


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
