"""Dealing patients out to the three splits, so that each has tissue of both classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.errors import DataError
from benchmark.seeds import generator

from .album import Picture

SHARES = {Split.TRAIN: 0.4, Split.VALIDATION: 0.2, Split.TEST: 0.4}
"""Of the pictures of each class, about so many for each split."""

VARIED = 3
"""Patients per class that a split should have, so that its slides differ in stain."""

MANY = 5
"""Patients that a split should have in all, where there are so many."""

LACK = 0.2
"""Share of the pictures of a class that may go astray to avoid one lack of variety."""

DRAWS = 20000
"""Random allotments that are compared."""

Table = NDArray[np.int64]
"""Patients × classes: numbers of pictures."""


def patients_of(
    pictures: Sequence[Picture], split: Split, seed: int, *, folds: int | None = None, fold: int = 0
) -> frozenset[str]:
    """The patients of one split: no patient is in two of them, and each has benign and malignant pictures.

    Every patient is in a split. With `folds`, the patients are dealt into so many folds first, one of which, `fold`,
    tests; the others train and validate. See `_allotted` for what makes one allotment better than another.

    Raises `DataError` when no allotment gives every split both classes.
    """
    names = sorted({picture.patient for picture in pictures})
    counts = Counter((picture.patient, picture.positive) for picture in pictures)
    table = np.array([[counts[name, False], counts[name, True]] for name in names])
    everybody = np.arange(len(names))
    if folds is None:
        shares = np.array(list(SHARES.values()))
        part = _allotted(table, shares, generator("tissue", "patients", seed), "train, validation and test")
        own = everybody[part == list(SHARES).index(split)]
    else:
        dealt = _allotted(table, np.full(folds, 1 / folds), generator("tissue", "folds", folds, seed), f"{folds} folds")
        rest = everybody[dealt != fold]
        learns = np.array([SHARES[Split.TRAIN], SHARES[Split.VALIDATION]])
        rng = generator("tissue", "folds", folds, seed, fold)
        part = _allotted(table[rest], learns / learns.sum(), rng, "train and validation")
        own = everybody[dealt == fold] if split is Split.TEST else rest[part == int(split is Split.VALIDATION)]
    return frozenset(names[index] for index in own.tolist())


def _allotted(table: Table, wanted: NDArray[np.float64], rng: np.random.Generator, what: str) -> NDArray[np.intp]:
    """The part of each patient, the parts being about `wanted` of the pictures.

    Of `DRAWS` random allotments the one is taken in which most parts have a patient with pictures of both
    classes, then the one that is nearest to `wanted` in pictures of both classes. A lack of `VARIED` patients per
    class, of `MANY` in all, or of two patients with both (one suffices for the smallest part, where one is smaller),
    weighs like `LACK` of the pictures elsewhere.
    """
    draws = rng.choice(len(wanted), (DRAWS, len(table)), p=wanted)
    member = (draws[..., None] == np.arange(len(wanted))).astype(np.int64)
    images = np.einsum("dps,pc->dsc", member, table)
    patients = np.einsum("dps,pc->dsc", member, table > 0)
    both = np.einsum("dps,p->ds", member, (table > 0).all(axis=1))
    lacking = (images == 0).any(axis=(1, 2))
    if lacking.all():
        raise DataError(
            f"{len(table)} patients cannot be parted into {what} such that each part has benign and malignant images",
            fix="use the complete GlaS archive, or fewer --folds",
        )
    off = np.abs(images / table.sum(axis=0) - wanted[:, None]).sum(axis=(1, 2))
    alone = (wanted > wanted.min()) & (both < 2)
    few = member.sum(axis=1) < min(MANY, len(table) // len(wanted))
    lacks = (patients < VARIED).sum(axis=(1, 2)) + alone.sum(axis=1) + few.sum(axis=1)
    penalty = 10.0 * (both == 0).sum(axis=1) + LACK * lacks + off
    best: NDArray[np.intp] = draws[np.argmin(np.where(lacking, np.inf, penalty))]
    return best
